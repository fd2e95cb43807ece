"""Which teacher to take, without distilling from each? `run.py --root FOLDER --work FOLDER`.

Every teacher of teachers.py is measured on validation as `preceptor assess` does, and distilled into the same student;
the ranks of both are compared. Runs that are there are kept. Writes results.json, README.md (from about.md), and figures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from table import write
from teachers import BENCHES, KINDS, Bench, Divided, kept_epoch, train, trained
from torch import Tensor, nn

import preceptor
from preceptor.assessment import fit_temperature, profile
from preceptor.config.sections import DataSection
from preceptor.data import Data, plain_batches
from preceptor.runner.data import load_data
from preceptor.training import choose_engine, predict

HERE = Path(__file__).parent
SHARP = 1 / 3  # the temperature of the overconfident teacher
FEW = 200  # validation samples, to see how much their number matters


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True, help="folder of the unpacked CIFAR-10 files")
    parser.add_argument("--work", type=Path, required=True, help="folder for runs")
    parser.add_argument("--only", nargs="*", default=list(BENCHES), help="these data sets only")
    options = parser.parse_args()
    torch.set_num_threads(1)  # the networks are too small for more
    for name in options.only:
        bench = BENCHES[name]
        if name == "cifar10":
            bench.data["root"] = options.root
        data = load_data(DataSection(**bench.data))
        for kind in bench.kinds:
            for seed in bench.seeds:
                row = {"data": name, **measured(bench, kind, seed, options.work / name, data)}
                (options.work / name / f"row.{kind}.{seed}.json").write_text(json.dumps(row))
                print(name, kind, seed, f"{row['train accuracy']:.3f} {row['student accuracy']:.4f}", flush=True)
    rows = [row for name, bench in BENCHES.items() for row in finished(bench, options.work / name)]
    (HERE / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
    write(rows)


def finished(bench: Bench, work: Path) -> list[dict[str, Any]]:
    """Return the rows of the teachers that all seeds have."""
    files = {kind: [work / f"row.{kind}.{seed}.json" for seed in bench.seeds] for kind in bench.kinds}
    done = [file for each in files.values() if all(file.exists() for file in each) for file in each]
    return [json.loads(file.read_text()) for file in done]


def measured(bench: Bench, kind: str, seed: int, work: Path, data: Data) -> dict[str, Any]:
    """Train, assess and distil a teacher, as far as that is not done, and return its numbers."""
    run = work / f"teacher.{kind if KINDS[kind].own_run else 'cross_entropy'}.{seed}"
    train(bench, kind, seed, run)
    history = json.loads((run / "result.json").read_text())["history"]
    epoch = kept_epoch(run) if kind == "stopped" else len(history)
    network, teacher = trained(run, data, epoch if kind == "stopped" else None), {"path": str(run)}
    logits = logits_of(network, data)
    if kind == "stopped":
        teacher = {"path": str(run), "epoch": epoch}
    if kind in {"sharpened", "calibrated"}:
        temperature = SHARP if kind == "sharpened" else fit_temperature(logits, data.validation.labels)
        network = teacher = Divided(network, temperature).eval()
        logits = logits / temperature
    student = work / f"student.{kind}.{seed}"
    if not (student / "result.json").exists():
        labels = work / "labels" / f"{kind}.{seed}"  # the images come as they are: one view holds all outputs
        preceptor.label(data=bench.data, teacher=network, out=labels, engine="plain", progress=False)
        preceptor.distill(
            data=bench.data,
            teacher=teacher,
            labels=labels,
            model=bench.student,
            method="kd",
            epochs=bench.student_epochs,
            seed=seed,
            out=student,
            resume=True,
            progress=False,
            **bench.training,
        )
    return {
        "kind": kind,
        "group": KINDS[kind].group,
        "seed": seed,
        "epoch": epoch,
        "train accuracy": history[epoch - 1]["train"]["accuracy"],
        "student accuracy": json.loads((student / "result.json").read_text())["test"]["accuracy"],
        "validation": criteria(logits, data.validation.labels, data.validation.truth),
        "few": criteria(
            *(
                each if each is None else each[:: len(each) // FEW]
                for each in (logits, data.validation.labels, data.validation.truth)
            )
        ),
    }


def logits_of(network: nn.Module, data: Data) -> Tensor:
    engine = choose_engine("cpu", "fp32")
    return predict(network, plain_batches(data.validation, data.normalisation, 256, engine.device), engine)


def criteria(logits: Tensor, labels: Tensor, truth: Tensor | None) -> dict[str, float]:
    """Return what could be looked at before choosing, from validation outputs alone."""
    temperature = fit_temperature(logits, labels)
    plain, fitted = (profile(logits / divisor, labels, truth) for divisor in (1.0, temperature))
    found = {
        "accuracy": plain.metrics.accuracy,
        "NLL": plain.metrics.nll,
        "NLL at T": fitted.metrics.nll,
        "NLL at 4": profile(logits / 4, labels, truth).metrics.nll,
        "Brier": plain.metrics.brier,
        "Brier at T": fitted.metrics.brier,
        "Brier's resolution": plain.brier_decomposition.resolution,
        "Brier's reliability": plain.brier_decomposition.reliability,
        "ECE": plain.metrics.ece,
        "class-wise ECE": plain.classwise_ece,
        "ECE at T": fitted.metrics.ece,
        "entropy": plain.entropy,
        "sharpness": plain.sharpness,
        "T": temperature,
    }
    if plain.metrics.truth is not None and fitted.metrics.truth is not None:
        found["distance to truth"] = plain.metrics.truth.mse
        found["distance to truth at T"] = fitted.metrics.truth.mse
        found["KL to truth"] = plain.metrics.truth.kl
        found["KL to truth at T"] = fitted.metrics.truth.kl
    return found


if __name__ == "__main__":
    main()
