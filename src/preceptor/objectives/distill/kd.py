"""Knowledge distillation: match the teacher's softened distribution.

Source: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network" (NeurIPS workshop 2015, arXiv 1503.02531), §2.
Differs from the authors' text: the KL divergence instead of the cross-entropy, same gradient, 0 at equality; other divergences
by name, "logit_mse" as in Kim et al., "Comparing Kullback-Leibler Divergence and Mean Squared Error Loss" (IJCAI 2021),
"alpha_beta" as in Wang et al., "ABKD" (ICML 2025, arXiv 2505.04560), whose code has no temperature^2.
"""

from __future__ import annotations

from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor

from preceptor.divergences import alpha_beta, hellinger, jensen_shannon, kl, log_soften, promote, total_variation
from preceptor.objectives.base import Objective, teacher_outputs
from preceptor.objectives.hyperparameters import one_of, positive
from preceptor.objectives.row_weights import RowWeights, check_row_weights, mean_of_rows, weigh_rows
from preceptor.objectives.tensor_checks import check_logits
from preceptor.types import Step

__all__ = ["KD", "abkd_loss", "divergence_loss", "kd_loss"]

Divergence = Literal["kl", "reverse_kl", "jensen_shannon", "hellinger", "total_variation", "logit_mse", "alpha_beta"]


def kd_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    *,
    temperature: float = 4.0,
    row_weights: Float[Tensor, " batch"] | None = None,
) -> Float[Tensor, ""]:
    """Return temperature^2 KL(p_T, p_S), with p = softmax(z / temperature).

    Args:
        student_logits: of the student.
        teacher_logits: of the teacher; constant in the gradient.
        temperature: above 0; 4 on CIFAR, 1 on ImageNet.
        row_weights: how much each sample counts; None for 1.

    Returns:
        nats per sample, summed over classes, batch mean; 0 where the rows differ by a constant only.

    Raises:
        ValueError: for a temperature that is not above 0, or logits of different shapes.

    Examples:
        >>> import torch
        >>> round(kd_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, 0.0]]), temperature=1.0).item(), 6)
        0.327813
    """
    return divergence_loss(student_logits, teacher_logits, temperature=temperature, row_weights=row_weights)


def divergence_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    *,
    kind: Divergence = "kl",
    temperature: float = 4.0,
    alpha: float = 0.8,
    beta: float = 0.3,
    row_weights: Float[Tensor, " batch"] | None = None,
) -> Float[Tensor, ""]:
    """Return temperature^2 times a divergence of p_T and p_S, with p = softmax(z / temperature).

    Args:
        student_logits: of the student.
        teacher_logits: of the teacher; constant in the gradient.
        kind: "kl": KL(p_T, p_S); "reverse_kl": KL(p_S, p_T); "jensen_shannon": at most log 2; "hellinger" and
            "total_variation": at most 1; "alpha_beta"; "logit_mse": the mean over classes of (z_S - z_T)^2, without temperature.
        temperature: above 0.
        alpha: the teacher's exponent in "alpha_beta".
        beta: the student's exponent in "alpha_beta".
        row_weights: how much each sample counts; None for 1.

    Returns:
        batch mean, in nats per sample where the divergence has them; 0 where the rows differ by a constant only ("logit_mse":
        where they are equal).

    Raises:
        ValueError: for an unknown kind, a temperature that is not above 0, or logits of different shapes.
    """
    check_logits(student_logits, teacher_logits)
    one_of(kind, get_args(Divergence), "divergence")
    temperature = positive(temperature, "temperature")
    if kind == "logit_mse":
        return mean_of_rows((promote(student_logits) - promote(teacher_logits.detach())).square().mean(1), row_weights)
    mine, its = log_soften(student_logits, temperature), log_soften(teacher_logits.detach(), temperature)
    if kind == "alpha_beta":
        return mean_of_rows(temperature**2 * alpha_beta(its, mine, alpha, beta), row_weights)
    if kind == "reverse_kl":
        return mean_of_rows(temperature**2 * kl(mine, its), row_weights)
    return mean_of_rows(temperature**2 * _OF_ROWS[kind](its, mine), row_weights)


def abkd_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    *,
    alpha: float = 0.8,
    beta: float = 0.3,
    temperature: float = 4.0,
) -> Float[Tensor, ""]:
    """Return `divergence_loss` of kind "alpha_beta"; with `alpha` 1 and `beta` 0 it is `kd_loss`."""
    return divergence_loss(
        student_logits, teacher_logits, kind="alpha_beta", alpha=alpha, beta=beta, temperature=temperature
    )


_OF_ROWS = {"kl": kl, "jensen_shannon": jensen_shannon, "hellinger": hellinger, "total_variation": total_variation}


class KD(Objective):
    """A softened divergence from the teacher's logits."""

    multilabel = "one_vs_rest"

    def __init__(
        self,
        temperature: float = 4.0,
        divergence: Divergence = "kl",
        alpha: float = 0.8,
        beta: float = 0.3,
        row_weights: RowWeights = "equal",
    ) -> None:
        super().__init__()
        self.temperature = positive(temperature, "temperature")
        self.divergence: Divergence = one_of(divergence, get_args(Divergence), "divergence")
        self.alpha, self.beta = alpha, beta
        self.row_weights: RowWeights = check_row_weights(row_weights)

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the loss of logits [batch, classes]; labels are not used."""
        return divergence_loss(
            student_logits,
            teacher_logits,
            kind=self.divergence,
            temperature=self.temperature,
            alpha=self.alpha,
            beta=self.beta,
            row_weights=weigh_rows(self.row_weights, student_logits, teacher_logits, self.temperature),
        )

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        return self(step.student.logits, teacher_outputs(step).logits)
