"""Optimisers, and learning rates as pure functions of the progress (so that a resumed run needs no scheduler state)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn

from preceptor.distributed.dtensors import is_sharded
from preceptor.signature import Settings
from preceptor.training.optimizers.base import OneGradient, Optimizer
from preceptor.training.optimizers.dot import DOT, TwoGradients
from preceptor.types import Progress

__all__ = ["LearningRate", "OptimizerName", "OptimizerSettings", "RateSchedule"]

OptimizerName = Literal["sgd", "adamw", "dot"]


class RateSchedule(Settings):
    """The learning rate over the run.

    "step" multiplies by `gamma` after each milestone; "cosine" falls to 0 along half a cosine; "one_cycle" rises from 1/25 of
    the peak over `warmup` (0.3 when 0) and falls to 0 along cosines; "constant" stays.
    """

    name: Annotated[
        Literal["constant", "step", "cosine", "one_cycle"], Field(description="(protocol; CIFAR: step)")
    ] = "constant"
    milestones: Annotated[
        tuple[float, ...], Field(description="of step: decay after these epochs; below 1: shares of the run")
    ] = (0.625, 0.75, 0.875)
    gamma: Annotated[float, Field(gt=0, le=1, description="of step: the factor at each milestone")] = 0.1
    warmup: Annotated[float, Field(ge=0, lt=1, description="share of the run over which the rate rises")] = 0.0


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

        Example:
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


class OptimizerSettings(Settings):
    """The optimiser. Weight decay is L2 for SGD and DOT, decoupled for AdamW."""

    name: Annotated[OptimizerName, Field(description="sgd, adamw or dot (protocol)")] = "sgd"
    lr: Annotated[float, Field(gt=0, description="peak learning rate (protocol; CIFAR: 0.05 or 0.01)")] = 0.05
    weight_decay: Annotated[float, Field(ge=0, description="(protocol; CIFAR: 5e-4)")] = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1, description="of sgd and dot")] = 0.9
    nesterov: Annotated[bool, Field(description="for sgd")] = False
    delta: Annotated[float, Field(ge=0, lt=1, description="of dot: half the difference of its two momenta")] = 0.075
    decay_norms_and_biases: Annotated[bool, Field(description="weight decay on norm scales and biases too")] = True

    def make(self, module: nn.Module) -> Optimizer:
        """Return the optimiser of everything in `module` that is trained, connectors included."""
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        vectors = [] if self.decay_norms_and_biases else [parameter for parameter in trained if parameter.ndim <= 1]
        groups = _groups(trained, vectors, self.weight_decay)
        name_of = {id(parameter): name for name, parameter in module.named_parameters()}
        names = [name_of[id(parameter)] for group in groups for parameter in group["params"]]
        if self.name == "dot":
            return TwoGradients(DOT(groups, lr=self.lr, momentum=self.momentum, delta=self.delta), names)
        # complex weights have no fused step, and of sharded ones not every optimiser has
        fused = all(parameter.is_floating_point() and not is_sharded(parameter) for parameter in trained)
        if self.name == "adamw":
            return OneGradient(torch.optim.AdamW(groups, lr=self.lr, fused=fused), names)
        sgd = torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum, nesterov=self.nesterov, fused=fused)
        if fused and self.momentum:  # the fused step fails where only some parameters have momentum yet
            for parameter in trained:
                sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return OneGradient(sgd, names)


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
