"""Which epoch of a teacher teaches best? `run.py --work FOLDER`: `preceptor curve` for three objectives and three seeds.

On `ambiguous_digits`, whose true label distribution is known, at the demo's size. Runs that are there are kept. Writes
results.json, README.md (from about.md), and two figures.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from scipy import stats

from preceptor.experiments.statistics import paired_gain
from preceptor.reports import figures

HERE = Path(__file__).parent
DATA = ["data=ambiguous_digits", "data.samples=1200", "data.test_samples=4000"]
TEACHER = [*DATA, "model=convnet_m", "epochs=40", "keep_every=5", "engine=plain"]
STUDENT = ["model=convnet_s", "epochs=40", "method=kd", "engine=plain"]
OBJECTIVES = ("cross_entropy", "brier", "soteacher")
SEEDS = (0, 1, 2)
CRITERIA = ("teacher accuracy", "distance to truth", "teacher val NLL")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for runs")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in OBJECTIVES:
        for seed in SEEDS:
            teacher, out = options.work / f"{name}-seed{seed}", options.work / f"students-of-{name}-seed{seed}"
            if not (teacher / "result.json").exists():
                preceptor(["teach", *TEACHER, f"objective={name}", f"seed={seed}", f"out={teacher}", "resume=true"])
            preceptor(["curve", str(teacher), *STUDENT, f"seed={seed}", f"out={out}"])
            points = json.loads((out / "curve.json").read_text())["points"]
            rows += [{"objective": name, "seed": seed, **point} for point in points]
            print(name, seed, [round(100 * point["student_test"]["accuracy"], 1) for point in points], flush=True)
    (HERE / "results.json").write_text(json.dumps([slim(row) for row in rows], indent=1) + "\n")
    write([slim(row) for row in rows])


def slim(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "objective": row["objective"],
        "seed": row["seed"],
        "epoch": row["epoch"],
        "teacher val NLL": row["teacher"]["nll"],
        "teacher accuracy": row["teacher_test"]["accuracy"],
        "distance to truth": row["teacher_test"]["truth_mse"],
        "student accuracy": row["student_test"]["accuracy"],
    }


def preceptor(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "preceptor", *words], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)


def write(rows: list[dict[str, Any]]) -> None:
    epochs = sorted({row["epoch"] for row in rows})
    lines = [
        f"| student accuracy % (teacher's distance to truth) by teacher epoch | {' | '.join(map(str, epochs))} |",
        "|---" * (len(epochs) + 1) + "|",
    ]
    for name in OBJECTIVES:
        cells = []
        for epoch in epochs:
            here = [row for row in rows if row["objective"] == name and row["epoch"] == epoch]
            accuracy = [100 * row["student accuracy"] for row in here]
            distance = statistics.fmean(row["distance to truth"] for row in here)
            cells.append(f"{statistics.fmean(accuracy):.1f} ±{statistics.stdev(accuracy):.1f} ({distance:.3f})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    stopped = {
        seed: min((row for row in rows if row["objective"] == "cross_entropy" and row["seed"] == seed), key=nll)
        for seed in SEEDS
    }
    baseline = {seed: row["student accuracy"] for seed, row in stopped.items()}
    lines += [
        "",
        "| teacher | student accuracy %, mean ± std | over the early-stopped cross-entropy teacher's, paired, 95 % interval |",
        "|---|---|---|",
        f"| cross_entropy, stopped at the lowest validation NLL (epochs {sorted(row['epoch'] for row in stopped.values())}) "
        f"| {spread([*baseline.values()])} | |",
    ]
    for name in OBJECTIVES:
        last = {
            row["seed"]: row["student accuracy"]
            for row in rows
            if row["objective"] == name and row["epoch"] == epochs[-1]
        }
        gain = paired_gain(last, baseline)
        assert gain is not None
        assert gain.low is not None
        assert gain.high is not None
        interval = f"{100 * gain.mean:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
        lines.append(f"| {name}, last epoch | {spread([*last.values()])} | {interval} |")
    lines += ["", "Spearman's rank correlation of the teacher's number with student accuracy:", ""]
    lines += [f"| teachers | {' | '.join(CRITERIA)} |", "|---" * (len(CRITERIA) + 1) + "|"]
    for first, words in ((epochs[0], "all"), (25, "from epoch 25 on")):
        chosen = [row for row in rows if row["epoch"] >= first]
        students = [row["student accuracy"] for row in chosen]
        found = [stats.spearmanr([row[key] for row in chosen], students).statistic for key in CRITERIA]
        lines.append(f"| {words} ({len(chosen)}) | {' | '.join(f'{value:+.2f}' for value in found)} |")
    for key, file in (("student accuracy", "students.svg"), ("distance to truth", "teachers.svg")):
        drawn = figures.lines(
            [{"teacher epoch": row["epoch"], key: row[key], "teacher": row["objective"]} for row in rows],
            x="teacher epoch",
            y=key,
            colour="teacher",
            order=list(OBJECTIVES),
        )
        (HERE / file).write_text(str(drawn))
    (HERE / "README.md").write_text((HERE / "about.md").read_text().replace("TABLE", "\n".join(lines)))


def nll(row: dict[str, Any]) -> float:
    return float(row["teacher val NLL"])


def spread(values: list[float]) -> str:
    return f"{100 * statistics.fmean(values):.1f} ±{100 * statistics.stdev(values):.1f}"


if __name__ == "__main__":
    main()
