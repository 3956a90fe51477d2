"""What a study trains: data sets x losses x seeds, the first loss being the baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from yolo_wiou.studies.compare.run import Run, write_json

STUDY = "study.json"


class Study(BaseModel):
    """A study, as its folder remembers it.

    Attributes:
        losses: every loss, as `loss=` takes it, by the name that the study gives it; the first is the baseline.
        data: every data set's YAML by its name.
        seeds: the seeds; each trains every loss on the same stream of data.
        arguments: what else `train` gets, the model among it.
        judge: a data YAML whose `val` judges instead of the training's own, if any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    losses: dict[str, str | dict[str, Any]] = Field(min_length=2)
    data: dict[str, str] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(min_length=1)
    arguments: dict[str, Any]
    judge: str | None = None

    @property
    def baseline(self) -> str:
        """The loss that the others are compared with."""
        return next(iter(self.losses))

    def runs(self) -> list[Run]:
        """Every training, seed by seed, so that an unfinished study has whole pairs."""
        return [
            Run(
                data=name,
                loss=loss,
                seed=seed,
                spec=spec,
                arguments={**self.arguments, "data": data},
                judge=self.judge,
            )
            for seed in self.seeds
            for name, data in self.data.items()
            for loss, spec in self.losses.items()
        ]

    def save(self, folder: Path) -> None:
        """Write study.json."""
        write_json(folder / STUDY, self.model_dump(mode="json"))

    @classmethod
    def load(cls, folder: Path) -> Study:
        """Read study.json."""
        return cls.model_validate_json((folder / STUDY).read_text(encoding="utf-8"))
