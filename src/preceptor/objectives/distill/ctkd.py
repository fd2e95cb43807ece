"""Curriculum temperature: KD at a temperature that is learned against the student, more and more.

Source: Li, Li, Yang, Zhao, Song, Luo, Li, Yang, "Curriculum Temperature for Knowledge Distillation" (AAAI 2023, arXiv
2211.16231), equations 3 to 6, the global variant: one temperature for all samples.
Differs from the paper: the instance-wise variant is left out.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from preceptor.divergences import kl, log_soften, promote
from preceptor.objectives.base import Objective, teacher_outputs
from preceptor.objectives.hyperparameters import positive
from preceptor.objectives.row_weights import RowWeights, check_row_weights, mean_of_rows, weigh_rows
from preceptor.objectives.schedules import in_epochs
from preceptor.objectives.tensor_checks import check_logits
from preceptor.types import Progress, Step

__all__ = ["CTKD", "ctkd_loss"]


def ctkd_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    raw_temperature: Float[Tensor, 1],
    *,
    start: float = 1.0,
    scale: float = 20.0,
    reversal: float = 1.0,
    row_weights: Float[Tensor, " batch"] | None = None,
) -> Float[Tensor, ""]:
    """Return temperature^2 KL(p_T, p_S) at temperature = start + scale sigmoid(raw_temperature).

    Args:
        student_logits: of the student.
        teacher_logits: of the teacher; constant in the gradient, but for the temperature's.
        raw_temperature: what is learned; its gradient is the true one times -reversal, so that descent raises the loss.
        start: lowest temperature, above 0.
        scale: how far above it the temperature may rise, above 0.
        reversal: strength of the adversary.
        row_weights: how much each sample counts; None for 1.

    Returns:
        nats per sample, batch mean; 0 where the rows differ by a constant only.

    Raises:
        ValueError: for a start or scale that is not above 0, or logits of different shapes.

    Examples:
        >>> raw = torch.zeros(1, requires_grad=True)
        >>> ctkd_loss(torch.zeros(1, 2), torch.tensor([[9.0, 0.0]]), raw).backward()
        >>> raw.grad.item() < 0  # against the true gradient, which is positive
        True
    """
    check_logits(student_logits, teacher_logits)
    turned: Tensor = _Reverse.apply(promote(raw_temperature), reversal)  # type: ignore[no-untyped-call]
    temperature = positive(start, "start") + positive(scale, "scale") * turned.sigmoid()
    divergence = kl(log_soften(teacher_logits.detach(), temperature), log_soften(student_logits, temperature))
    return (temperature**2 * mean_of_rows(divergence, row_weights)).squeeze(0)


class _Reverse(torch.autograd.Function):
    """The identity, whose gradient is multiplied by -strength."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return -ctx.strength * gradient, None


class CTKD(Objective):
    """KD with a learned temperature, whose adversary strengthens over `ramp_epochs` along half a cosine.

    Below 1 `ramp_epochs` is a share of the run; published: 10 of 240 epochs.
    """

    multilabel = "one_vs_rest"

    def __init__(
        self,
        start: float = 1.0,
        scale: float = 20.0,
        ramp_epochs: float = 10 / 240,
        row_weights: RowWeights = "equal",
    ) -> None:
        super().__init__()
        self.start = positive(start, "start")
        self.scale = positive(scale, "scale")
        self.ramp_epochs = positive(ramp_epochs, "ramp_epochs")
        self.row_weights: RowWeights = check_row_weights(row_weights)
        self.raw_temperature = nn.Parameter(torch.ones(1))

    @property
    def temperature(self) -> float:
        """The temperature now."""
        return self.start + self.scale * float(self.raw_temperature.detach().sigmoid())

    def reversal(self, progress: Progress) -> float:
        """Return the adversary's strength: (1 - cos(pi min(epoch, ramp) / ramp)) / 2."""
        ramp = max(in_epochs(self.ramp_epochs, progress.epochs), 1)
        return (1 - math.cos(math.pi * min(progress.epoch, ramp) / ramp)) / 2

    def forward(
        self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor | None = None, reversal: float = 1.0
    ) -> Tensor:
        """Return the loss of logits [batch, classes]; labels are not used."""
        return ctkd_loss(
            student_logits,
            teacher_logits,
            self.raw_temperature,
            start=self.start,
            scale=self.scale,
            reversal=reversal,
            row_weights=weigh_rows(self.row_weights, student_logits, teacher_logits),
        )

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher at this epoch's strength."""
        teacher = teacher_outputs(step).logits
        return self(step.student.logits, teacher, reversal=self.reversal(step.progress))
