"""The teachers that are compared: trained in different ways, or one network with other outputs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

import preceptor
from preceptor.artifacts.teachers import load_teachers
from preceptor.config.sections import TeacherSection
from preceptor.data import Data

__all__ = ["BENCHES", "KINDS", "Bench", "Divided", "kept_epoch", "train", "trained"]


@dataclass(frozen=True)
class Kind:
    """A way to make a teacher.

    Attributes:
        group: its colour in the figures.
        settings: keys of `preceptor.teach`.
        length: times the usual number of epochs.
        is_small: whether it is the student's network.
        own_run: False for the network of `cross_entropy`, with other outputs.
    """

    group: str
    settings: dict[str, Any] = field(default_factory=dict)
    length: float = 1.0
    is_small: bool = False
    own_run: bool = True


@dataclass(frozen=True)
class Bench:
    """A data set, how teachers and students are trained on it, and which teachers there are."""

    data: dict[str, Any]
    training: dict[str, Any]
    teacher: str
    student: str
    teacher_epochs: int
    student_epochs: int
    kinds: tuple[str, ...]
    seeds: tuple[int, ...]


def _objective(name: str, **terms: Any) -> dict[str, Any]:
    return {"objective": {"name": name, **terms}}


KINDS = {
    "cross_entropy": Kind("cross-entropy"),
    "weight decay 0": Kind("cross-entropy", {"weight_decay": 0.0}),
    "weight decay 5e-3": Kind("cross-entropy", {"weight_decay": 5e-3}),
    "smoothing 0.05": Kind("label smoothing", _objective("label_smoothing", smoothing=0.05)),
    "smoothing 0.2": Kind("label smoothing", _objective("label_smoothing", smoothing=0.2)),
    "smoothing 0.4": Kind("label smoothing", _objective("label_smoothing", smoothing=0.4)),
    "brier": Kind("Brier", _objective("brier")),
    "cross_entropy + brier": Kind("Brier", _objective("cross_entropy", brier={"weight": 1.0})),
    "soteacher": Kind("regularised", _objective("soteacher")),
    "lipschitz 1e-4": Kind("regularised", _objective("cross_entropy", lipschitz={"weight": 1e-4})),
    "consistency": Kind(
        "regularised", _objective("cross_entropy", consistency={"weight": {"schedule": "linear", "peak": 1.0}})
    ),
    "confidence_ranking": Kind("regularised", _objective("confidence_ranking")),
    "half as long": Kind("other network or length", length=0.5),
    "twice as long": Kind("other network or length", length=2.0),
    "student's network": Kind("other network or length", is_small=True),
    "mlp": Kind("other network or length", {"model": "mlp"}),
    "stopped": Kind("cross-entropy's other outputs", own_run=False),  # at its lowest validation NLL
    "sharpened": Kind("cross-entropy's other outputs", own_run=False),  # logits times 3
    "calibrated": Kind("cross-entropy's other outputs", own_run=False),  # at the temperature fitted on validation
}

BENCHES = {
    "ambiguous_digits": Bench(
        data={"name": "ambiguous_digits", "samples": 3000, "validation": 2 / 3, "test_samples": 4000},
        training={"engine": "plain"},
        teacher="convnet_m",
        student="convnet_s",
        teacher_epochs=40,
        student_epochs=40,
        kinds=tuple(KINDS),
        seeds=(0, 1, 2),
    ),
    "cifar10": Bench(
        data={"name": "cifar10", "limit": 2000, "validation": 0.04, "view": "none"},
        training={"schedule": "one_cycle", "optim": {"lr": 0.1}, "batch_size": 32},
        teacher="resnet14",
        student="resnet8",
        teacher_epochs=16,
        student_epochs=10,
        kinds=(
            "cross_entropy",
            "stopped",
            "smoothing 0.2",
            "brier",
            "soteacher",
            "sharpened",
            "calibrated",
            "confidence_ranking",
            "student's network",
            "lipschitz 1e-4",
            "weight decay 5e-3",
            "consistency",
        ),
        seeds=(0, 1, 2),
    ),
}


class Divided(nn.Module):
    """A network whose logits are divided by a temperature."""

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits."""
        return self.network(inputs) / self.temperature  # type: ignore[no-any-return]


def train(bench: Bench, name: str, seed: int, out: Path) -> None:
    """Train a teacher of its own run, unless it is there."""
    if (out / "result.json").exists():
        return
    kind, optim = KINDS[name], dict(bench.training.get("optim", {}))
    settings = dict(kind.settings)
    if "weight_decay" in settings:
        optim["weight_decay"] = settings.pop("weight_decay")
    preceptor.teach(
        data=bench.data,
        model=settings.pop("model", bench.student if kind.is_small else bench.teacher),
        epochs=round(kind.length * bench.teacher_epochs),
        keep_every=1 if name == "cross_entropy" else 0,
        seed=seed,
        out=out,
        resume=True,
        progress=False,
        **{**bench.training, "optim": optim, **settings},
    )


def kept_epoch(run: Path) -> int:
    """Return the epoch of a run with the lowest validation NLL."""
    history = json.loads((run / "result.json").read_text())["history"]
    return min(range(len(history)), key=lambda number: history[number]["validation"]["nll"]) + 1


def trained(run: Path, data: Data, epoch: int | None = None) -> nn.Module:
    """Return the network of a run, or as it was after an epoch."""
    (network,) = load_teachers(TeacherSection(path=str(run), epoch=epoch), data)
    return network
