"""Optimisers, and learning rates as pure functions of the progress (so that a resumed run needs no scheduler state)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.amp import GradScaler

from preceptor.distributed.dtensors import is_sharded
from preceptor.errors import UsageError
from preceptor.training.optimizers.base import NO_SCALER, OneGradient, Optimizer
from preceptor.training.optimizers.dot import DOT, TwoGradients
from preceptor.training.settings import OptimizerSettings, RateSchedule
from preceptor.types import Progress

__all__ = ["LearningRate", "make_optimizer"]


@dataclass(frozen=True, slots=True)
class LearningRate:
    """The learning rate as a function of the progress.

    Attributes:
        peak: the highest rate.
        schedule: how it rises and falls.
    """

    peak: float
    schedule: RateSchedule = RateSchedule()

    def __call__(self, progress: Progress) -> float:
        """Return the rate of this step.

        Examples:
            >>> LearningRate(0.05, RateSchedule(name="step"))(Progress(epoch=151, epochs=240, fraction=150 / 240))
            0.005000000000000001
        """
        warmup, gamma = self.schedule.warmup, self.schedule.gamma
        if self.schedule.name == "one_cycle":
            return self.peak * _one_cycle(progress.fraction, warmup or 0.3)
        rise = min((progress.fraction + 1e-12) / warmup, 1.0) if warmup else 1.0
        if self.schedule.name == "step":
            passed = sum(progress.epoch > _epoch(milestone, progress) for milestone in self.schedule.milestones)
            return self.peak * rise * gamma**passed
        if self.schedule.name == "cosine":
            share = max(progress.fraction - warmup, 0.0) / (1 - warmup)
            return self.peak * rise * (1 + math.cos(math.pi * share)) / 2
        return self.peak * rise


def make_optimizer(settings: OptimizerSettings, module: nn.Module, scaler: GradScaler = NO_SCALER) -> Optimizer:
    """Return the optimiser of everything in `module` that is trained, connectors included.

    Args:
        settings: of the optimiser.
        module: on the device.
        scaler: of losses (`Engine.loss_scaler`).

    Raises:
        UsageError: for DOT with a scaler.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    vectors = [] if settings.decay_norms_and_biases else [parameter for parameter in trained if parameter.ndim <= 1]
    groups = _groups(trained, vectors, settings.weight_decay)
    name_of = {id(parameter): name for name, parameter in module.named_parameters()}
    names = [name_of[id(parameter)] for group in groups for parameter in group["params"]]
    if settings.name == "dot":
        if scaler.is_enabled():
            raise UsageError("precision: fp16 cannot be used with optim=dot, whose two gradients are not rescaled")
        return TwoGradients(DOT(groups, lr=settings.lr, momentum=settings.momentum, delta=settings.delta), names)
    # complex weights have no fused step, and of sharded ones not every optimiser has
    fused = all(parameter.is_floating_point() and not is_sharded(parameter) for parameter in trained)
    if settings.name == "adamw":
        return OneGradient(torch.optim.AdamW(groups, lr=settings.lr, fused=fused), names, scaler)
    sgd = torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, nesterov=settings.nesterov, fused=fused)
    if fused and settings.momentum:  # the fused step fails where only some parameters have momentum yet
        for parameter in trained:
            sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return OneGradient(sgd, names, scaler)


def _groups(
    trained: Sequence[nn.Parameter], vectors: Sequence[nn.Parameter], weight_decay: float
) -> list[dict[str, Any]]:
    undecayed = {id(parameter) for parameter in vectors}
    decayed = [parameter for parameter in trained if id(parameter) not in undecayed]
    groups = [  # full and sharded ones do not move in one step
        ([parameter for parameter in members if is_sharded(parameter) is sharded], decay)
        for members, decay in ((decayed, weight_decay), (vectors, 0.0))
        for sharded in (False, True)
    ]
    return [{"params": members, "weight_decay": decay} for members, decay in groups if members]


def _epoch(milestone: float, progress: Progress) -> float:
    return max(1, round(milestone * progress.epochs)) if milestone < 1 else milestone


def _one_cycle(fraction: float, warmup: float) -> float:
    if fraction < warmup:
        return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * fraction / warmup)) / 2
    return (1 + math.cos(math.pi * (fraction - warmup) / (1 - warmup))) / 2
