"""A study from its first run to its report; everything but the report's own text goes to stderr."""

import sys
import time
from pathlib import Path

from yolo_wiou.compare.control import Control, ControlPlan, control_runs, decide, read_controls
from yolo_wiou.compare.findings import Findings
from yolo_wiou.compare.pairing import NotPairedError, check_pairing
from yolo_wiou.compare.report.text import count, duration
from yolo_wiou.compare.run import Record, Run, last_words
from yolo_wiou.compare.runner import LocalJob, Runner, RunnerError, train
from yolo_wiou.compare.study import Study

INTERRUPTED = 130


def run_study(
    study: Study, folder: Path, runner: Runner = LocalJob, jobs: int = 1, controls: ControlPlan | None = None
) -> int:
    """Train what is missing in a folder that is claimed, and say how far it is.

    Args:
        study: the study.
        folder: its folder.
        runner: what starts the runs.
        jobs: how many at a time.
        controls: which losses are to have a control, once it is known how heavy they are; None for no more than the
            folder has.

    Returns:
        The exit code: 0, 1 where runs failed, or nothing can be trained or no longer, 130 after Ctrl-C.
    """
    planned = study.runs()
    runs = [*planned, *control_runs(planned, read_controls(folder))]
    records = [Record(run, run.folder(folder)) for run in runs]
    missing = [record.run for record in records if not record.result]
    _announce(study, folder, jobs, len(planned), len(runs) - len(planned), len(runs) - len(missing))
    for record in records:
        if record.damage:
            say(f"WARNING, {record.run}: {record.damage}, so the run counts as not finished, and is trained again.")
    try:
        if missing:
            say("Checking that losses see the same images under one seed, and others under the next ...")
            for name, warnings in check_pairing(planned, folder, runner).items():
                for warning in warnings:
                    say(f"WARNING, {name}: {warning}")
            say("They do. How long a run takes is known when the first has ended ...")
        failed = train_all(missing, folder, runner, jobs, len(runs))
        if controls and (added := control_runs(planned, _decide(planned, folder, controls))):
            runs += added
            failed += train_all(added, folder, runner, jobs, len(runs))
    except NotPairedError as error:
        say(*error.args, sep="\n" if len(error.args) > 1 else " ")
        return 1
    except RunnerError as error:
        say(f"Runs can go on no longer: {error} What has finished is kept; the same command trains the rest.")
        return 1
    except KeyboardInterrupt:
        say("Stopped. The same command goes on; only what was running is lost. Ctrl-C again skips the report.")
        return INTERRUPTED
    if failed:
        say(f"{len(failed)} of {len(runs)} runs failed; the same command tries them again.")
    return 1 if failed else 0


def _announce(study: Study, folder: Path, jobs: int, planned: int, of_controls: int, finished: int) -> None:
    """Say what is to be done, and what it cannot tell."""
    from yolo_wiou.compare.statistics import fewest_seeds  # scipy comes with an extra

    rivals = len(study.losses) - 1
    say(
        f"{count(planned, 'run')}: {count(rivals + 1, 'loss', 'losses')} ({', '.join(study.losses)}) x "
        f"{count(len(study.seeds), 'seed')} x {count(len(study.data), 'data set')} ({', '.join(study.data)}), "
        f"{jobs} at a time, in {folder}."
        + f" Beside them {count(of_controls, 'run')} of controls." * bool(of_controls)
        + f" Finished: {finished}." * bool(finished)
    )
    if len(study.seeds) < (needed := fewest_seeds(rivals)):
        say(f"A verdict on {count(rivals, 'loss', 'losses')} beside the baseline needs seeds={needed} or more.")


def _decide(planned: list[Run], folder: Path, plan: ControlPlan) -> list[Control]:
    """Decide on controls, and say which."""
    new = decide(planned, folder, plan)
    if new:
        names = ", ".join(
            f"{control.name} (a constant gain of {control.weight:.3g}, {control.data})" for control in new
        )
        say(
            f"{count(len(new), 'control')} beside the losses, under the same seeds: {names}. They tell whether a "
            "difference is more than weight; control=false does without."
        )
    return new


def train_all(
    missing: list[Run], folder: Path, runner: Runner, jobs: int, total: int, command: str = "compare"
) -> list[Run]:
    """Train, saying how far it is; returns the runs that failed."""
    failed: list[Run] = []
    start = time.monotonic()
    for done, run in enumerate(train(missing, folder, runner, jobs), 1):
        left = (time.monotonic() - start) / done * (len(missing) - done)
        about = f" About {duration(left)} left." if jobs <= done < len(missing) else ""
        so_far = f"{total - len(missing) + done}/{total}"
        if result := run.result(folder):
            say(f"{so_far} {run}: {duration(result.seconds)} of training.{about}", command=command)
        else:
            failed.append(run)
            say(f"{so_far} {run} FAILED: {last_words(run.folder(folder))}.{about}", command=command)
    return failed


def say(*sentences: str, sep: str = " ", command: str = "compare") -> None:
    """Tell the user."""
    print(f"yolo-wiou {command}:", *sentences, sep=sep, file=sys.stderr, flush=True)


def publish(study: Study, folder: Path) -> Findings | None:
    """Write report.json, report.html and runs.csv about what has ended; returns what was found, if any run has."""
    from yolo_wiou.compare.analysis import analyse
    from yolo_wiou.compare.report.html import write_report

    records = study.records(folder)
    ended = sum(record.state != "waiting" for record in records)
    if not ended:
        return None
    say(f"Measuring and comparing {count(ended, 'run')} ...")
    findings = analyse(records, folder, study.baseline, study.arguments)
    write_report(folder, findings, records)
    say("In report.html is what follows from them, in report.json every figure, in runs.csv every run.")
    return findings
