"""How far are teachers from what people see? `run.py --runs FOLDER --root FOLDER --votes FILE`.

Measures the CIFAR-10 teachers of ../teacher-choice (its `--work` folder holds them, and their students) against the votes of
CIFAR-10H on the test images, before and after temperature scaling. Nothing is trained or chosen here. Writes results.json,
README.md (from about.md) and a figure.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from scipy import stats

import preceptor
from preceptor.artifacts.teachers import load_teachers
from preceptor.assessment import Profile, distance_to_truth
from preceptor.config.sections import DataSection, TeacherSection
from preceptor.data import Data
from preceptor.experiments.statistics import paired_gain
from preceptor.reports import figures
from preceptor.runner.data import load_data

HERE = Path(__file__).parent
SCORES = ("NLL", "Brier", "ECE", "MSE", "KL", "TV")
GROUPS = {
    "cross_entropy": "cross-entropy",
    "stopped": "cross-entropy, stopped",
    "smoothing 0.2": "label smoothing",
    "brier": "Brier",
    "soteacher": "SoTeacher",
}
OTHERS = "others"
RESAMPLES = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True, help="the --work folder of ../teacher-choice/run.py")
    parser.add_argument("--root", required=True, help="folder of the unpacked CIFAR-10 files")
    parser.add_argument("--votes", required=True, help="the .npz of CIFAR-10H")
    options = parser.parse_args()
    torch.set_num_threads(1)  # the networks are too small for more
    students = sorted((options.runs / "cifar10").glob("student.*"))
    section = yaml.safe_load((students[0] / "config.yaml").read_text())["data"]
    data = load_data(DataSection(**{**section, "root": options.root, "votes": options.votes}))
    rows = [row for folder in students if (row := measured(folder, data)) is not None]
    assert data.test.truth is not None
    labels = distance_to_truth(50.0 * torch.nn.functional.one_hot(data.test.labels, 10).float(), data.test.truth)
    record = {"labels themselves": {"MSE": labels.mse, "TV": labels.total_variation}, "rows": rows}
    (HERE / "results.json").write_text(json.dumps(record, indent=1) + "\n")
    write(record)


def measured(student: Path, data: Data) -> dict[str, Any] | None:
    """Return the numbers of a student's teacher; None where that is no run, but a run's divided outputs."""
    teacher = TeacherSection(**yaml.safe_load((student / "config.yaml").read_text())["teacher"])
    if not Path(str(teacher.path)).is_dir():
        return None
    (network,) = load_teachers(teacher, data)
    (found,) = preceptor.assess(network, data=data, device="cpu")
    assert found.calibrated is not None
    kind, seed = student.name.removeprefix("student.").rsplit(".", 1)
    row = {
        "kind": kind,
        "seed": int(seed),
        "temperature": found.temperature,
        "plain": numbers(found.test),
        "at T": numbers(found.calibrated),
        "student accuracy": json.loads((student / "result.json").read_text())["test"]["accuracy"],
    }
    print(row, flush=True)
    return row


def numbers(profile: Profile) -> dict[str, float]:
    truth = profile.metrics.truth
    assert truth is not None
    return {
        "accuracy": profile.metrics.accuracy,
        "NLL": profile.metrics.nll,
        "Brier": profile.metrics.brier,
        "ECE": profile.metrics.ece,
        "MSE": truth.mse,
        "KL": truth.kl,
        "TV": truth.total_variation,
    }


def write(record: dict[str, Any]) -> None:
    rows = record["rows"]
    kinds = sorted({row["kind"] for row in rows}, key=lambda kind: mean(rows, kind, "plain", "MSE"))
    head = [*SCORES, *(f"{key} at T" for key in SCORES)]
    lines = [
        f"| teacher | accuracy % | {' | '.join(head)} | T | student accuracy % |",
        "|---" * (4 + len(head)) + "|",
    ]
    for kind in kinds:
        here = [row for row in rows if row["kind"] == kind]
        cells = [spread([row[part][key] for row in here]) for part in ("plain", "at T") for key in SCORES]
        lines.append(
            f"| {kind} | {spread([100 * row['plain']['accuracy'] for row in here], 1)} | {' | '.join(cells)} "
            f"| {statistics.fmean(row['temperature'] for row in here):.2f} "
            f"| {spread([100 * row['student accuracy'] for row in here], 1)} |"
        )
    own = record["labels themselves"]
    lines += [
        "",
        f"The labels themselves are at {own['MSE']:.3f} (MSE) and {own['TV']:.3f} (TV) from the votes.",
        "",
        "| teacher | MSE to the votes, over cross_entropy's | KL | MSE at T | KL at T | student accuracy, points |",
        "|---|---|---|---|---|---|",
    ]
    for kind in kinds:
        if kind != "cross_entropy":
            gains = [gain(rows, kind, part, key, 3) for part in ("plain", "at T") for key in ("MSE", "KL")]
            lines.append(f"| {kind} | {' | '.join(gains)} | {gain(rows, kind, None, 'student accuracy', 2)} |")
    lines += ["", "Paired by seed, 95 % intervals. Spearman's rank correlation with student accuracy:", ""]
    lines += [f"| over {len(kinds)} teachers (means over seeds) | plain | at T |", "|---|---|---|"]
    students = np.array([mean(rows, kind, None, "student accuracy") for kind in kinds])
    for key in ("accuracy", *SCORES):
        cells = []
        for part in ("plain", "at T"):
            values = np.array([mean(rows, kind, part, key) for kind in kinds])
            random_bits = np.random.default_rng(0).integers(len(kinds), size=(RESAMPLES, len(kinds)))
            found = [
                stats.spearmanr(values[draw], students[draw]).statistic for draw in random_bits if len(set(draw)) > 2
            ]
            low, high = np.nanpercentile(found, [2.5, 97.5])
            cells.append(f"{stats.spearmanr(values, students).statistic:+.2f} [{low:+.2f}, {high:+.2f}]")
        lines.append(f"| {key} | {' | '.join(cells)} |")
    points = [
        {
            "MSE to the votes at T": round(row["at T"]["MSE"], 4),
            "student accuracy": row["student accuracy"],
            "teacher": GROUPS.get(row["kind"], OTHERS),
        }
        for row in rows
    ]
    drawn = figures.scatter(
        points, x="MSE to the votes at T", y="student accuracy", colour="teacher", order=[*GROUPS.values(), OTHERS]
    )
    (HERE / "figure.svg").write_text(str(drawn))
    (HERE / "README.md").write_text((HERE / "about.md").read_text().replace("TABLE", "\n".join(lines)))


def value(row: dict[str, Any], part: str | None, key: str) -> float:
    return float(row[key] if part is None else row[part][key])


def mean(rows: list[dict[str, Any]], kind: str, part: str | None, key: str) -> float:
    return statistics.fmean(value(row, part, key) for row in rows if row["kind"] == kind)


def gain(rows: list[dict[str, Any]], kind: str, part: str | None, key: str, digits: int) -> str:
    by_seed = [
        {row["seed"]: value(row, part, key) for row in rows if row["kind"] == name} for name in (kind, "cross_entropy")
    ]
    found = paired_gain(*by_seed)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    scale = 100 if part is None else 1
    return " ".join(
        [f"{scale * found.mean:+.{digits}f}", f"[{scale * found.low:+.{digits}f}, {scale * found.high:+.{digits}f}]"]
    )


def spread(values: list[float], digits: int = 3) -> str:
    return f"{statistics.fmean(values):.{digits}f} ±{statistics.stdev(values):.{digits}f}"


if __name__ == "__main__":
    main()
