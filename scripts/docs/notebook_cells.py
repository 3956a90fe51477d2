# %% [markdown]
# # Wrong labels and box losses in Ultralytics YOLO
#
# [yolo-wiou](https://github.com/yolo-wiou/yolo-wiou) says which of your labels are wrong, trains with any loss of the IoU family by one word, `loss=wiou3`, and says honestly
# whether that helped. This notebook goes all the way: install, your data, train, is the loss active, compare, audit the labels, correct them, train again, export.
#
# It takes less than ten minutes on a CPU. Nothing is downloaded but packages: without data of yours it renders some.

# %% [markdown]
# ## Install
#
# From GitHub, as on Colab, or from the checkout that this notebook lies in.

# %%
from pathlib import Path

package = "..[compare]" if Path("../pyproject.toml").exists() else "yolo-wiou[compare] @ git+https://github.com/yolo-wiou/yolo-wiou"
# !pip install -q "{package}" onnx onnxslim

# %%
# !yolo-wiou checks | head -n 3

# %%
# @title Settings: small, so that everything here runs on a CPU in a few minutes
DATA = None  # your data set, "my.yaml"
MODEL = "yolo11n.yaml"  # from scratch, so that nothing is downloaded; on your data start from "yolo11n.pt"
IMGSZ, EPOCHS, COMPARED_EPOCHS, SEEDS, IMAGES = 96, 24, 2, 2, 400

# %% [markdown]
# ## Your data
#
# The data YAML and the labels are Ultralytics' own:
#
# ```yaml
# path: datasets/mine        # root
# train: images/train        # below it
# val: images/val
# names: {0: cat, 1: dog}
# ```
#
# Without it, rendered shapes stand in. Their labels are exact, so `yolo-wiou plant` makes a copy of the training labels with errors, as people make them: of all labels 15 % loose,
# 5 % shifted, 5 % of the wrong class, 5 % left out, 3 % where nothing is, 2 % twice. The validation labels stay exact.

# %%
from yolo_wiou.data.shapes import ShapesConfig, render_dataset

exact = render_dataset(Path("datasets/shapes"), ShapesConfig(train=IMAGES, val=IMAGES // 2, imgsz=IMGSZ))
# !yolo-wiou plant data={exact} out=planted
data = DATA or "planted/data.yaml"

# %% [markdown]
# ## Train
#
# `yolo_wiou.YOLO` is `ultralytics.YOLO` with one more argument, `loss`. `trust`, this package's own, counts a label less the worse it has fitted over the epochs; whether it helps on
# your data, the comparison below finds out. It is made for fine-tuning a pretrained network; from scratch, as this small demo trains, the study could tell neither help nor harm. `audit=True` also records how well every label fitted, epoch by epoch.

# %%
from yolo_wiou import YOLO

small = dict(imgsz=IMGSZ, batch=16, nbs=16, optimizer="AdamW", lr0=0.005, warmup_epochs=1, mosaic=0, workers=0, exist_ok=True)
model = YOLO(MODEL)
before = model.train(data=data, loss="trust", audit=True, epochs=EPOCHS, name="before", **small)
run = Path(model.trainer.save_dir)

# %% [markdown]
# ## Is the loss active?
#
# The line that starts with `yolo-wiou:` above says so. So do `loss.yaml` in the run folder, and the columns `wiou/…` of `results.csv`:

# %%
print((run / "loss.yaml").read_text())

import polars

polars.read_csv(run / "results.csv").select("epoch", "wiou/iou", "wiou/gain", "metrics/mAP50(B)").tail(5)

# %% [markdown]
# `wiou/iou` is the mean plain IoU of the positives, the one number that can be compared between losses; `wiou/gain` is the mean weight that the boxes got.

# %%
from IPython.display import IFrame, Image, display

display(Image(run / "loss_curves.png"))

# %% [markdown]
# `yolo-wiou losses` lists all losses with what each is good for, and any setting can be changed: `loss="wiou3", **{"loss.gain.delta": 5}`.

# %%
# !yolo-wiou losses | head -n 24

# %% [markdown]
# ## Does it help? Compare
#
# One run of each proves nothing: seeds alone move the result. `yolo-wiou compare` trains every loss on the same seeds and the same stream of batches, and says
# what can be said. With the two seeds of this demo it will say: too few, whatever the difference looks like. Take six or more for an answer.

# %%
# !yolo-wiou compare data={data} model={MODEL} losses=ciou,trust seeds={SEEDS} epochs={COMPARED_EPOCHS} control=false out=runs/compare imgsz={IMGSZ} batch=16 nbs=16 optimizer=AdamW lr0=0.005 warmup_epochs=1 mosaic=0 workers=0

# %% [markdown]
# The same as a page with pictures: table, seeds, training curves, AP by IoU threshold, and the images where the losses differ most, once they detect anything with confidence.

# %%
def show_page(file):
    """A page of ours, in Colab and in Jupyter."""
    try:
        from google.colab import files
    except ImportError:
        display(IFrame(file, width="100%", height=600))
    else:
        files.view(file)

show_page("runs/compare/report.html")

# %% [markdown]
# ## Which labels are wrong?
#
# One pass of the trained model over its own training images, with what the training saw of every label. Every finding has a file, a line and a better box, where there is one.

# %%
# !yolo-wiou audit run={run} out=runs/audit fix=corrected fix.remove=true fix.add=true

# %% [markdown]
# The page has the findings, the worst first: `a`, `r`, `s` accept, reject and skip, and the button saves `decisions.json`, which `yolo-wiou audit … fix=FOLDER decisions=decisions.json` obeys.

# %%
show_page("runs/audit/audit.html")

# %% [markdown]
# Six of them, the label in red and the better box in green:

# %%
import cv2
import matplotlib.pyplot as plt

labels = polars.read_csv("runs/audit/audit.csv")
found = labels.filter(polars.col("reason").is_in(["loose", "shifted", "class", "spurious"]))

def boxes(row, prefix):
    return [float(row[f"{prefix}{side}"]) for side in "xywh"] if row[f"{prefix}x"] is not None else None

figure, axes = plt.subplots(1, 6, figsize=(15, 3))
for axis, row in zip(axes, found.head(6).iter_rows(named=True)):
    axis.imshow(cv2.cvtColor(cv2.imread(row["image"]), cv2.COLOR_BGR2RGB))
    for box, colour in ((boxes(row, ""), "red"), (boxes(row, "proposed_"), "lime")):
        if box:
            axis.add_patch(plt.Rectangle(box[:2], *box[2:], fill=False, color=colour, linewidth=2))
    axis.set_title(row["reason"])
for axis in axes:
    axis.axis("off")
plt.show()

# %% [markdown]
# How good is the list? Of planted errors that is known:

# %%
if not DATA:
    planted = polars.read_csv("planted/planted.csv").filter(polars.col("line").is_not_null())
    wrong = {(Path(row["image"]).name, row["line"]) for row in planted.iter_rows(named=True)}
    right = [(Path(row["image"]).name, row["line"]) in wrong for row in found.iter_rows(named=True)]
    print(f"{len(found)} of {len(labels)} labels are flagged; {sum(right)} of these are among the {len(wrong)} planted ones")

# %% [markdown]
# ## Corrected, and trained again
#
# `fix=` above wrote a corrected copy of the labels, which refers to the same images; the originals are as they were. `fix.csv` in it says what was changed.

# %%
model = YOLO(MODEL)
after = model.train(data="corrected/data.yaml", loss="trust", epochs=EPOCHS, name="after", **small)
print(f"AP on the validation images: {100 * before.box.map:.1f} with the labels as they were, {100 * after.box.map:.1f} with the corrected ones")

# %% [markdown]
# One run of each again, of a short training from scratch: an example and no proof, whichever way it points, as seeds alone move the result. Over six seeds, fine-tuned, correcting brought a third to more than
# half of what the errors cost back: [what the audit is worth](../docs/audit-study.md).
#
# ## Take it away
#
# The checkpoint holds stock Ultralytics classes only: it loads, predicts and exports where `yolo-wiou` is not installed, and the loss has no part in the export.

# %%
import ultralytics

file = ultralytics.YOLO(model.trainer.best).export(format="onnx", imgsz=IMGSZ)
print(file)
