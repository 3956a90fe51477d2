# %% [markdown]
# # Box losses for Ultralytics YOLO: `loss=wiou3`
#
# The bounding-box loss decides what loose and wrong boxes do to your detector. Ultralytics has one, CIoU; `yolo-wiou` gives you the whole
# family by one word. This notebook goes all the way: install, train, watch the loss at work, compare two losses, look at the detections, your own data, export.
#
# Everything runs offline on rendered data, on a CPU too.

# %% [markdown]
# ## Install
#
# From a checkout of the repository: the one that this notebook lies in, or, on Colab, one that you uploaded or cloned as `yolo-wiou` beside it.

# %%
from pathlib import Path

checkout = ".." if Path("../pyproject.toml").exists() else "./yolo-wiou"
# !pip install -q "{checkout}[compare]"

import yolo_wiou

print(yolo_wiou.__version__)

# %%
# !yolo-wiou checks | head -n 3

# %%
# @title Settings: small, so that everything here runs on a CPU in a few minutes
EPOCHS, COMPARED_EPOCHS, SEEDS, IMAGES = 7, 5, 2, 800


# %% [markdown]
# ## Demo data, 30 % of the training boxes loose
#
# Discs, boxes, stars and letters with exact boxes, then noise to order: the edges of 30 % of the training boxes are moved by up to 30 % of the box. The
# validation boxes stay exact.

# %%
import cv2
import matplotlib.pyplot as plt
from yolo_wiou.data.shapes import ShapesConfig, render_dataset

data = render_dataset(Path("datasets/notebook"), ShapesConfig(train=IMAGES, val=IMAGES // 4, noise=0.3))

def show(split, images=4):
    figure, axes = plt.subplots(1, images, figsize=(3 * images, 3))
    for axis, file in zip(axes, sorted((data.parent / "images" / split).glob("*.png"))):
        image = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
        height, width = image.shape[:2]
        axis.imshow(image)
        for line in (data.parent / "labels" / split / f"{file.stem}.txt").read_text().splitlines():
            cx, cy, w, h = (float(word) for word in line.split()[1:])
            corner = ((cx - w / 2) * width, (cy - h / 2) * height)
            axis.add_patch(plt.Rectangle(corner, w * width, h * height, fill=False, color="lime"))
        axis.axis("off")
    figure.suptitle(split)
    plt.show()

show("train")
show("val")

# %% [markdown]
# ## Train with Wise-IoU v3
#
# `yolo_wiou.YOLO` is `ultralytics.YOLO` with one more argument, `loss`. From scratch here, so that nothing is downloaded; on your data, start from `yolo11n.pt`.

# %%
from yolo_wiou import YOLO

small = dict(imgsz=96, batch=16, nbs=16, optimizer="AdamW", lr0=0.005, warmup_epochs=1, mosaic=0, workers=0, exist_ok=True)
model = YOLO("yolo11n.yaml")
results = model.train(data=data, loss="wiou3", epochs=EPOCHS, name="notebook", **small)
run = Path(model.trainer.save_dir)

# %% [markdown]
# ## Is the loss active?
#
# The line that starts with `yolo-wiou:` above says so. So do `loss.yaml` in the run folder, and the columns `wiou/…` of `results.csv`:

# %%
print((run / "loss.yaml").read_text())

import polars
polars.read_csv(run / "results.csv").select("epoch", "wiou/iou", "wiou/running_mean", "wiou/gain", "metrics/mAP50(B)")

# %% [markdown]
# `wiou/iou` is the mean plain IoU of the positives, the one number that can be compared between losses. `wiou/running_mean` is what Wise-IoU judges a box by: it
# starts at 1 and follows the IoU loss. `wiou/gain` is the mean weight that the boxes got.

# %%
from IPython.display import Image, display

display(Image(run / "loss_curves.png"))

# %% [markdown]
# What the gain does to a box, against its IoU:

# %%
# !yolo-wiou curves losses=wiou3,focal-eiou,ciou out=runs/curves
display(Image("runs/curves/curves.png"))

# %% [markdown]
# ## Does it help? Compare
#
# One run of each proves nothing: seeds alone move the result. `yolo-wiou compare` trains every loss on the same seeds and the same stream of batches, and says
# what can be said. With the two seeds of this demo it will say: too few, whatever the difference looks like. Take six or more for an answer: with eight,
# [a study of loose boxes](../docs/study.md) found Wise-IoU v3 worse than CIoU.

# %%
# !yolo-wiou compare data={data} model=yolo11n.yaml losses=ciou,wiou3 seeds={SEEDS} epochs={COMPARED_EPOCHS} out=runs/compare/notebook imgsz=96 batch=16 nbs=16 optimizer=AdamW lr0=0.005 warmup_epochs=1 mosaic=0 workers=0

# %% [markdown]
# The same as a page with pictures, `report.html`: table, seeds, training curves, AP by IoU threshold, and the images where the losses differ most, once they detect anything with confidence.

# %%
from IPython.display import IFrame

IFrame("runs/compare/notebook/report.html", width="100%", height=600)

# %% [markdown]
# ## Look at the detections
#
# Left the loss's, right stock CIoU's, from the runs of the comparison.

# %%
from yolo_wiou import YOLO

images = sorted((data.parent / "images" / "val").glob("*.png"))[:4]
figure, axes = plt.subplots(2, len(images), figsize=(3 * len(images), 6))
for row, loss in zip(axes, ("wiou3", "ciou")):
    weights = next(Path("runs/compare/notebook/runs").glob(f"*/{loss}/seed0/train/weights/last.pt"))
    for axis, result in zip(row, YOLO(weights).predict(images, imgsz=96, verbose=False)):
        axis.imshow(cv2.cvtColor(result.plot(line_width=1, font_size=1, labels=False), cv2.COLOR_BGR2RGB))
        axis.set_title(loss)
        axis.axis("off")
plt.show()

# %% [markdown]
# ## Your own data
#
# The data YAML and the labels are Ultralytics' own:
#
# ```python
# YOLO("yolo11n.pt").train(data="my.yaml", loss="wiou3", epochs=100)
# YOLO("yolo11n.pt").train(data="my.yaml", loss="wiou3", epochs=100, **{"loss.gain.delta": 5, "loss.gain.dfl": True})
# ```
#
# All losses, with what each is good for:

# %%
# !yolo-wiou losses

# %% [markdown]
# ## Take it away
#
# The checkpoint holds stock Ultralytics classes only: it loads, predicts and exports where `yolo-wiou` is not installed.

# %%
import ultralytics

ultralytics.YOLO(run / "weights" / "best.pt").export(format="torchscript", imgsz=96)
