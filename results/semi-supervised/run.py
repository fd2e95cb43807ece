"""What is a teacher worth that knows few labels? `run.py --work FOLDER`: three teacher objectives over labelled fractions.

Real handwritten digits; every teacher and student takes the same number of steps whatever the fraction. Runs that are there
are kept. Writes results.json, README.md (from about.md) and a figure.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import torch

import preceptor
from preceptor.experiments.statistics import paired_gain, spread
from preceptor.reports import figures

HERE = Path(__file__).parent
OBJECTIVES = ("cross_entropy", "brier", "soteacher")
FRACTIONS = (0.01, 0.05, 0.1, 0.25, 0.5)
SEEDS = (0, 1, 2)
STEPS, BATCH = 800, 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for runs")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in SEEDS:
        for fraction in FRACTIONS:
            rows += one(options.work, seed, fraction)
            print(seed, fraction, [(row["who"], round(100 * row["accuracy"], 1)) for row in rows[-7:]], flush=True)
            (HERE / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
    write(rows)


def one(work: Path, seed: int, fraction: float) -> list[dict[str, Any]]:
    """Return the accuracies of one seed and fraction: teachers, their students, the student on its labels alone."""
    data: dict[str, Any] = {"name": "digits", "labelled_fraction": fraction}
    known = round(fraction * 1222)  # of the 1,222 training samples that are left beside validation
    own = math.ceil(STEPS / math.ceil(known / BATCH))
    common: Any = {"batch_size": BATCH, "seed": seed, "engine": "plain", "progress": False, "resume": True}
    where = work / f"seed{seed}-{fraction}"
    rows = []
    for name in OBJECTIVES:
        teacher = preceptor.teach(
            data=data, model="convnet_m", objective=name, epochs=own, out=f"{where}-{name}", **common
        )
        student = preceptor.distill(
            data=data,
            model="convnet_s",
            teacher=teacher,
            epochs=math.ceil(STEPS / math.ceil(1222 / BATCH)),
            out=f"{where}-student-of-{name}",
            **common,
        )
        rows += [
            record(seed, fraction, f"{name} teacher", teacher),
            record(seed, fraction, f"student of {name}", student),
        ]
    alone = preceptor.teach(data=data, model="convnet_s", epochs=own, out=f"{where}-alone", **common)
    return [*rows, record(seed, fraction, "student on labels alone", alone)]


def record(seed: int, fraction: float, who: str, result: preceptor.Result) -> dict[str, Any]:
    return {
        "seed": seed,
        "fraction": fraction,
        "who": who,
        "accuracy": result.metrics.accuracy,
        "nll": result.metrics.nll,
    }


def write(rows: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(row["who"] for row in rows))
    lines = [f"| test accuracy % | {' | '.join(f'{100 * f:g} %' for f in FRACTIONS)} |", "|---" * 6 + "|"]
    lines += [f"| {name} | {' | '.join(shown(rows, name, fraction) for fraction in FRACTIONS)} |" for name in names]
    lines += [
        "",
        f"| gain in points, paired over seeds, 95 % interval | {' | '.join(f'{100 * f:g} %' for f in FRACTIONS)} |",
    ]
    lines += ["|---" * 6 + "|"]
    pairs = [
        ("student of brier", "student of cross_entropy"),
        ("student of soteacher", "student of cross_entropy"),
        ("student of cross_entropy", "cross_entropy teacher"),
        ("student of cross_entropy", "student on labels alone"),
    ]
    for one_, other in pairs:
        gains = [gain(by_seed(rows, one_, fraction), by_seed(rows, other, fraction)) for fraction in FRACTIONS]
        lines.append(f"| {one_} over {other} | {' | '.join(gains)} |")
    drawn = figures.lines(
        [
            {"labelled %": 100 * row["fraction"], "accuracy %": 100 * row["accuracy"], "who": row["who"]}
            for row in rows
            if "teacher" not in row["who"].split()[-1]
        ],
        x="labelled %",
        y="accuracy %",
        colour="who",
        order=[name for name in names if not name.endswith("teacher")],
    )
    (HERE / "figure.svg").write_text(str(drawn))
    (HERE / "README.md").write_text((HERE / "about.md").read_text().replace("TABLE", "\n".join(lines)))


def by_seed(rows: list[dict[str, Any]], who: str, fraction: float) -> dict[int, float]:
    return {row["seed"]: row["accuracy"] for row in rows if row["who"] == who and row["fraction"] == fraction}


def shown(rows: list[dict[str, Any]], who: str, fraction: float) -> str:
    found = spread([100 * value for value in by_seed(rows, who, fraction).values()])
    return f"{found.mean:.1f} ±{found.std:.1f}"


def gain(values: dict[int, float], baseline: dict[int, float]) -> str:
    found = paired_gain(values, baseline)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    return f"{100 * found.mean:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
