"""Knowledge distillation: match the teacher's softened distribution.

Source: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network" (NeurIPS workshop 2015, arXiv 1503.02531), §2.
Differs from the authors' text: the KL divergence instead of the cross-entropy, same gradient, 0 at equality.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from preceptor.divergences import soft_kl
from preceptor.objectives.base import Objective, teacher_outputs
from preceptor.objectives.hyperparameters import positive
from preceptor.objectives.tensor_checks import check_logits
from preceptor.types import Step

__all__ = ["KD", "kd_loss"]


def kd_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    *,
    temperature: float = 4.0,
) -> Float[Tensor, ""]:
    """Return temperature^2 KL(p_T, p_S), with p = softmax(z / temperature).

    Args:
        student_logits: of the student.
        teacher_logits: of the teacher; constant in the gradient.
        temperature: above 0; 4 on CIFAR, 1 on ImageNet.

    Returns:
        nats per sample, summed over classes, batch mean; 0 where the rows differ by a constant only.

    Raises:
        ValueError: for a temperature that is not above 0, or logits of different shapes.

    Example:
        >>> import torch
        >>> round(kd_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, 0.0]]), temperature=1.0).item(), 6)
        0.327813
    """
    check_logits(student_logits, teacher_logits)
    return soft_kl(student_logits, teacher_logits, positive(temperature, "temperature")).mean()


class KD(Objective):
    """Softened KL divergence from the teacher's logits."""

    multilabel = "one_vs_rest"

    def __init__(self, temperature: float = 4.0) -> None:
        super().__init__()
        self.temperature = positive(temperature, "temperature")

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the loss of logits [batch, classes]; labels are not used."""
        return kd_loss(student_logits, teacher_logits, temperature=self.temperature)

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        return self(step.student.logits, teacher_outputs(step).logits)
