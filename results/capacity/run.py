"""Do small students fall short for lack of capacity? `run.py --work FOLDER`: students of rising size.

Blended handwritten digits; every student is distilled on the samples alone, on KD+'s inputs and on mixup's, with the same
number of steps. Measured on the teacher's own training images and on the test split. Runs that are there are kept.
Writes results.json, README.md (from about.md) and two figures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

import preceptor
from preceptor.assessment import compare
from preceptor.data import Data, load, plain_batches
from preceptor.experiments.statistics import paired_gain, spread
from preceptor.reports import figures
from preceptor.training import choose_engine, predict

HERE = Path(__file__).parent
STUDENTS = ("mlp", "convnet_s", "resnet8", "convnet_m")
INPUTS: dict[str, dict[str, Any]] = {
    "samples": {"name": "real"},
    "KD+": {"name": "kd_plus", "real_share": 0.3},
    "mixup": {"name": "mixup", "real_share": 0.3},
}
SEEDS = (0, 1, 2, 3, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for runs")
    options = parser.parse_args()
    sizes = {"samples": 1200, "test_samples": 4000}
    section: dict[str, Any] = {"name": "ambiguous_digits", **sizes}
    data = load("ambiguous_digits", options=sizes)
    common: Any = {"epochs": 40, "engine": "plain", "progress": False, "resume": True}
    rows: list[dict[str, Any]] = []
    for seed in SEEDS:
        teacher = preceptor.teach(
            data=section, model="convnet_m", seed=seed, out=options.work / f"teacher{seed}", **common
        )
        said = on_train(teacher.model, data)
        rows.append(
            {"seed": seed, "network": "teacher", "test": teacher.metrics.accuracy, "train": accuracy(said, data)}
        )
        for name in STUDENTS:
            for label, inputs in INPUTS.items():
                student = preceptor.distill(
                    data=section,
                    model=name,
                    teacher=teacher,
                    inputs=inputs,
                    seed=seed,
                    out=options.work / f"{name}-{label}-{seed}",
                    **common,
                )
                own = on_train(student.model, data)
                found = compare(own, said, data.train.labels)
                rows.append(
                    {
                        "seed": seed,
                        "network": name,
                        "inputs": label,
                        "parameters": student.record.parameters,
                        "test": student.metrics.accuracy,
                        "train": accuracy(own, data),
                        "memorisation KL": found.kl,
                        "memorisation agreement": found.agreement,
                        "minutes": student.record.seconds / 60,
                    }
                )
                print(rows[-1], flush=True)
                (HERE / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
    write(rows)


def on_train(network: torch.nn.Module, data: Data) -> torch.Tensor:
    """Return logits of the teacher's own training images, not augmented."""
    batches = plain_batches(data.train, data.normalisation, 500, torch.device("cpu"))
    return predict(network, batches, choose_engine("cpu", "fp32"))


def accuracy(logits: torch.Tensor, data: Data) -> float:
    return float((logits.argmax(1) == data.train.labels).double().mean())


def write(rows: list[dict[str, Any]]) -> None:
    lines = [
        "| network | inputs | test accuracy % | behind its teacher, points | over the samples alone, paired, 95 % interval "
        "| KL to the teacher on its training images | agreement there % | accuracy there % |",
        "|---" * 8 + "|",
    ]
    teachers = [row for row in rows if row["network"] == "teacher"]
    tests = {row["seed"]: row["test"] for row in teachers}
    lines.append(
        f"| teacher (convnet_m) | samples | {of(teachers, 'test', 100)} | | | | | {of(teachers, 'train', 100)} |"
    )
    for name in STUDENTS:
        for label in INPUTS:
            here = [row for row in rows if row["network"] == name and row["inputs"] == label]
            base = {row["seed"]: row["test"] for row in rows if row["network"] == name and row["inputs"] == "samples"}
            gap = spread([100 * (tests[row["seed"]] - row["test"]) for row in here])
            gain = paired_gain({row["seed"]: row["test"] for row in here}, base)
            assert gain is not None
            assert gain.low is not None
            assert gain.high is not None
            over = (
                f"{100 * gain.mean:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]" if label != "samples" else ""
            )
            size = f"{name} ({here[0]['parameters']:,})"
            lines.append(
                f"| {size} | {label} | {of(here, 'test', 100)} | {gap.mean:.1f} | {over} | {of(here, 'memorisation KL', 1, 3)} "
                f"| {of(here, 'memorisation agreement', 100)} | {of(here, 'train', 100)} |"
            )
    points = [
        {
            "parameters": row["parameters"],
            "inputs": row["inputs"],
            "test accuracy %": 100 * row["test"],
            "KL to the teacher on its training images": row["memorisation KL"],
        }
        for row in rows
        if row["network"] != "teacher"
    ]
    for key, file in (
        ("test accuracy %", "accuracy.svg"),
        ("KL to the teacher on its training images", "memorisation.svg"),
    ):
        drawn = figures.lines(points, x="parameters", y=key, colour="inputs", order=list(INPUTS))
        (HERE / file).write_text(str(drawn))
    (HERE / "README.md").write_text((HERE / "about.md").read_text().replace("TABLE", "\n".join(lines)))


def of(rows: list[dict[str, Any]], key: str, scale: float, digits: int = 1) -> str:
    found = spread([scale * row[key] for row in rows])
    return f"{found.mean:.{digits}f} ±{found.std:.{digits}f}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
