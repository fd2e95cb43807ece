"""Does a teacher's distance to the true posterior say how good its student gets? `run.py --work FOLDER`.

Figure 1 of the MSE-teacher paper (ECCV 2024) on its Gaussian classes, whose posterior p* is known. Students are trained on
nothing but what a teacher says (KL, temperature 1). The teachers: noisy posteriors epsilon Y + (1 - epsilon) p*, networks
trained with cross-entropy and Brier at six epochs, and those stopped at the best validation epoch. What has been
measured is kept in FOLDER/rows.jsonl. Writes results.json, README.md (from about.md) and four figures.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor
from torch.nn import functional

import preceptor
from preceptor.artifacts.load import load_run_network
from preceptor.artifacts.run_folder import RunFolder
from preceptor.assessment import distance_to_truth
from preceptor.data import Arrays, Data, load
from preceptor.experiments.statistics import paired_gain
from preceptor.reports import figures

HERE = Path(__file__).parent
PUBLISHED, OURS = 32, 128  # samples a batch
SEEDS = (0, 1, 2)
CLOUD = 30
EPOCHS = (10, 20, 30, 50, 70, 100)  # of trained teachers
STOPPED = {"cross_entropy": "best_val_nll", "brier": "best_val_brier"}
DISTANCES = {
    "mse": "MSE to p* per sample",
    "l2": "L2 to p*, Frobenius",
    "cross_entropy_floored": "cross-entropy to p*, log q >= -10",
}
GROUPS = ("noisy posterior", "cross_entropy", "brier", "cross_entropy, stopped", "brier, stopped", "p*", "labels")
NEAR = 0.1  # MSE, of the figure that looks closer
Rows = list[dict[str, Any]]


class Record:
    """Rows by name, each written as soon as it is there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.rows: Rows = [json.loads(line) for line in lines]

    def once(self, name: str, measure: Callable[[], dict[str, Any]]) -> None:
        """Measure and write a row, unless it is there."""
        if any(row["name"] == name for row in self.rows):
            return
        row = {"name": name, **measure()}
        self.rows.append(row)
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(name, f"L2 {row['l2']:.2f}", f"student {100 * row['student accuracy']:.2f} %", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for runs")
    work = parser.parse_args().work
    work.mkdir(parents=True, exist_ok=True)
    record, data = Record(work / "rows.jsonl"), load("gaussian")
    for seed in SEEDS:
        add(seed, OURS, data, work, record)
    add(SEEDS[0], PUBLISHED, data, work, record)
    noise = torch.rand(CLOUD, generator=torch.Generator().manual_seed(0)).tolist()
    for number, epsilon in enumerate(noise):
        same = {"seed": number % len(SEEDS), "batch_size": OURS, "data": data, "work": work}
        record.once(f"cloud {number}", partial(from_posterior, GROUPS[0], epsilon, **same))
    assert data.test.truth is not None
    finish(record.rows, float((data.test.truth.argmax(1) == data.test.labels).double().mean()))


def add(seed: int, batch_size: int, data: Data, work: Path, record: Record) -> None:
    """Add the rows of the students of p*, of labels, and of trained networks at some epochs and at their best one."""
    same = {"seed": seed, "batch_size": batch_size, "data": data, "work": work}
    for name, epsilon in (("p*", 0.0), ("labels", 1.0)):
        record.once(f"{name} {seed} {batch_size}", partial(from_posterior, name, epsilon, **same))
    for objective, rule in STOPPED.items():
        kept = teach(objective, seed, batch_size, work, {"keep_every": 10})
        for epoch in EPOCHS:
            name = f"{objective} {seed} epoch {epoch} {batch_size}"
            record.once(name, partial(from_network, objective, kept, epoch, **same))
        stopped = teach(objective, seed, batch_size, work, {"stop_at": rule})
        epoch = int(RunFolder(stopped).read_record().selected_epoch)
        name = f"{objective} {seed} stopped {batch_size}"
        record.once(name, partial(from_network, f"{objective}, stopped", stopped, epoch, **same))


def settings(batch_size: int) -> dict[str, Any]:
    """Return the published settings, with the learning rate in proportion to the batch."""
    return {
        "model": "mlp",
        "epochs": 100,
        "batch_size": batch_size,
        "optim": {"name": "sgd", "lr": 5e-4 * batch_size / PUBLISHED, "momentum": 0.9, "weight_decay": 0.0},
        "schedule": "constant",
        "engine": "plain",
        "device": "cpu",
        "overwrite": True,
        "progress": False,
    }


def from_posterior(group: str, epsilon: float, *, seed: int, batch_size: int, data: Data, work: Path) -> dict[str, Any]:
    """Return the row of a student of epsilon Y + (1 - epsilon) p*."""
    train, truth = data.train, truth_of(data)
    noisy = epsilon * functional.one_hot(train.labels, data.num_classes) + (1 - epsilon) * truth
    inputs = train.inputs(torch.arange(len(train)))
    noised = replace(data, train=Arrays(inputs, train.labels, noisy))
    return {
        "group": group,
        "seed": seed,
        "batch_size": batch_size,
        "epsilon": epsilon,
        **distances(noisy.clamp_min(1e-12).log(), truth),
        **distil({"truth": True}, noised, seed, batch_size, work),
    }


def teach(objective: str, seed: int, batch_size: int, work: Path, more: dict[str, Any]) -> Path:
    """Return the run of a teacher, trained unless it is there."""
    out = work / f"{objective}-{'-'.join(more)}-{seed}-{batch_size}"
    if not (out / "result.json").exists():
        preceptor.teach(data="gaussian", objective=objective, seed=seed, out=out, **settings(batch_size), **more)
    return out


def from_network(
    group: str, run: Path, epoch: int, *, seed: int, batch_size: int, data: Data, work: Path
) -> dict[str, Any]:
    """Return the row of a student of a run's network, at that kept epoch where it kept any."""
    folder = RunFolder(run)
    network = load_run_network(folder, folder.kept_epochs().get(epoch)).eval()
    with torch.no_grad():
        on_train, on_test = (network(split.inputs(torch.arange(len(split)))) for split in (data.train, data.test))
    return {
        "group": group,
        "seed": seed,
        "batch_size": batch_size,
        "epoch": epoch,
        "teacher accuracy": float((on_test.argmax(1) == data.test.labels).double().mean()),
        **distances(on_train, truth_of(data)),
        **distil(network, data, seed, batch_size, work),
    }


def distil(teacher: Any, data: Data, seed: int, batch_size: int, work: Path) -> dict[str, float]:
    """Return the last epoch's test scores of a student that sees its teacher's softmax only."""
    out = work / "student"
    method = {"name": None, "kd": {"weight": 1.0, "temperature": 1.0}}
    data = replace(data, validation=data.validation.take(torch.arange(0)))  # nothing is chosen: the last epoch counts
    # students' initial weights and order are their own: not those of the teacher of the same seed
    run = preceptor.distill(data=data, teacher=teacher, method=method, seed=100 + seed, out=out, **settings(batch_size))
    shutil.rmtree(out)
    test = run.record.test
    return {"student accuracy": test["accuracy"], "student expected accuracy": test["truth_expected_accuracy"]}


def distances(logits: Tensor, truth: Tensor) -> dict[str, float]:
    found = distance_to_truth(logits, truth)
    return {
        "mse": found.mse,
        "l2": found.l2,
        "cross_entropy": found.cross_entropy,
        "cross_entropy_floored": found.cross_entropy_floored,
    }


def truth_of(data: Data) -> Tensor:
    assert data.train.truth is not None
    return data.train.truth


def finish(rows: Rows, bayes: float) -> None:
    """Write numbers, tables and figures."""
    (HERE / "results.json").write_text(json.dumps({"bayes": bayes, "rows": rows}, indent=1) + "\n")
    ours = [row for row in rows if row["batch_size"] == OURS]
    tables = [
        f"Bayes accuracy on test: {100 * bayes:.2f} %.",
        table_of_teachers(ours),
        table_of_gains(ours),
        table_of_correlations(ours),
        table_of_places(ours),
        table_of_controls(rows),
    ]
    for key in DISTANCES:
        draw(ours, key, key)
    draw([row for row in ours if row["mse"] < NEAR], "mse", "near")
    (HERE / "README.md").write_text((HERE / "about.md").read_text().replace("TABLE", "\n\n".join(tables)))


def draw(rows: Rows, key: str, name: str) -> None:
    ends = "p* and labels"
    points = [
        {
            DISTANCES[key]: row[key],
            "student accuracy %": 100 * row["student accuracy"],
            "teacher": ends if row["group"] in {"p*", "labels"} else row["group"],
        }
        for row in rows
    ]
    order = [*GROUPS[:-2], ends]
    figure = figures.scatter(points, x=DISTANCES[key], y="student accuracy %", colour="teacher", order=order)
    (HERE / f"{name}.svg").write_text(str(figure))


def table(*lines: list[str]) -> str:
    head, *body = [f"| {' | '.join(cells)} |" for cells in lines]
    return "\n".join([head, "|---" * len(lines[0]) + "|", *body])


def kinds(rows: Rows) -> list[tuple[str, Rows]]:
    """Return the rows of p*, labels, and each objective at each epoch and stopped, by what the tables call them."""
    named = [(group, of(rows, group)) for group in ("p*", "labels")]
    for objective, rule in STOPPED.items():
        kept = of(rows, objective)
        named += [(f"{objective}, epoch {epoch}", [row for row in kept if row["epoch"] == epoch]) for epoch in EPOCHS]
        stopped = of(rows, f"{objective}, stopped")
        epochs = ", ".join(str(row["epoch"]) for row in stopped)
        named.append((f"{objective}, {rule} (epochs {epochs})", stopped))
    return named


def of(rows: Rows, *groups: str) -> Rows:
    return [row for row in rows if row["group"] in groups]


def table_of_teachers(rows: Rows) -> str:
    lines = [["teacher", "its accuracy %", "MSE to p*", "L2, Frobenius", "cross-entropy to p*", "student %"]]
    for name, found in kinds(rows):
        own = spread([100 * row["teacher accuracy"] for row in found], 2) if "teacher accuracy" in found[0] else ""
        cells = [spread([row[key] for row in found], digits) for key, digits in zip(DISTANCES, (4, 2, 3), strict=True)]
        lines.append([name, own, *cells, spread([100 * row["student accuracy"] for row in found], 2)])
    return table(*lines)


def table_of_gains(rows: Rows) -> str:
    """Return paired gains over the students of cross-entropy's network stopped early, and of its last one."""
    of_kind = {name: {row["seed"]: 100 * row["student accuracy"] for row in found} for name, found in kinds(rows)}
    baselines = [name for name in of_kind if name.startswith("cross_entropy, best")] + ["cross_entropy, epoch 100"]
    lines = [["points, paired, 95 % interval: student of", *(f"over that of {name}" for name in baselines)]]
    for name, accuracy in of_kind.items():
        if name in {"p*", "labels"} or name.endswith("epoch 100") or "best" in name:
            lines.append([name, *("" if name == base else gain_over(accuracy, of_kind[base]) for base in baselines)])
    return table(*lines)


def gain_over(accuracy: dict[int, float], baseline: dict[int, float]) -> str:
    gain = paired_gain(accuracy, baseline)
    assert gain is not None
    assert gain.low is not None
    assert gain.high is not None
    return f"{gain.mean:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]"


def table_of_correlations(rows: Rows) -> str:
    lines = [["teachers", "n", "Pearson, MSE", "Spearman, MSE", "Pearson, cross-entropy", "Spearman, cross-entropy"]]
    trained = [name for name in GROUPS if name.startswith(tuple(STOPPED))]
    groups = {
        "all": rows,
        "noisy posterior": of(rows, "noisy posterior"),
        "trained networks": of(rows, *trained),
        **{f"{name}, kept epochs": of(rows, name) for name in STOPPED},
        "trained, from its nearest epoch on": [row for row in of(rows, *STOPPED) if not is_early(row, rows)],
        "trained, last epoch and stopped": [
            row for row in of(rows, *trained) if row["epoch"] == 100 or "stop" in row["group"]
        ],
    }
    for name, found in groups.items():
        cells = [
            correlation([row[key] for row in found], [row["student accuracy"] for row in found], kind)
            for key in ("mse", "cross_entropy_floored")
            for kind in (stats.pearsonr, stats.spearmanr)
        ]
        lines.append([name, str(len(found)), *cells])
    return table(*lines)


def is_early(row: dict[str, Any], rows: Rows) -> bool:
    """Return whether a network lies before the epoch at which its run is nearest to p*."""
    run = [other for other in of(rows, row["group"]) if other["seed"] == row["seed"]]
    return bool(row["epoch"] < min(run, key=lambda other: float(other["mse"]))["epoch"])


def correlation(x: list[float], y: list[float], kind: Callable[..., Any]) -> str:
    """Return a correlation with its 95 % percentile bootstrap interval, points resampled."""
    random, pairs = np.random.default_rng(0), np.array([x, y])
    random_bits = [random.integers(len(x), size=len(x)) for _ in range(2000)]
    resampled = [kind(*pairs[:, rows]).statistic for rows in random_bits if len(set(rows)) > 2]
    low, high = np.percentile(resampled, [2.5, 97.5])
    return f"{kind(*pairs).statistic:+.2f} [{low:+.2f}, {high:+.2f}]"


def table_of_places(rows: Rows) -> str:
    """Return how students of networks lie to those of noisy posteriors, a cubic through these, at the same distance."""
    cloud = sorted(of(rows, "noisy posterior", "p*", "labels"), key=lambda row: float(row["mse"]))
    lines = [["students of", "over those of noisy posteriors at the same MSE, points", "at the same cross-entropy"]]
    networks: dict[str, Rows] = {}
    for name in STOPPED:
        kept = of(rows, name)
        networks[f"{name}, before its nearest epoch"] = [row for row in kept if is_early(row, rows)]
        networks[f"{name}, from its nearest epoch on"] = [row for row in kept if not is_early(row, rows)]
        networks[f"{name}, stopped"] = of(rows, f"{name}, stopped")
    for name, found in networks.items():
        cells = []
        for key in ("mse", "cross_entropy_floored"):
            fit = np.polyfit([row[key] for row in cloud], [100 * row["student accuracy"] for row in cloud], 3)
            cells.append(spread([100 * row["student accuracy"] - float(np.polyval(fit, row[key])) for row in found], 2))
        lines.append([name, *cells])
    return table(*lines)


def table_of_controls(rows: Rows) -> str:
    """Return students at the published batch size beside ours, seed 0."""
    here = [row for row in rows if row["seed"] == SEEDS[0]]
    sides = [kinds([row for row in here if row["batch_size"] == size]) for size in (PUBLISHED, OURS)]
    lines = [["teacher (seed 0)", "L2, batch 32, lr 5e-4", "L2, ours", "student %, batch 32", "student %, ours"]]
    for (name, (theirs,)), (_, (own,)) in zip(*sides, strict=True):
        cells = [f"{row['l2']:.2f}" for row in (theirs, own)]
        lines.append([name, *cells, *(f"{100 * row['student accuracy']:.2f}" for row in (theirs, own))])
    return table(*lines)


def spread(values: list[float], digits: int) -> str:
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{statistics.fmean(values):.{digits}f} ±{statistics.stdev(values):.{digits}f}"


if __name__ == "__main__":
    main()
