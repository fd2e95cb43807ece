"""KD from samples of a posterior over teachers: the student learns their mean distribution, with two temperatures.

Source: Morad, Shlezinger, Eldar (ICLR 2026, arXiv 2601.01484) and its released code. With equal
temperatures it is `ensemble`. The samples are the teacher's members: several networks, or those of `teacher.posterior`.
Differs from the authors' code: log space instead of a floor of 1e-12; ten samples a step, where their commands draw one.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from preceptor.divergences import kl, log_mean, log_soften, promote
from preceptor.objectives.base import Objective, teacher_outputs
from preceptor.objectives.hyperparameters import one_of, positive
from preceptor.objectives.tensor_checks import check_logits
from preceptor.types import Step

__all__ = ["BayesianKD", "bayesian_kd_loss"]

Temper = Literal["before", "after"]


def bayesian_kd_loss(
    student_logits: Float[Tensor, "batch classes"],
    sample_logits: Float[Tensor, "samples batch classes"],
    *,
    teacher_temperature: float = 4.0,
    student_temperature: float = 1.0,
    temper: Temper = "before",
) -> Float[Tensor, ""]:
    """Return teacher_temperature student_temperature KL(p, p_S), with p_S = softmax(z_S / student_temperature).

    Args:
        student_logits: of the student.
        sample_logits: of the posterior's samples; constant in the gradient.
        teacher_temperature: above 0.
        student_temperature: above 0.
        temper: "before": p is the mean of softmax(z / teacher_temperature); "after": the mean of softmax(z), to the power
            1 / teacher_temperature and renormalised. They differ unless there is one sample.

    Returns:
        nats per sample, batch mean; not 0 at equality unless the temperatures are equal, too.

    Raises:
        ValueError: for no samples, an unknown way to temper, a temperature that is not above 0, or logits of different shapes.

    Examples:
        >>> samples = torch.tensor([[[2.0, 0.0]], [[0.0, 2.0]]])
        >>> bayesian_kd_loss(torch.zeros(1, 2), samples).abs().item() < 1e-6
        True
    """
    of_teacher = positive(teacher_temperature, "teacher_temperature")
    of_student = positive(student_temperature, "student_temperature")
    if len(sample_logits) == 0:
        raise ValueError("sample_logits: needs at least one sample, got none")
    check_logits(student_logits, sample_logits[0])
    samples = sample_logits.detach()
    if one_of(temper, get_args(Temper), "temper") == "before":
        log_target = log_mean(log_soften(samples, of_teacher))
    else:
        log_target = log_soften(log_mean(log_soften(samples)), of_teacher)
    return of_teacher * of_student * kl(log_target, log_soften(student_logits, of_student)).mean()


class BayesianKD(Objective):
    """KL divergence from the mean distribution of the teacher's members; a teacher without members is one sample."""

    multilabel = "one_vs_rest"

    def __init__(
        self, teacher_temperature: float = 4.0, student_temperature: float = 1.0, temper: Temper = "before"
    ) -> None:
        super().__init__()
        self.teacher_temperature = positive(teacher_temperature, "teacher_temperature")
        self.student_temperature = positive(student_temperature, "student_temperature")
        self.temper: Temper = one_of(temper, get_args(Temper), "temper")

    def forward(self, student_logits: Tensor, sample_logits: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the loss of logits [batch, classes] and [samples, batch, classes]; labels are not used."""
        return bayesian_kd_loss(
            student_logits,
            sample_logits,
            teacher_temperature=self.teacher_temperature,
            student_temperature=self.student_temperature,
            temper=self.temper,
        )

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        teacher = teacher_outputs(step)
        return self(step.student.logits, torch.stack([promote(each.logits) for each in teacher.members or (teacher,)]))
