"""The study of rendered images: what helps on loose boxes, and what does harm elsewhere? As real.py asks of real ones.

    python scripts/study/rendered.py [OUT] [jobs=1] [only=STUDY,...] [control=false]

Data, pre-training and runs are those of noise.py, whose OUT (default runs/study_noise) may be shared: a network that
detects the shapes already is fine-tuned on 300 images and judged on 800 with exact boxes. control=auto puts an equally
heavy CIoU beside every loss that is heavier or lighter than CIoU. A folder for each study; about 70 seconds a run on
one core. It goes on where it stopped.
"""

from __future__ import annotations

import sys
from pathlib import Path

import noise
from studies import parse, run_studies

from yolo_wiou.compare.study import Study

OTHERS = ("wiou3", "iou-balanced", "alpha-ciou")
JUDGED = range(20, 32)
"""Seeds that nothing was chosen by: noise.py has those below 17, and what `trust` was chosen by those from 100 on."""


def studies(out: Path) -> dict[str, Study]:
    """Return the studies, the most important first. They were written down before any of their runs."""

    def ask(losses: tuple[str, ...], *data: str) -> Study:
        return Study(
            losses={loss: loss for loss in ("ciou", *losses)},
            data={name: str(noise.data_file(out, name)) for name in data},
            seeds=tuple(JUDGED),
            arguments={**noise.FINETUNE, "model": str(out / "pretrained.pt")},
            eval_data=str(noise.data_file(out, "judge")),
            checkpoints=("last",),
        )

    return {
        "trust": ask(("trust",), "jitter40"),
        "trust-exact": ask(("trust",), "clean"),
        "trust-outliers": ask(("trust",), "outliers5"),
        "others": ask(OTHERS, "jitter40"),
        "others-exact": ask(OTHERS, "clean"),
    }


if __name__ == "__main__":
    request = parse(sys.argv[1:], {}, "runs/study_noise", studies)
    noise.prepare(request.out)
    sys.exit(run_studies(request))
