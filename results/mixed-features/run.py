"""What does a teacher's output tend to, and how fast, on SoTeacher's data model? `run.py [--work FOLDER]`.

A network that averages its features over patches is trained on `mixed_features` of growing size. On test, the mean absolute
difference (summed over classes) of its output to the true label distribution (the arithmetic mean over patches) and to the
normalised geometric mean, which the theory says it tends to, over how often a feature occurs in training. Writes
results.json, README.md (from about.md) and figure.svg.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import preceptor
from preceptor.reports import figures

HERE = Path(__file__).parent
PATCHES, DIM, FEATURES, CLASSES = 4, 16, 100, 10
SIZES = (250, 1_000, 4_000, 16_000)  # training and validation samples
SEEDS = (0, 1, 2)
OBJECTIVES = {
    "cross_entropy": "cross_entropy",
    "brier": "brier",
    "consistency": {"name": "cross_entropy", "consistency": {"weight": {"schedule": "linear", "peak": 1.0}}},
}
STEPS = 6_000  # of each run, whatever the size


class PatchMean(nn.Module):
    """softmax(classifier(mean over patches of features(patch))): the theory's network."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Linear(DIM, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU())
        self.classifier = nn.Linear(128, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits of [batch, patches x dim]."""
        return self.classifier(self.features(inputs.reshape(-1, PATCHES, DIM)).mean(1))  # type: ignore[no-any-return]


def data(size: int, truth: str, seed: int) -> dict[str, Any]:
    return {
        "name": "mixed_features",
        "samples": size,
        "patches": PATCHES,
        "dim": DIM,
        "num_features": FEATURES,
        "num_classes": CLASSES,
        "truth": truth,
        "draw_seed": seed,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="folder for runs; default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        rows = [
            row
            for size in SIZES
            for name in OBJECTIVES
            for seed in SEEDS
            for row in measure(size, name, seed, options.work or Path(temporary))
        ]
    (HERE / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
    write(rows)


def measure(size: int, name: str, seed: int, work: Path) -> list[dict[str, Any]]:
    torch.manual_seed(seed)
    network = PatchMean()
    epochs = max(1, round(STEPS / (0.9 * size / 50)))
    run = preceptor.teach(
        data=data(size, "posterior", seed),
        model=network,
        objective=OBJECTIVES[name],
        epochs=epochs,
        batch_size=50,
        seed=seed,
        optim={"name": "adamw", "lr": 1e-3},
        engine="plain",
        out=work / f"{name}-{size}-{seed}",
        overwrite=True,
        progress=False,
    )
    history = run.record.history
    row: dict[str, Any] = {"size": size, "objective": name, "seed": seed, "train": history[-1]["train"]["accuracy"]}
    for truth in ("posterior", "geometric"):
        (found,) = preceptor.assess(run.model, data=data(size, truth, seed), device="cpu")
        assert found.test.metrics.truth is not None
        row[truth] = 2 * found.test.metrics.truth.total_variation
        if found.calibrated is not None and found.calibrated.metrics.truth is not None:
            row[f"{truth} at T"] = 2 * found.calibrated.metrics.truth.total_variation
    print(row, flush=True)
    return [row]


def write(rows: list[dict[str, Any]]) -> None:
    lines = [
        "| samples | a feature occurs | objective | train accuracy % | L1 to the true distribution | to the geometric mean "
        "| to the true one, at T |",
        "|---|---|---|---|---|---|---|",
    ]
    for size in SIZES:
        for name in OBJECTIVES:
            runs = [row for row in rows if row["size"] == size and row["objective"] == name]
            cells = [spread([row[key] for row in runs]) for key in ("posterior", "geometric", "posterior at T")]
            train = f"{100 * statistics.fmean(row['train'] for row in runs):.0f}"
            lines.append(
                f"| {size:,} | {0.9 * size * PATCHES / FEATURES:,.0f} | {name} | {train} | {' | '.join(cells)} |"
            )
    points = [
        {
            "occurrences of a feature": round(0.9 * row["size"] * PATCHES / FEATURES),
            "L1 distance": row[truth],
            "to": f"{row['objective']}, to the {'true' if truth == 'posterior' else 'geometric'} one",
        }
        for row in rows
        for truth in ("posterior", "geometric")
    ]
    order = list(dict.fromkeys(point["to"] for point in points))
    figure = figures.lines(points, x="occurrences of a feature", y="L1 distance", colour="to", order=order)
    (HERE / "figure.svg").write_text(str(figure))
    (HERE / "README.md").write_text((HERE / "about.md").read_text().replace("TABLE", "\n".join(lines)))


def spread(values: list[float]) -> str:
    return f"{statistics.fmean(values):.3f} ±{statistics.stdev(values):.3f}"


if __name__ == "__main__":
    main()
