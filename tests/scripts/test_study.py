"""The scripts behind docs/study.md, as commands in a copy of the checkout."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from helpers.finished import leave_results
from helpers.running import ROOT, shell
from helpers.synthetic import write_study

from yolo_wiou.compare.evaluation import evaluate, metrics_of
from yolo_wiou.compare.study import Study
from yolo_wiou.losses.presets import about


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the scripts read and write."""
    for name in ("scripts", "docs/study"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "docs/study.md", tmp_path / "docs")
    return tmp_path


def published(checkout: Path) -> dict[tuple[str, ...], dict[str, str]]:
    """The published runs of the noise study, by data set, loss, seed and checkpoint."""
    with (checkout / "docs/study/noise.csv").open(newline="") as text:
        return {(r["data"], r["loss"], r["seed"], r["checkpoint"]): r for r in csv.DictReader(text)}


@pytest.mark.parametrize("script", ["noise.py", "bccd.py"])
@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("only=exakt", "Did you mean 'exact'?"),
        ("jobs=0", "'jobs'"),
        ("control=yes", "'control=yes' is wrong"),
        ("jbos=2", "jobs"),
        ("b", "[OUT] [jobs=1] [only=] [control=false]"),
    ],
)
def test_a_mistake_ends_in_one_message_and_writes_nothing(script: str, word: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "bccd.yaml").touch()
    argv = ["."] * (script == "bccd.py") + ["a", word]
    done = shell(str(ROOT / "scripts" / "study" / script), *argv, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bccd.yaml"]


ADOPT = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from studies import adopt
from yolo_wiou.compare.study import Study
study, own, other = Study.model_validate(json.loads(sys.argv[2])), Path("own"), Path("other")
adopt(study, own, [other])
print([run.is_finished(own) for run in study.runs()])
"""


def test_a_study_takes_over_what_another_has_finished_and_nothing_else(tmp_path: Path) -> None:
    def study(epochs: int) -> Study:
        losses, arguments = {"ciou": "ciou", "wiou3": "wiou3"}, {"model": "yolo11n.yaml", "epochs": epochs}
        return Study(losses=losses, data={"a": "a.yaml"}, seeds=(0, 1), arguments=arguments)

    def adopted() -> str:
        script = str(ROOT / "scripts" / "study")
        return shell("-c", ADOPT, script, json.dumps(study(1).plain()), cwd=tmp_path).stdout.strip()

    for run in (study(1).runs()[0], study(2).runs()[1]):  # the second was trained in another way
        run.folder(tmp_path / "other").mkdir(parents=True)
        run.save(run.folder(tmp_path / "other"))
        leave_results(run.folder(tmp_path / "other"))
    assert adopted() == "[True, False, False, False]"
    (tmp_path / "other" / "runs").rename(tmp_path / "gone")
    assert adopted() == "[False, False, False, False]"  # a link to a study that is gone is no run


def test_a_part_of_a_study_leaves_the_other_published_runs_as_they_are(checkout: Path) -> None:
    script, before = str(checkout / "scripts/study/study_page.py"), published(checkout)
    write_study(checkout / "noise" / "wise", {"ciou": 0.0, "wiou3": -0.05}, seeds=2, images=4)
    shell(script, "noise=noise", cwd=checkout)
    after = published(checkout)
    assert all(before[key].items() <= after[key].items() for key in before)  # there may be more columns
    assert len(after) - len(before) == 2 * 2 * 2
    run = checkout / "noise/wise/runs/shapes/wiou3/seed1"
    row = after["shapes", "wiou3", "1", "last"]
    assert float(row["AP"]) == pytest.approx(metrics_of(evaluate(run, "last")).AP, abs=1e-6)
    assert (row["IoU"], row["running mean"], row["gain"]) == ("0.77962", "0.3", "1")
    assert row["AP_large"] == row["commit"] == ""

    shutil.copy(run.with_name("seed0") / "detections-last.npz", run / "detections-last.npz")
    done = shell(script, "noise=noise", cwd=checkout, check=False)  # trained again, it came out otherwise
    assert done.returncode == 1
    assert "shapes, wiou3, 1, last: AP" in done.stderr
    assert "so they are no pairs" in done.stderr
    assert published(checkout) == after


@pytest.mark.parametrize("name", ["noise", "bccd", "rendered", "real"])
def test_published_pairs_saw_the_same_data(name: str) -> None:
    streams: dict[tuple[str, str], set[str]] = {}
    with (ROOT / "docs" / "study" / f"{name}.csv").open(newline="") as text:
        for row in csv.DictReader(text):
            if row["stream"]:  # the first rows have none
                streams.setdefault((row["data"], row["seed"]), set()).add(row["stream"])
    assert streams
    assert all(len(checksums) == 1 for checksums in streams.values())
    for data in {data for data, _ in streams}:  # another network may see the same images
        of_seeds = [checksums for (name, _), checksums in streams.items() if name == data]
        assert len(set.union(*of_seeds)) == len(of_seeds)


RANKINGS = """
import json, sys
from pathlib import Path
import numpy as np
sys.path[:0] = sys.argv[1:]
from planted import Case, ranking
from rivals import mistakenness
from yolo_wiou.auditing.evidence import Seen
from yolo_wiou.auditing.labels import Labels

boxes = np.array([[0.0, 0, 10, 10], [20, 0, 10, 10], [40, 0, 10, 10], [60, 0, 10, 10], [80, 0, 10, 10]])
ones = np.zeros(5, int)
labels = Labels((Path("a.jpg"),), np.array([[100, 100]]), ones, ones, ones, boxes, boxes / 100)
seen = Seen.of(np.array([
    [0, 0, 0, 10, 10, 0.8, 0], [0, 20, 0, 10, 8, 0.9, 0], [0, 40, 0, 10, 10, 0.6, 1], [0, 60, 0, 10, 4, 0.9, 0],
], np.float32))
kind = np.array(["", "loose", "wrong", "spurious", "duplicate"], object)
case = Case("case", labels, seen, kind, ones, boxes)
print(json.dumps([mistakenness(case).tolist(), ranking(case, np.array([3.0, 2, 4, 1, 9]))]))
"""


def test_the_rankings_of_the_label_audit_are_what_they_say(tmp_path: Path) -> None:
    done = shell("-c", RANKINGS, str(ROOT / "scripts" / "study"), cwd=tmp_path)
    score, found = json.loads(done.stdout)
    # the class fits: (1 - c) / 2; IoU 0.8 is i = 0.4: (1 - 0.9 * 0.2) / 2; another class: (1 + 0.6) / 2; IoU 0.4: none
    assert score == pytest.approx([0.1, 0.41, 0.8, 2, 2])
    # in order of the score right and wrong are 1 0 1 1
    assert found["AP"] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert found["AUROC"] == pytest.approx(1 / 3)


def test_the_tables_of_the_label_audit_pair_what_is_there(tmp_path: Path) -> None:
    ap = {"clean": (0.7, 0.72, 0.6), "planted": (0.6, 0.62), "corrected": (0.65, 0.67, 0.1)}
    rows = [
        {"labels": labels, "loss": "ciou", "seed": seed, "AP": value}
        for labels, values in ap.items()
        for seed, value in enumerate(values)
    ]
    counts = {"all": 50, "first tenth": 5, "flagged": 4, "missing": 9, "confirmed": 6}
    apart = {f"{part} < {least}": 2 for part in ("all", "first tenth", "flagged") for least in (0.5, 0.8)}
    moved = {"moved": 2, "moved from": 1.0, "moved to": 1.6}
    one = [{"method": "audit", "seed": 0, **counts, **apart, **moved}]
    script = "import json, sys; sys.path.insert(0, sys.argv[1]); from audit_page import loop, real\n"
    script += "print(json.dumps([loop(json.loads(sys.argv[2])), real(json.loads(sys.argv[3]))]))"
    folder = str(ROOT / "scripts" / "study")
    done = shell("-c", script, folder, json.dumps(rows), json.dumps(one), cwd=tmp_path)
    loop, real = json.loads(done.stdout)
    assert "| with errors | 2 | 61.0 |  |  |" in loop
    assert "| audited, `fix=` | 2 | 66.0 | +5.0 | 50% |" in loop  # the third seed has no training with errors
    assert "| IoU 0.5 | `audit`, one pass | 4% | 40% | 100% |" in real
    assert "has 6 of 9 missing objects, and 2 boxes move from IoU 0.50 to 0.80 with it." in real


@pytest.mark.parametrize(
    ("script", "argv", "message"),
    [
        ("audit.py", ["seeds=1"], "BCCD [OUT] [jobs=1] [seeds=3]"),
        ("loop.py", ["."], "WEIGHTS is the folder of yolo11n-coco.pt"),
        ("bccd_txl.py", [], "usage: bccd_txl.py BCCD_TXL\n"),
        ("bccd_txl.py", ["."], "BCCD_TXL is the folder of labels/txl"),
        ("audit_real.py", ["seed=1"], "Did you mean 'seeds'?"),
    ],
)
def test_a_study_says_what_it_needs(script: str, argv: list[str], message: str, tmp_path: Path) -> None:
    done = shell(str(ROOT / "scripts" / "study" / script), *argv, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_said_of_alwa_is_what_its_study_has() -> None:
    """Where all gains are 1, its mean and the ends over the seeds; with stock gains it changes nothing."""
    with (ROOT / "docs/study/alwa.csv").open(newline="") as text:
        runs = {(row["data"], row["loss"], row["seed"]): row for row in csv.DictReader(text)}
    gained = [
        100 * (float(runs["equal gains", "alwa", seed]["AP"]) - float(row["AP"]))
        for (data, loss, seed), row in runs.items()
        if (data, loss) == ("equal gains", "ciou")
    ]
    caveat = next(description["caveat"] for name, description, _ in about() if name == "alwa")
    mean = sum(gained) / len(gained)
    assert f"{mean:+.1f} points of AP over {len(gained)} seeds ({min(gained):+.1f} to {max(gained):+.1f})" in caveat
    stock = {seed: row for (data, loss, seed), row in runs.items() if (data, loss) == ("stock gains", "alwa")}
    assert stock
    for seed, row in stock.items():
        assert row["AP"] == runs["stock gains", "ciou", seed]["AP"]
