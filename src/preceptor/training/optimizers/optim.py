"""Optimisers, and learning rates as pure functions of the clock (so that a resumed run needs no scheduler state)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from preceptor.distributed.dtensors import is_sharded
from preceptor.training.optimizers.dot import DOT
from preceptor.types import Progress

__all__ = ["LearningRate", "OptimizerSettings"]

OptimizerName = Literal["sgd", "adamw", "dot"]
ScheduleName = Literal["constant", "step", "cosine", "one_cycle"]


@dataclass(frozen=True, slots=True)
class LearningRate:
    """The learning rate over a run.

    Attributes:
        peak: the highest rate.
        name: "step" multiplies by `gamma` after each milestone; "cosine" falls to 0 along half a cosine;
            "one_cycle" rises from peak / 25 over `warmup` (0.3 when 0) and falls to 0 along cosines; "constant" stays.
        milestones: after these epochs; values below 1 are shares of the run.
        warmup: share of the run over which the rate first rises linearly from 0 ("step", "cosine", "constant").
    """

    peak: float
    name: ScheduleName = "constant"
    milestones: tuple[float, ...] = (0.625, 0.75, 0.875)
    gamma: float = 0.1
    warmup: float = 0.0

    def __call__(self, progress: Progress) -> float:
        """Return the rate of this step.

        Example:
            >>> LearningRate(0.05, "step")(Progress(epoch=151, epochs=240, fraction=150 / 240))
            0.005000000000000001
        """
        if self.name == "one_cycle":
            return self.peak * _one_cycle(progress.fraction, self.warmup or 0.3)
        rise = min((progress.fraction + 1e-12) / self.warmup, 1.0) if self.warmup else 1.0
        if self.name == "step":
            return (
                self.peak * rise * self.gamma ** sum(progress.epoch > self._epoch(m, progress) for m in self.milestones)
            )
        if self.name == "cosine":
            share = max(progress.fraction - self.warmup, 0.0) / (1 - self.warmup)
            return self.peak * rise * (1 + math.cos(math.pi * share)) / 2
        return self.peak * rise

    @staticmethod
    def _epoch(milestone: float, progress: Progress) -> float:
        return round(milestone * progress.epochs) if milestone < 1 else milestone


@dataclass(frozen=True, slots=True)
class OptimizerSettings:
    """Which optimiser, and how.

    Attributes:
        name: "sgd", "adamw" or "dot".
        lr: the peak learning rate.
        weight_decay: L2 for SGD and DOT, decoupled for AdamW.
        momentum: of SGD and DOT; AdamW keeps its own betas.
        nesterov: for SGD.
        delta: for DOT.
        decay_norms_and_biases: whether vectors (norm scales, biases) decay too; the CIFAR protocol decays all.
    """

    name: OptimizerName
    lr: float
    weight_decay: float = 0.0
    momentum: float = 0.9
    nesterov: bool = False
    delta: float = 0.075
    decay_norms_and_biases: bool = True

    def make(self, module: nn.Module) -> torch.optim.Optimizer:
        """Return the optimiser of everything in `module` that is trained, connectors included."""
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        vectors = [] if self.decay_norms_and_biases else [parameter for parameter in trained if parameter.ndim <= 1]
        groups = _groups(trained, vectors, self.weight_decay)
        # complex weights have no fused step, and of parted ones not every optimiser has
        fused = all(parameter.is_floating_point() and not is_sharded(parameter) for parameter in trained)
        if self.name == "sgd":
            return torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum, nesterov=self.nesterov, fused=fused)
        if self.name == "dot":
            return DOT(groups, lr=self.lr, momentum=self.momentum, delta=self.delta)
        return torch.optim.AdamW(groups, lr=self.lr, fused=fused)


def _groups(
    trained: Sequence[nn.Parameter], vectors: Sequence[nn.Parameter], weight_decay: float
) -> list[dict[str, object]]:
    undecayed = {id(parameter) for parameter in vectors}
    decayed = [parameter for parameter in trained if id(parameter) not in undecayed]
    sides = [  # whole and parted ones do not move in one step
        ([parameter for parameter in members if is_sharded(parameter) is parts], decay)
        for members, decay in ((decayed, weight_decay), (vectors, 0.0))
        for parts in (False, True)
    ]
    return [{"params": side, "weight_decay": decay} for side, decay in sides if side]


def _one_cycle(progress: float, warmup: float) -> float:
    if progress < warmup:
        return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * progress / warmup)) / 2
    return (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))) / 2
