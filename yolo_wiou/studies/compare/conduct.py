"""A study from its first run to its report; everything but the report's own text goes to stderr."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from yolo_wiou.studies.compare.engine import Engine, LocalJob, last_words, prove, train
from yolo_wiou.studies.compare.plan import Study
from yolo_wiou.studies.compare.proof import left_out
from yolo_wiou.studies.compare.run import Run, places, write_json
from yolo_wiou.studies.compare.words import count, duration

INTERRUPTED = 130


def conduct(study: Study, folder: Path, engine: Engine = LocalJob, jobs: int = 1) -> int:
    """Train what is missing in a folder that is claimed, and say how far it is.

    Args:
        study: the study.
        folder: its folder.
        engine: what starts the runs.
        jobs: how many at a time.

    Returns:
        The exit code: 0, 1 where runs failed or nothing can be trained at all, 130 after Ctrl-C.
    """
    from yolo_wiou.studies.compare.statistics import fewest_seeds  # scipy comes with an extra

    runs = study.runs()
    missing = [run for run in runs if not run.is_finished(folder)]
    say(
        f"{count(len(runs), 'run')}: {count(len(study.losses), 'loss', 'losses')} ({', '.join(study.losses)}) x "
        f"{count(len(study.seeds), 'seed')} x {count(len(study.data), 'data set')} ({', '.join(study.data)}), "
        f"{jobs} at a time, in {folder}." + f" Finished: {len(runs) - len(missing)}." * (len(missing) < len(runs))
    )
    needed = fewest_seeds(len(study.losses) - 1)
    if len(study.seeds) < needed:
        rivals = count(len(study.losses) - 1, "loss", "losses")
        say(f"A verdict on {rivals} beside the baseline needs seeds={needed} or more.")
    failed: list[Run] = []
    try:
        if missing:
            say("Checking that losses see the same images under one seed, and others under the next ...")
            if objections := prove(study, folder, engine):
                say("This would be no fair comparison:", *objections, sep="\n")
                return 1
            for name, warnings in left_out(folder).items():
                for warning in warnings:
                    say(f"WARNING, {name}: {warning}")
            say("They do. How long a run takes is known when the first has ended ...")
        start = time.monotonic()
        for done, run in enumerate(train(missing, folder, engine, jobs), 1):
            left = (time.monotonic() - start) / done * (len(missing) - done)
            about = f" About {duration(left)} left." if jobs <= done < len(missing) else ""
            so_far = f"{len(runs) - len(missing) + done}/{len(runs)}"
            if run.is_finished(folder):
                say(f"{so_far} {run}: {duration(run.result(folder)['seconds'])} of training.{about}")
            else:
                failed.append(run)
                say(f"{so_far} {run} FAILED: {last_words(run.folder(folder))}.{about}")
    except RuntimeError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("Stopped. The same command goes on; only what was running is lost. Ctrl-C again skips the report.")
        return INTERRUPTED
    if failed:
        say(f"{len(failed)} of {len(runs)} runs failed; the same command tries them again.")
    return 1 if failed else 0


def say(*words: str, sep: str = " ") -> None:
    """Tell the user."""
    print("yolo-wiou compare:", *words, sep=sep, file=sys.stderr, flush=True)


def write_report(study: Study, folder: Path) -> dict[str, Any] | None:
    """Write report.json, report.html and runs.csv about what has ended; returns what report.json holds, if any."""
    from yolo_wiou.studies.compare.analysis import analyse
    from yolo_wiou.studies.compare.report import render, write_table

    ended = len(places(folder))
    if not ended:
        return None
    say(f"Measuring and comparing {count(ended, 'run')} ...")
    analysis: dict[str, Any] = analyse(folder)
    write_json(folder / "report.json", analysis)
    write_table(folder, analysis)
    render(folder, analysis)
    say(f"Look at {folder / 'report.html'}; every figure is in report.json, every run in runs.csv.")
    return analysis
