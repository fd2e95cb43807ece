"""Two classes: one logit or two, cross-entropy or Brier teachers, kd or dkd? `run.py --htru2 FILE --cifar FOLDER`.

HTRU2 (pulsar candidates, 9 % positive) with multi-layer perceptrons, all of it; CIFAR-10 regrouped into two classes of five
(0-4 against 5-9) with small ResNets on 3,000 images. Writes results.json, README.md (from about.md) and htru2.svg. Runs that are
finished below --work are not made again.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import preceptor
from preceptor.experiments.statistics import paired_gain
from preceptor.reports import figures

HERE = Path(__file__).parent
OBJECTIVES: dict[str, Any] = {
    "CE": {"name": "cross_entropy"},
    "Brier": {"name": "brier"},
    "balanced CE": {"name": "cross_entropy", "class_weights": "balanced"},
}
METRICS = ("accuracy", "balanced_accuracy", "f1", "auroc", "average_precision", "nll")
GROUPS = [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


def logits(model: dict[str, Any], outputs: int) -> dict[str, Any]:
    return {**model, "logits": outputs}


def student(setting: dict[str, Any], teacher: Path, method: str, outputs: int, out: Path) -> dict[str, float]:
    return measured(
        preceptor.distill(
            data=setting["data"],
            teacher=teacher,
            model=logits(setting["student"], outputs),
            method=method,
            out=out,
            resume=True,
            **setting["training"],
        )
    )


def taught(setting: dict[str, Any], model: dict[str, Any], name: str, out: Path) -> dict[str, float]:
    return measured(
        preceptor.teach(
            data=setting["data"],
            model=model,
            objective=OBJECTIVES[name],
            out=out,
            resume=True,
            **setting["training"],
        )
    )


def measured(run: Any) -> dict[str, float]:
    return {name: run.record.test[name] for name in METRICS}


def rows_of(name: str, setting: dict[str, Any], seed: int, work: Path) -> list[dict[str, Any]]:
    """Return what one seed gives: teachers, the student alone, students of each teacher."""
    setting = {**setting, "training": {**setting["training"], "seed": seed}}
    rows: list[dict[str, Any]] = []

    def keep(network: str, outputs: int, by: str, teacher: str, found: dict[str, float]) -> None:
        row = {"data": name, "seed": seed, "network": network, "logits": outputs, "by": by, "teacher": teacher, **found}
        print(row, flush=True)
        rows.append(row)

    for objective, outputs in setting["teachers"]:
        out = work / f"{name}-{seed}-teacher-{objective.replace(' ', '_')}-{outputs}"
        keep("teacher", outputs, objective, "", taught(setting, logits(setting["teacher"], outputs), objective, out))
    for outputs in (1, 2):
        out = work / f"{name}-{seed}-alone-{outputs}"
        keep("student", outputs, "labels alone", "", taught(setting, logits(setting["student"], outputs), "CE", out))
    for objective, of_teacher in setting["teachers"]:
        teacher = work / f"{name}-{seed}-teacher-{objective.replace(' ', '_')}-{of_teacher}"
        for method, outputs in setting["students"]:
            out = work / f"{name}-{seed}-{method}-{outputs}-of-{objective.replace(' ', '_')}-{of_teacher}"
            found = student(setting, teacher, method, outputs, out)
            keep("student", outputs, method, f"{objective}, {of_teacher}", found)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--htru2", required=True, help="an .npz with x [17898, 8] and y")
    parser.add_argument("--cifar", required=True, help="the folder that holds cifar-10-batches-py")
    parser.add_argument("--work", type=Path, default=Path("runs/binary"), help="folder for runs")
    options = parser.parse_args()
    shared = {"engine": "plain", "progress": False}
    settings = {
        "HTRU2": {
            "seeds": range(5),
            "data": {"name": "npz", "path": options.htru2},
            "teacher": {"name": "mlp", "widths": [128, 128]},
            "student": {"name": "mlp", "widths": [8]},
            "teachers": [("CE", 1), ("CE", 2), ("Brier", 1), ("Brier", 2), ("balanced CE", 2)],
            "students": [("kd", 1), ("kd", 2), ("dkd", 1), ("dkd", 2)],
            "training": {"epochs": 20, **shared},
        },
        "CIFAR-2x5": {
            "seeds": range(3),
            "data": {"name": "cifar10", "root": options.cifar, "groups": GROUPS, "limit": 3000},
            "teacher": {"name": "resnet14"},
            "student": {"name": "resnet8"},
            "teachers": [("CE", 2)],
            "students": [("kd", 1), ("kd", 2)],
            "training": {"epochs": 4, "schedule": "one_cycle", **shared},
        },
    }
    rows: list[dict[str, Any]] = []
    for name, setting in settings.items():
        for seed in setting["seeds"]:
            rows += rows_of(name, setting, seed, options.work)
            (HERE / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
    write(rows)


def write(rows: list[dict[str, Any]]) -> None:
    """Write README.md: a table for each data set, and paired comparisons."""
    lines = []
    for name in dict.fromkeys(row["data"] for row in rows):
        here = [row for row in rows if row["data"] == name]
        seeds = len({row["seed"] for row in here})
        lines += [
            f"**{name}**, {seeds} seeds",
            "",
            "| network | logits | trained by | teacher | accuracy % | balanced accuracy % | F1 | AUROC | AP | NLL |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        for key in dict.fromkeys((row["network"], row["logits"], row["by"], row["teacher"]) for row in here):
            runs = [row for row in here if (row["network"], row["logits"], row["by"], row["teacher"]) == key]
            percents = [spread([100 * run[metric] for run in runs], 2) for metric in METRICS[:2]]
            others = [spread([run[metric] for run in runs], 4) for metric in METRICS[2:]]
            lines.append(f"| {' | '.join(map(str, key))} | {' | '.join([*percents, *others])} |")
        lines += ["", *gains(here), ""]
    points = [
        {"NLL": row["nll"], "average precision": row["average_precision"], "network": f"{row['network']}, {row['by']}"}
        for row in rows
        if row["data"] == "HTRU2" and "balanced" not in row["by"] + row["teacher"]
    ]
    order = list(dict.fromkeys(point["network"] for point in points))
    figure = figures.scatter(points, x="NLL", y="average precision", colour="network", order=order)
    (HERE / "htru2.svg").write_text(str(figure))
    (HERE / "README.md").write_text((HERE / "about.md").read_text().replace("TABLE", "\n".join(lines)))


def gains(rows: list[dict[str, Any]]) -> list[str]:
    """Return a line for each comparison, paired by seed: means over the kinds of students that there are on both sides."""
    students = [
        {**row, "objective": row["teacher"].split(",")[0]}
        for row in rows
        if row["network"] == "student" and not row["teacher"].startswith("balanced")
    ]
    from_ce = [row for row in students if row["objective"] in {"", "CE"}]
    comparisons = {
        "one logit less two": (students, "logits", 1, 2, ("by", "objective")),
        "dkd less kd": (students, "by", "dkd", "kd", ("logits", "objective")),
        "Brier teachers less CE teachers": (students, "objective", "Brier", "CE", ("logits", "by")),
        "kd of CE teachers less labels alone": (from_ce, "by", "kd", "labels alone", ("logits",)),
    }
    lines = ["| students, difference paired by seed | AUROC | average precision | NLL |", "|---|---|---|---|"]
    for what, comparison in comparisons.items():
        gaps = [differences(metric, *comparison) for metric in ("auroc", "average_precision", "nll")]
        if all(gaps):
            lines.append(f"| {what} | {' | '.join(map(paired, gaps))} |")
    return lines


def differences(
    metric: str, rows: list[dict[str, Any]], key: str, one: Any, other: Any, alike: tuple[str, ...]
) -> dict[int, float]:
    """Return by seed the mean difference of `metric` between rows whose `key` is one and other, and which are `alike`."""
    sides: dict[Any, dict[tuple[Any, ...], list[float]]] = {one: {}, other: {}}
    for row in rows:
        if row[key] in sides:
            kind = (row["seed"], *(row[name] for name in alike))
            sides[row[key]].setdefault(kind, []).append(row[metric])
    gaps: dict[int, list[float]] = {}
    for kind in sides[one].keys() & sides[other].keys():
        gap = statistics.fmean(sides[one][kind]) - statistics.fmean(sides[other][kind])
        gaps.setdefault(kind[0], []).append(gap)
    return {seed: statistics.fmean(values) for seed, values in gaps.items()}


def paired(gaps: dict[int, float]) -> str:
    """Return the mean difference with its 95 % interval."""
    gain = paired_gain(gaps, dict.fromkeys(gaps, 0.0))
    assert gain is not None
    assert gain.low is not None
    assert gain.high is not None
    return f"{gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"


def spread(values: list[float], digits: int) -> str:
    return f"{statistics.fmean(values):.{digits}f} ±{statistics.stdev(values):.{digits}f}"


if __name__ == "__main__":
    main()
