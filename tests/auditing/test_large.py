"""What an audit of a large data set needs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.running import shell

LARGE = """
import json, os, resource, sys, time
from pathlib import Path
import numpy as np, torch, ultralytics
from PIL import Image
from yolo_wiou.auditing.evidence import Seen
from yolo_wiou.auditing.judge import judge
from yolo_wiou.auditing.labels import Labels
from yolo_wiou.auditing.page import write_page
from yolo_wiou.auditing.report import Report

images, each, detections, classes = 5000, 8, 300, 80
rng = np.random.default_rng(0)

def boxes(count):
    return np.column_stack([rng.uniform(0, 500, (count, 2)), rng.uniform(20, 120, (count, 2))])

def gigabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

folder = Path(sys.argv[1])
files = tuple(folder / "images" / "train" / f"{number:08d}.jpg" for number in range(images))
for kind in ("images", "labels"):
    (folder / kind / "train").mkdir(parents=True)
Image.new("RGB", (640, 640), "grey").save(files[0])
for file in files[1:]:
    os.link(files[0], file)
for file in files:
    (folder / "labels" / "train" / f"{file.stem}.txt").write_text("0 0.5 0.5 0.1 0.1\\n" * each)
before, begun = gigabytes(), time.process_time()
cls = rng.integers(0, classes, images * each)
labels = Labels(
    files=files,
    sizes=np.full((images, 2), 640),
    image=np.repeat(np.arange(images), each),
    line=np.tile(np.arange(each), images) + 1,
    cls=cls,
    box=boxes(images * each),
    bbox=np.zeros((images * each, 4)),
)
table = np.empty((images, detections, 7), np.float32)
table[..., 0] = np.arange(images)[:, None]
table[..., 1:5] = boxes(images * detections).reshape(images, detections, 4)
table[..., 5] = rng.uniform(0.01, 0.2, (images, detections))
table[..., 6] = rng.integers(0, classes, (images, detections))
table[:, :each, 1:5] = labels.box.reshape(images, each, 4) + rng.normal(0, 3, (images, each, 4))
table[:, :each, 5] = rng.uniform(0.4, 0.9, (images, each))
table[:, :each, 6] = cls.reshape(images, each)
found = judge(labels, Seen.of(table.reshape(-1, 7)), {number: f"c{number}" for number in range(classes)}, 2.0)
report = Report("data.yaml", "best.pt", "train", "detect", 2.0, images, 640, found.labels, found.missing,
                found.duplicates, [], sizes={str(file): (640, 640) for file in files},
                description={"path": folder, "train": str(folder / "images" / "train")})
report.save(folder)
write_page(report, folder)
print(json.dumps({"GB": gigabytes() - before, "seconds": time.process_time() - begun, "labels": len(report.labels)}))
"""


@pytest.mark.slow
def test_5000_images_of_80_classes_fit_into_a_gigabyte(tmp_path: Path) -> None:
    """40,000 labels and 1.5 million detections, beside what PyTorch and Ultralytics take for themselves."""
    used = json.loads(shell("-c", LARGE, str(tmp_path), cwd=tmp_path).stdout.splitlines()[-1])
    print(used)
    assert used["labels"] == 40_000
    assert used["GB"] < 1
    assert (tmp_path / "audit.csv").read_text().count("\n") == 40_001
    assert (tmp_path / "audit.html").stat().st_size < 20e6
