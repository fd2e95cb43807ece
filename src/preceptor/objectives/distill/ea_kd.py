"""Entropy-adaptive KD: samples on which the teacher is undecided count more, and more still where the student is too.

Source: Su et al., "EA-KD: Entropy-based Adaptive Knowledge Distillation" (ICCV 2025, arXiv 2311.13621). The same weights stand
before any other loss of logits that is a mean over samples: `method=dkd method.row_weights=entropy`.
Differs from the authors' code: the student's entropy is measured by its largest value, log classes; theirs takes the number of
classes for it on CIFAR (`entropy_bound=100`), which leaves the student's entropy nearly out. Entropies are exact, not 1e-10 off.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from preceptor.divergences import soft_kl
from preceptor.objectives.base import Objective, teacher_outputs
from preceptor.objectives.hyperparameters import positive
from preceptor.objectives.row_weights import entropy_weights, mean_of_rows
from preceptor.objectives.tensor_checks import check_logits
from preceptor.types import Step

__all__ = ["EAKD", "ea_kd_loss"]


def ea_kd_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    *,
    temperature: float = 4.0,
    weight_temperature: float = 3.0,
    entropy_bound: float | None = None,
) -> Float[Tensor, ""]:
    """Return temperature^2 mean w KL(p_T, p_S), w = H_T (1 + H_S / entropy_bound) / 2 without gradient.

    Args:
        student_logits: of the student.
        teacher_logits: of the teacher; constant in the gradient.
        temperature: of the divergence, above 0.
        weight_temperature: of the entropies H, above 0.
        entropy_bound: in nats, above 0; None for log classes.

    Returns:
        nats per sample times the weight, whose mean is not 1: up to log classes; 0 where the rows differ by a constant only.

    Raises:
        ValueError: for a temperature or bound that is not above 0, or logits of different shapes.

    Examples:
        >>> import torch
        >>> sure = torch.tensor([[1000.0, 0.0]])
        >>> ea_kd_loss(torch.zeros(1, 2), sure).item()  # a teacher without doubt weighs nothing
        0.0
    """
    check_logits(student_logits, teacher_logits)
    weights = entropy_weights(
        student_logits, teacher_logits, temperature=weight_temperature, entropy_bound=entropy_bound
    )
    return mean_of_rows(soft_kl(student_logits, teacher_logits, positive(temperature, "temperature")), weights)


class EAKD(Objective):
    """KD with a weight for each sample: the teacher's entropy, and how near the student's is to its largest."""

    multilabel = "one_vs_rest"

    def __init__(
        self, temperature: float = 4.0, weight_temperature: float = 3.0, entropy_bound: float | None = None
    ) -> None:
        super().__init__()
        self.temperature = positive(temperature, "temperature")
        self.weight_temperature = positive(weight_temperature, "weight_temperature")
        self.entropy_bound = None if entropy_bound is None else positive(entropy_bound, "entropy_bound")

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the loss of logits [batch, classes]; labels are not used."""
        return ea_kd_loss(
            student_logits,
            teacher_logits,
            temperature=self.temperature,
            weight_temperature=self.weight_temperature,
            entropy_bound=self.entropy_bound,
        )

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        return self(step.student.logits, teacher_outputs(step).logits)
