"""What can be set about training: names, values and their meaning, without torch."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from preceptor.signature import Settings

__all__ = [
    "Averaging",
    "AveragingName",
    "EngineName",
    "OptimizerName",
    "OptimizerSettings",
    "Precision",
    "RateSchedule",
]

AveragingName = Literal["none", "swa", "ema"]
EngineName = Literal["auto", "fast", "plain"]
OptimizerName = Literal["sgd", "adamw", "dot"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


class OptimizerSettings(Settings):
    """The optimiser. Weight decay is L2 for SGD and DOT, decoupled for AdamW."""

    name: Annotated[OptimizerName, Field(description="sgd, adamw or dot (protocol)")] = "sgd"
    lr: Annotated[float, Field(gt=0, description="peak learning rate (protocol; CIFAR: 0.05 or 0.01)")] = 0.05
    weight_decay: Annotated[float, Field(ge=0, description="(protocol; CIFAR: 5e-4)")] = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1, description="of sgd and dot")] = 0.9
    nesterov: Annotated[bool, Field(description="for sgd")] = False
    delta: Annotated[float, Field(ge=0, lt=1, description="of dot: half the difference of its two momenta")] = 0.075
    decay_norms_and_biases: Annotated[bool, Field(description="weight decay on norm scales and biases too")] = True


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


class Averaging(Settings):
    """The weights of the result as an average of those that the run passes through."""

    name: Annotated[AveragingName, Field(description="none, swa (mean over epochs) or ema (decaying, over steps)")] = (
        "none"
    )
    start: Annotated[float, Field(ge=0, description="the first epoch that counts; below 1: share of the run")] = 0.625
    decay: Annotated[
        float, Field(ge=0, lt=1, description="of ema: what is kept of the average at each step, at most")
    ] = 0.999

    def first_epoch(self, epochs: int) -> int:
        """Return the first epoch that counts in a run of so many.

        Examples:
            >>> Averaging(name="swa").first_epoch(240), Averaging(name="swa", start=3).first_epoch(240)
            (150, 3)
        """
        return max(1, round(self.start * epochs) if self.start < 1 else math.ceil(self.start))

    def decay_after(self, count: int) -> float:
        """Return what ema keeps of an average of so many weights: at first little, so that the earliest are forgotten.

        Examples:
            >>> [round(Averaging(decay=0.9).decay_after(count), 3) for count in (1, 10, 90)]
            [0.182, 0.55, 0.9]
        """
        return min(self.decay, (1 + count) / (10 + count))
