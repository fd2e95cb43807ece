"""Several teachers at once: match their mean distribution, each of them, or the mean of their logits.

Source: Hinton, Vinyals, Dean (arXiv 1503.02531), section 1, and You, Xu, Xu, Tao, "Learning from Multiple Teacher Networks"
(KDD 2017).
Differs from code that sums over teachers: weights sum to 1, so the scale does not grow with their number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from preceptor.constants import constant
from preceptor.divergences import kl, log_mean, log_soften, promote
from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext, Objective, teacher_outputs
from preceptor.objectives.hyperparameters import one_of, positive
from preceptor.objectives.tensor_checks import check_logits
from preceptor.types import Outputs, Step

__all__ = ["Ensemble", "ensemble_loss"]

Mode = Literal["probability", "loss", "logit"]
_MODES: tuple[Mode, ...] = ("probability", "loss", "logit")


def ensemble_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Sequence[Float[Tensor, "batch classes"]],
    *,
    weights: Sequence[float] | None = None,
    mode: Mode = "probability",
    temperature: float = 4.0,
) -> Float[Tensor, ""]:
    """Return temperature^2 KL(sum_k w_k p_k, p_S), or the weighted sum of each teacher's KL, or that of the mean logits.

    Args:
        student_logits: of the student.
        teacher_logits: one per teacher; constant in the gradient.
        weights: of the teachers, at least 0, not all 0, scaled to sum 1; None for equal ones.
        mode: "probability": mean of distributions; "loss": mean of losses, the same gradient at the student; "logit": mean of
            logits, the normalised geometric mean of distributions.
        temperature: above 0.

    Returns:
        nats per sample, batch mean; 0 where the student equals that mean ("loss": only where all teachers agree).

    Raises:
        ValueError: for no teacher, weights that do not fit, an unknown mode, a temperature that is not above 0, or logits of
            different shapes.

    Examples:
        >>> one, other = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
        >>> ensemble_loss(torch.zeros(1, 2), [one, other]).abs().item() < 1e-6
        True
    """
    temperature = positive(temperature, "temperature")
    for logits in teacher_logits:
        check_logits(student_logits, logits)
    shares = _shares(weights, len(teacher_logits))
    log_student = log_soften(student_logits, temperature)
    if one_of(mode, _MODES, "mode") == "logit":
        weighted = [share * promote(logits.detach()) for share, logits in zip(shares, teacher_logits, strict=True)]
        return temperature**2 * kl(log_soften(torch.stack(weighted).sum(0), temperature), log_student).mean()
    logs = torch.stack([log_soften(logits.detach(), temperature) for logits in teacher_logits])
    share = constant(tuple(shares), logs.device, logs.dtype)
    if mode == "loss":
        each = torch.stack([kl(log, log_student).mean() for log in logs])
        return temperature**2 * (share * each).sum()
    return temperature**2 * kl(log_mean(logs, share), log_student).mean()


def _shares(weights: Sequence[float] | None, num_teachers: int) -> list[float]:
    if num_teachers == 0:
        raise ValueError("teacher_logits: needs at least one teacher, got none")
    chosen = [1.0] * num_teachers if weights is None else list(weights)
    if len(chosen) != num_teachers:
        raise ValueError(f"weights: {chosen} for {num_teachers} teachers; one each")
    return _scaled(chosen)


def _scaled(weights: Sequence[float]) -> list[float]:
    """Return weights that sum to 1."""
    total = sum(weights)
    if not (all(weight >= 0 for weight in weights) and 0 < total < math.inf):  # nan fails both
        raise ValueError(f"weights: {list(weights)} are not finite, at least 0 and not all 0")
    return [weight / total for weight in weights]


class Ensemble(Objective):
    """Softened KL divergence from several teachers."""

    multilabel = "one_vs_rest"

    def __init__(
        self, mode: Mode = "probability", weights: tuple[float, ...] | None = None, temperature: float = 4.0
    ) -> None:
        super().__init__()
        self.mode = one_of(mode, _MODES, "mode")
        if weights is not None:
            _scaled(weights)
        self.weights = weights
        self.temperature = positive(temperature, "temperature")

    def forward(self, student_logits: Tensor, teacher_logits: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        """Return the loss of logits [batch, classes] and a list of such; labels are not used."""
        return ensemble_loss(
            student_logits, teacher_logits, weights=self.weights, mode=self.mode, temperature=self.temperature
        )

    def build(self, context: BuildContext) -> None:
        """Check that there are several teachers, and a weight for each.

        Raises:
            UsageError: when there are not.
        """
        if context.teacher is not None:
            self._members(context.teacher)

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teachers.

        Raises:
            UsageError: when there is only one teacher, or another number of weights than of teachers.
        """
        members = self._members(teacher_outputs(step))
        return self(step.student.logits, [member.logits for member in members])

    def _members(self, teacher: Outputs) -> tuple[Outputs, ...]:
        if not teacher.members:
            raise UsageError("method ensemble needs several teachers: teacher=[RUN, RUN]")
        if self.weights is not None and len(self.weights) != len(teacher.members):
            raise UsageError(
                f"method ensemble needs a weight for each teacher, and got {len(self.weights)} for {len(teacher.members)}: "
                f"method.weights={list(self.weights)}"
            )
        return teacher.members
