"""Does what the theory of teachers says hold for trained networks? `run.py --work FOLDER`.

On data whose label distribution is known: Gaussian classes (three objectives, six replicates, each with training samples and
initial weights of its own) and SoTeacher's mixed features. What has been trained or measured is kept in FOLDER. Writes
results.json, README.md (from about.md) and three figures.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from scipy import stats
from torch import Tensor, nn

import preceptor
from preceptor.artifacts.load import load_run_network
from preceptor.artifacts.run_folder import RunFolder
from preceptor.assessment import distance_to_truth
from preceptor.data import Data, load
from preceptor.experiments.statistics import paired_gain
from preceptor.reports import figures

HERE = Path(__file__).parent
Rows = list[dict[str, Any]]

# Gaussian classes
REPLICATES = range(6)
TRAINING = 5000  # samples of a replicate
OBJECTIVES = ("cross_entropy", "brier", "soteacher")
EPOCHS = tuple(range(10, 101, 10))
GAUSSIAN: dict[str, Any] = {
    "model": "mlp",
    "epochs": 100,
    "batch_size": 128,
    "optim": {"name": "sgd", "lr": 2e-3, "momentum": 0.9, "weight_decay": 0.0},
    "schedule": "constant",
    "keep_every": 10,
}
PLAIN: dict[str, Any] = {"engine": "plain", "device": "cpu", "overwrite": True, "progress": False}

# mixed features
PATCHES, DIM, FEATURES, CLASSES = 4, 16, 100, 10
SEEDS = (0, 1, 2)
STEPS = 4_000  # of each run, whatever the size
SPREADS = (0.0, 0.1, 0.2, 0.3, 0.5)
LIPSCHITZ = (0.0, 1e-4, 1e-3, 3e-3, 1e-2)
NOISES = (0.0, 0.3, 0.6)
CONSISTENCY = {"weight": {"schedule": "linear", "peak": 1.0}}
MIXED = {
    "cross_entropy": "cross_entropy",
    "brier": "brier",
    "consistency": {"name": "cross_entropy", "consistency": CONSISTENCY},
}
TITLES = {
    "spread": "spread",
    "told apart": "patches told apart",
    "train accuracy": "train accuracy",
    "test accuracy": "test accuracy",
    "bound": "product of spectral norms",
    "slope": "slope of the extractor",
    "l1": "L1 to the true distribution",
    "l1 geometric": "L1 to the geometric mean",
    "l1 under noise": "L1 to the true one, inputs noisy (0.3)",
}
OCCURRENCES = (0, 10, 20, 40, 80, 100_000)  # edges of bins


class PatchMean(nn.Module):
    """softmax(classifier(mean over patches of features(patch))): the theory's network.

    Args:
        noise: standard deviation of what is added to every patch in training: a random transformation of representations.
    """

    def __init__(self, noise: float) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Linear(DIM, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU())
        self.classifier = nn.Linear(128, CLASSES)
        self._noise = noise

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits of [batch, patches x dim]."""
        noisy = inputs + self._noise * torch.randn_like(inputs) if self.training else inputs
        return self.classifier(self.features(noisy.reshape(-1, PATCHES, DIM)).mean(1))  # type: ignore[no-any-return]


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
        print(name, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for runs")
    work = parser.parse_args().work
    work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    record = Record(work / "mixed.jsonl")
    for experiment, settings in mixed_runs():
        name = f"{experiment} {json.dumps(settings)}"
        record.once(name, lambda e=experiment, s=settings: mixed(e, s, work))
    data_set = load("gaussian")
    for objective in OBJECTIVES:
        for number in REPLICATES:
            teach(objective, number, replicate(data_set, number), work)
    results = {
        "mixed": [{key: value for key, value in row.items() if key != "name"} for row in record.rows],
        "constant": [constant(settings) for settings in ({"zipf": 0.0, "size": 4000}, {"zipf": 1.0, "size": 1000})],
        "networks": theorem_rows(data_set, work),
        "bias and variance": bias_and_variance(data_set, work),
        "objective": objective_variance(data_set, work),
    }
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    write(results)


def replicate(data_set: Data, number: int) -> Data:
    """Return the data of a replicate: training samples of its own, the same test samples for all."""
    rows = torch.arange(len(data_set.test))
    own = rows[number * TRAINING : (number + 1) * TRAINING]
    return replace(data_set, train=data_set.test.take(own), test=data_set.test.take(rows[len(REPLICATES) * TRAINING :]))


def teach(objective: str, number: int, data: Data, work: Path) -> None:
    out = run_of(objective, number, work)
    if not (out / "result.json").exists():
        preceptor.teach(data=data, objective=objective, seed=number, out=out, **GAUSSIAN, **PLAIN)
        print(out.name, flush=True)


def run_of(objective: str, number: int, work: Path) -> Path:
    return work / f"{objective}-{number}"


def logits_of(objective: str, number: int, epoch: int, inputs: Tensor, work: Path) -> Tensor:
    folder = RunFolder(run_of(objective, number, work))
    return said(load_run_network(folder, folder.kept_epochs()[epoch]), inputs)


@torch.no_grad()
def said(network: nn.Module, inputs: Tensor) -> Tensor:
    logits: Tensor = network.eval()(inputs)
    return logits.double()


def inputs_of(split: Any) -> Tensor:
    inputs: Tensor = split.inputs(torch.arange(len(split)))
    return inputs


# (i) the theorems


def theorem_rows(data_set: Data, work: Path) -> Rows:
    """Return, for every kept epoch of every replicate, what the two theorems leave over."""
    test = replicate(data_set, 0).test
    return [
        {"objective": objective, "replicate": number, "epoch": epoch, **theorem(logits, test.truth, test.labels)}
        for objective in OBJECTIVES
        for number in REPLICATES
        for epoch in EPOCHS
        for logits in [logits_of(objective, number, epoch, inputs_of(test), work)]
    ]


def theorem(logits: Tensor, truth: Tensor | None, labels: Tensor) -> dict[str, float]:
    """Return E|y - p|^2 - E|p* - p|^2 - E[1 - |p*|^2] and the same of cross-entropy, labels enumerated and sampled."""
    assert truth is not None
    target = truth.double() / truth.double().sum(1, keepdim=True)  # stored in float32
    log_outputs = torch.log_softmax(logits.double(), 1)
    outputs = log_outputs.exp()
    squared = 1 - 2 * outputs + outputs.square().sum(1, keepdim=True)  # |e_y - p|^2 for every y
    exact = distance_to_truth(logits, target)
    fits = (target - outputs).square().sum(1), (target * (target.clamp_min(1e-300).log() - log_outputs)).sum(1)
    floors = 1 - target.square().sum(1), -(target * target.clamp_min(1e-300).log()).sum(1)
    distances, constants = (exact.mse, exact.kl), (exact.irreducible_brier, float(floors[1].mean()))
    found: dict[str, float] = {}
    for place, (name, loss) in enumerate({"mse": squared, "ce": -log_outputs}.items()):
        found[f"{name} distance"], found[f"{name} constant"] = distances[place], constants[place]
        expected = float((target * loss).sum(1).mean())
        found[f"{name} enumerated"] = expected - distances[place] - constants[place]
        sampled = loss.gather(1, labels[:, None])[:, 0] - fits[place] - floors[place]
        found[f"{name} sampled"] = float(sampled.mean())
        found[f"{name} standard error"] = float(sampled.std() / math.sqrt(len(labels)))
    return found


# (iv) bias and variance over replicates


def bias_and_variance(data_set: Data, work: Path) -> Rows:
    """Return E|p_T - p*|^2 = |E p_T - p*|^2 + variance on test, E over replicates, without the bias of few of them."""
    test = replicate(data_set, 0).test
    assert test.truth is not None
    rows: Rows = []
    for objective in OBJECTIVES:
        for epoch in EPOCHS:
            outputs = torch.stack(
                [logits_of(objective, r, epoch, inputs_of(test), work).softmax(1) for r in REPLICATES]
            )
            distance = (outputs - test.truth.double()).square().sum(2)
            center = outputs.mean(0)
            around = (outputs - center).square().sum(2)
            of_mean = (center - test.truth.double()).square().sum(1)
            variance = float(around.sum(0).mean() / (len(REPLICATES) - 1))
            rows.append(
                {
                    "objective": objective,
                    "epoch": epoch,
                    "distance": distance.mean(1).tolist(),
                    "bias": float(distance.mean()) - variance,
                    "variance": variance,
                    "left over": float((distance.mean(0) - of_mean - around.mean(0)).abs().max()),
                    "distance of the mean": float(of_mean.mean()),
                }
            )
    return rows


# (iii) the variance of the student's objective


def objective_variance(data_set: Data, work: Path) -> Rows:
    """Return mean and variance of a fixed student's loss under labels, a teacher and p*, on the teacher's own and new inputs."""
    rows: Rows = []
    for number in REPLICATES:
        data = replicate(data_set, number)
        for where, split in (("training", data.train), ("new", data.test)):
            inputs = inputs_of(split)
            assert split.truth is not None
            targets = {"labels": nn.functional.one_hot(split.labels, data.num_classes), "p*": split.truth}
            for objective in OBJECTIVES:
                for epoch in (20, 100):
                    targets[f"{objective} {epoch}"] = logits_of(objective, number, epoch, inputs, work).softmax(1)
            for epoch in (10, 100):
                # another replicate's network: it has seen neither these samples nor this teacher
                student = logits_of("cross_entropy", (number + 1) % len(REPLICATES), epoch, inputs, work).log_softmax(1)
                for name, target in targets.items():
                    loss = -(target.double() * student).sum(1)
                    rows.append(
                        {
                            "replicate": number,
                            "inputs": where,
                            "student": epoch,
                            "target": name,
                            "mean": float(loss.mean()),
                            "variance": float(loss.var()),
                        }
                    )
    return rows


# (ii) mixed features


def mixed_runs() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what is trained: name of the experiment and settings."""
    usual = {"size": 4000, "spread": 0.1, "zipf": 0.0, "objective": "cross_entropy", "noise": 0.0, "lipschitz": 0.0}
    for seed in SEEDS:
        for objective in MIXED:
            yield "occurrences", {**usual, "size": 1000, "zipf": 1.0, "objective": objective, "seed": seed}
        for spread in SPREADS:
            yield "spread", {**usual, "spread": spread, "seed": seed}
        for weight in LIPSCHITZ:
            yield "lipschitz", {**usual, "spread": 0.4, "lipschitz": weight, "seed": seed}
        for noise in NOISES:
            for objective in ("cross_entropy", "consistency"):
                yield "noise", {**usual, "size": 1000, "noise": noise, "objective": objective, "seed": seed}


def source(settings: Mapping[str, Any], **other: Any) -> dict[str, Any]:
    return {
        "name": "mixed_features",
        "samples": settings["size"],
        "spread": settings["spread"],
        "zipf": settings["zipf"],
        "draw_seed": settings["seed"],
        "patches": PATCHES,
        "dim": DIM,
        "num_features": FEATURES,
        "num_classes": CLASSES,
        **other,
    }


def mixed(experiment: str, settings: dict[str, Any], work: Path) -> dict[str, Any]:
    """Return settings and measurements of one network."""
    data, geometric, exact = (loaded(**source(settings, **o)) for o in ({}, {"truth": "geometric"}, {"spread": 0.0}))
    torch.manual_seed(settings["seed"])
    objective: Any = MIXED[settings["objective"]]
    if settings["lipschitz"]:
        objective = {"name": objective, "lipschitz": {"weight": settings["lipschitz"]}}
    run = preceptor.teach(
        data=data,
        model=PatchMean(settings["noise"]),
        objective=objective,
        epochs=max(1, round(STEPS / (len(data.train) / 50))),
        batch_size=50,
        seed=settings["seed"],
        optim={"name": "adamw", "lr": 1e-3},
        out=work / "mixed",
        **PLAIN,
    )
    network, test = run.model, data.test
    assert isinstance(network, PatchMean)
    inputs = inputs_of(test)
    logits = said(network, inputs)
    assert test.truth is not None
    assert geometric.test.truth is not None
    l1 = (logits.softmax(1) - test.truth).abs().sum(1)
    random = torch.Generator().manual_seed(settings["seed"])
    noisy = said(network, inputs + 0.3 * torch.randn(inputs.shape, generator=random))
    counts = occurrences(exact)
    return {
        "experiment": experiment,
        **settings,
        "train accuracy": run.record.train["accuracy"],
        "test accuracy": run.metrics.accuracy,
        "l1": float(l1.mean()),
        "l1 geometric": float((logits.softmax(1) - geometric.test.truth).abs().sum(1).mean()),
        "l1 under noise": float((noisy.softmax(1) - test.truth).abs().sum(1).mean()),
        "rarest": float(stats.spearmanr(counts.numpy(), l1.numpy()).statistic),
        "l1 by occurrences": [
            float(l1[(counts >= low) & (counts < high)].mean()) for low, high in pairwise(OCCURRENCES)
        ],
        "samples by occurrences": torch.histogram(counts.double(), torch.tensor(OCCURRENCES).double()).hist.tolist(),
        **lipschitz_constants(network, inputs, random),
        "told apart": told_apart(data, exact),
        **theorem(logits, test.truth, test.labels),
    }


def constant(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the L1 distance to the true distribution of a network that always says how often each label occurs."""
    found = []
    for seed in SEEDS:
        data = loaded(**source({**settings, "spread": 0.1, "seed": seed}))
        assert data.test.truth is not None
        often = torch.bincount(data.train.labels, minlength=CLASSES) / len(data.train)
        found.append(float((often - data.test.truth).abs().sum(1).mean()))
    return {**settings, "l1": found}


@cache
def loaded(**options: Any) -> Data:
    return load(options.pop("name"), options=options)


def occurrences(exact: Data) -> Tensor:
    """Return how often the rarest feature of each test sample occurs in training; `exact` is the data without spread."""
    train, test = (inputs_of(split).reshape(-1, DIM) for split in (exact.train, exact.test))
    _, which = torch.cat([train, test]).unique(dim=0, return_inverse=True)
    counts = torch.bincount(which[: len(train)], minlength=int(which.max()) + 1)
    return counts[which[len(train) :]].reshape(-1, PATCHES).min(1).values


def told_apart(data: Data, exact: Data) -> float:
    """Return the share of test patches whose nearest centre is their own feature's: whether p* given names is p* given x."""
    seen, true = (inputs_of(each.test).reshape(-1, DIM) for each in (data, exact))
    centres, which = true.unique(dim=0, return_inverse=True)
    return float((torch.cdist(seen, centres).argmin(1) == which).double().mean())


@torch.no_grad()
def lipschitz_constants(network: PatchMean, inputs: Tensor, random: torch.Generator) -> dict[str, float]:
    """Return the extractor's bound, a product of spectral norms, and how far it moves features for small steps."""
    layers = [layer for layer in network.features if isinstance(layer, nn.Linear)]
    bound = math.prod(float(torch.linalg.matrix_norm(layer.weight.double(), 2)) for layer in layers)
    patches = inputs.reshape(-1, DIM)
    step = 1e-2 * torch.randn(patches.shape, generator=random)
    moved = network.features(patches + step) - network.features(patches)
    return {"bound": bound, "slope": float((moved.norm(dim=1) / step.norm(dim=1)).mean())}


# the tables


def write(results: dict[str, Rows]) -> None:
    mixed_rows, networks = results["mixed"], results["networks"]
    text = [
        "## (i) The two theorems",
        theorem_table(networks, mixed_rows),
        "## (ii) Mixed features",
        occurrences_table(of(mixed_rows, "occurrences")),
        settings_table(
            of(mixed_rows, "spread"), "spread", ("told apart", "train accuracy", "l1", "l1 geometric"), "spread"
        ),
        settings_table(
            of(mixed_rows, "lipschitz"),
            "lipschitz",
            ("bound", "slope", "train accuracy", "test accuracy", "l1", "l1 under noise"),
            "slope",
        ),
        noise_table(of(mixed_rows, "noise")),
        "For comparison, a network that always says how often each label occurs in training: "
        + ", ".join(f"{spread(row['l1'])} (zipf {row['zipf']:g}, {row['size']} samples)" for row in results["constant"])
        + ".",
        "## (iii) The variance of the student's objective",
        objective_table(results["objective"]),
        "## (iv) Bias and variance of teachers",
        bias_table(results["bias and variance"]),
    ]
    (HERE / "README.md").write_text((HERE / "about.md").read_text().replace("TABLE", "\n\n".join(text)))
    draw(results)


def draw(results: dict[str, Rows]) -> None:
    kinds = ("bias", "variance")
    parts = [
        {"teacher epoch": row["epoch"], "squared distance": row[kind], "part": f"{row['objective']}, {kind}"}
        for row in results["bias and variance"]
        for kind in kinds
    ]
    order = [f"{objective}, {kind}" for objective in OBJECTIVES for kind in kinds]
    drawn = {"bias": figures.lines(parts, x="teacher epoch", y="squared distance", colour="part", order=order)}
    spreads = [
        {"spread of a feature": row["spread"], "L1 distance": row[key], "to": f"to the {name} distribution"}
        for row in of(results["mixed"], "spread")
        for key, name in (("l1", "true"), ("l1 geometric", "geometric"))
    ]
    order = ["to the true distribution", "to the geometric distribution"]
    drawn["spread"] = figures.lines(spreads, x="spread of a feature", y="L1 distance", colour="to", order=order)
    slopes = [
        {"slope of the extractor": row["slope"], "L1 to the true distribution": row["l1"], "w": f"{row['lipschitz']:g}"}
        for row in of(results["mixed"], "lipschitz")
    ]
    drawn["lipschitz"] = figures.scatter(
        slopes,
        x="slope of the extractor",
        y="L1 to the true distribution",
        colour="w",
        order=[f"{weight:g}" for weight in LIPSCHITZ],
    )
    for name, figure in drawn.items():
        (HERE / f"{name}.svg").write_text(str(figure))


def table(*lines: list[str]) -> str:
    head, *body = [f"| {' | '.join(cells)} |" for cells in lines]
    return "\n".join([head, "|---" * len(lines[0]) + "|", *body])


def of(rows: Rows, experiment: str) -> Rows:
    return [row for row in rows if row["experiment"] == experiment]


def theorem_table(networks: Rows, mixed_rows: Rows) -> str:
    names = {"mse": "squared error", "ce": "cross-entropy"}
    sampled_heads = "labels sampled: left over, mean [range]", "largest, in standard errors", "beyond 2"
    lines = [
        [
            "data",
            "networks",
            "loss",
            "distance to p*",
            "constant",
            "labels enumerated: largest left over",
            *sampled_heads,
        ]
    ]
    for data, rows in (("gaussian", networks), ("mixed features", mixed_rows)):
        for key, name in names.items():
            distance, constant, left, exact = (
                [row[f"{key} {what}"] for row in rows] for what in ("distance", "constant", "sampled", "enumerated")
            )
            errors = [abs(row[f"{key} sampled"]) / row[f"{key} standard error"] for row in rows]
            lines.append(
                [
                    data,
                    str(len(rows)),
                    name,
                    f"{min(distance):.3f} to {max(distance):.3f}",
                    f"{min(constant):.4f}" if max(constant) - min(constant) < 1e-9 else between(constant),
                    f"{max(map(abs, exact)):.0e}",
                    f"{statistics.fmean(left):+.4f} [{min(left):+.4f}, {max(left):+.4f}]",
                    f"{max(errors):.1f}",
                    f"{sum(error > 2 for error in errors)} of {len(errors)}",
                ]
            )
    return table(*lines)


def between(values: list[float]) -> str:
    return f"{min(values):.4f} to {max(values):.4f}, by data"


def occurrences_table(rows: Rows) -> str:
    bins = [f"{low} to {high - 1}" for low, high in pairwise(OCCURRENCES[:-1])]
    lines = [["objective", *bins, f"{OCCURRENCES[-2]} and more", "rank correlation", "train accuracy %"]]
    for name in MIXED:
        runs = [row for row in rows if row["objective"] == name]
        cells = [spread([row["l1 by occurrences"][place] for row in runs]) for place in range(len(OCCURRENCES) - 1)]
        train = f"{100 * statistics.fmean(row['train accuracy'] for row in runs):.0f}"
        lines.append([name, *cells, spread([row["rarest"] for row in runs]), train])
    return "L1 to the true distribution of samples whose rarest feature occurs so often in training:\n\n" + table(
        *lines
    )


def settings_table(rows: Rows, hyperparameter: str, keys: tuple[str, ...], by: str) -> str:
    """Return means for each setting, and each seed's rank correlation of `by` with the distance."""
    lines = [[{"lipschitz": "weight"}.get(hyperparameter, hyperparameter), *(TITLES[key] for key in keys)]]
    for value in sorted({row[hyperparameter] for row in rows}):
        runs = [row for row in rows if row[hyperparameter] == value]
        lines.append([f"{value:g}", *(spread([row[key] for row in runs]) for key in keys)])
    ranks = []
    for seed in SEEDS:
        runs = [row for row in rows if row["seed"] == seed]
        ranks.append(stats.spearmanr([row[by] for row in runs], [row["l1"] for row in runs]).statistic)
    shown = ", ".join(f"{rank:+.2f}" for rank in ranks)
    return (
        table(*lines) + f"\n\nRank correlation of {TITLES[by]} with L1 to the true distribution, a seed each: {shown}."
    )


def noise_table(rows: Rows) -> str:
    lines = [
        [
            "noise in training",
            "objective",
            "train accuracy",
            "L1 to the true one",
            "the same, inputs noisy (0.3)",
            "consistency less cross-entropy",
        ]
    ]
    for noise in NOISES:
        found = {
            name: {row["seed"]: row for row in rows if (row["noise"], row["objective"]) == (noise, name)}
            for name in ("cross_entropy", "consistency")
        }
        for name, runs in found.items():
            own, base = ({seed: row["l1"] for seed, row in found[k].items()} for k in (name, "cross_entropy"))
            gain = paired_gain(own, base)
            assert gain is not None
            assert gain.low is not None
            assert gain.high is not None
            said_gain = "" if name == "cross_entropy" else f"{gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
            keys = ("train accuracy", "l1", "l1 under noise")
            cells = [spread([row[key] for row in runs.values()]) for key in keys]
            lines.append([f"{noise:g}", name, *cells, said_gain])
    return table(*lines)


def objective_table(rows: Rows) -> str:
    targets, heads = list(dict.fromkeys(row["target"] for row in rows)), ("variance", "bias", "error of a mean of 5000")
    parts, cases, below = [], 0, 0
    for student in (10, 100):
        lines = [["the loss of", *(f"{where} inputs: {what}" for where in ("training", "new") for what in heads)]]
        for target in targets:
            cells = []
            for where in ("training", "new"):
                here = {
                    (row["target"], row["replicate"]): row
                    for row in rows
                    if (row["inputs"], row["student"]) == (where, student)
                }
                own, best = ([here[name, number] for number in REPLICATES] for name in (target, "p*"))
                bias = [o["mean"] - b["mean"] for o, b in zip(own, best, strict=True)]
                variance = [o["variance"] for o in own]
                # of labels the expected bias is 0: what is measured is their noise
                exact = [0.0] * len(own) if target == "labels" else bias
                error = [math.sqrt(v / TRAINING + e**2) for v, e in zip(variance, exact, strict=True)]
                cells += [spread(variance), spread(bias), spread(error)]
                if target not in {"labels", "p*"}:
                    cases += len(own)
                    below += sum(o["variance"] < b["variance"] for o, b in zip(own, best, strict=True))
            lines.append([target, *cells])
        parts.append(f"Student: a cross-entropy network at epoch {student}.\n\n{table(*lines)}")
    return "\n\n".join([*parts, f"A teacher's variance is below that of p* in {below} of {cases} cases."])


def bias_table(rows: Rows) -> str:
    lines = [
        [
            "objective",
            "epoch",
            "E squared distance to p*",
            "bias",
            "variance",
            "share of variance",
            "distance of their mean",
        ]
    ]
    for row in rows:
        if row["epoch"] in {10, 20, 30, 50, 70, 100}:
            mean = statistics.fmean(row["distance"])
            numbers = [f"{row[key]:.4f}" for key in ("bias", "variance")]
            share, of_mean = f"{100 * row['variance'] / mean:.0f} %", f"{row['distance of the mean']:.4f}"
            lines.append([row["objective"], str(row["epoch"]), spread(row["distance"], 4), *numbers, share, of_mean])
    return table(*lines) + f"\n\nThe identity leaves over at most {max(row['left over'] for row in rows):.0e}."


def spread(values: list[float], digits: int = 3) -> str:
    return f"{statistics.fmean(values):.{digits}f} ±{statistics.stdev(values):.{digits}f}"


if __name__ == "__main__":
    main()
