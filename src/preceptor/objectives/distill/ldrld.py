"""Local dense logit relations: every pair of the student's first choices, nearer ranks weighted more, and the other classes.

Source: Xu et al., "Local Dense Logit Relations for Enhanced Knowledge Distillation" (ICCV 2025), read through the public code.
The classes are the student's first choices, as in that code. With fewer classes than `top` needs, all but one are taken.
Differs from the authors' code: classes are gathered once, not masked with -1000, and it is refused where no class is left.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from preceptor.divergences import promote, soft_kl
from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext, Objective, teacher_outputs
from preceptor.objectives.hyperparameters import at_least, positive
from preceptor.objectives.row_weights import mean_of_rows
from preceptor.objectives.tensor_checks import check_logits
from preceptor.types import Step

__all__ = ["LDRLD", "ldrld_loss"]


def ldrld_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    *,
    top: int = 7,
    temperature: float = 4.0,
    local_weight: float = 10.5,
    remaining_weight: float = 7.0,
) -> Float[Tensor, ""]:
    """Return local_weight LDRLD + remaining_weight RNTK, both temperature^2 KL.

    LDRLD is the mean over the pairs of the `top` classes and, once more, all of them: KL over two classes alone, times
    2 / (1.5 + b - a) exp(-(a + b) / 20) for ranks a < b from 1, and KL over all of them. RNTK is KL over the other classes.

    Args:
        student_logits: of the student, which ranks the classes; the ranking has no gradient.
        teacher_logits: of the teacher; constant in the gradient.
        top: how many classes are local, at least 2 and fewer than there are.
        temperature: above 0.
        local_weight: of LDRLD.
        remaining_weight: of RNTK.

    Returns:
        nats per sample, batch mean; 0 where the rows differ by a constant only.

    Raises:
        ValueError: for a top that leaves no class, a temperature that is not above 0, or logits of different shapes.

    Examples:
        >>> same = torch.tensor([[2.0, 1.0, 0.0]])
        >>> ldrld_loss(same, same, top=2).item()
        0.0
    """
    check_logits(student_logits, teacher_logits)
    temperature, classes = positive(temperature, "temperature"), student_logits.shape[1]
    if not 2 <= top < classes:
        raise ValueError(f"top: {top} of {classes} classes; at least 2, and fewer than there are")
    student, teacher = promote(student_logits), promote(teacher_logits.detach())
    order = student.detach().argsort(dim=1, descending=True, stable=True)
    mine, its = student.gather(1, order), teacher.gather(1, order)
    first, second = torch.triu_indices(top, top, 1, device=order.device)
    pairs = [torch.stack([ranked[:, first], ranked[:, second]], dim=2) for ranked in (mine, its)]
    between, both = (ranks.to(mine.dtype) for ranks in (second - first, first + second + 2))
    nearness = 2 / (1.5 + between) * (-0.05 * both).exp()
    of_pairs = (nearness * soft_kl(pairs[0], pairs[1], temperature)).sum(1)
    # with two classes, all of them are the pair, and weighted as such
    of_all = of_pairs if top == 2 else soft_kl(mine[:, :top], its[:, :top], temperature)
    local = (of_pairs + of_all) / (len(first) + 1)
    return local_weight * mean_of_rows(local) + remaining_weight * mean_of_rows(
        soft_kl(mine[:, top:], its[:, top:], temperature)
    )


class LDRLD(Objective):
    """Relations between the student's first choices, and among the other classes."""

    def __init__(
        self, top: int = 7, temperature: float = 4.0, local_weight: float = 10.5, remaining_weight: float = 7.0
    ) -> None:
        super().__init__()
        self.top = at_least(top, 2, "top")
        self.temperature = positive(temperature, "temperature")
        self.local_weight, self.remaining_weight = local_weight, remaining_weight

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the loss of logits [batch, classes]; labels are not used."""
        check_logits(student_logits, teacher_logits)
        return ldrld_loss(
            student_logits,
            teacher_logits,
            top=min(self.top, student_logits.shape[1] - 1),
            temperature=self.temperature,
            local_weight=self.local_weight,
            remaining_weight=self.remaining_weight,
        )

    def build(self, context: BuildContext) -> None:
        """Check that there are classes to relate.

        Raises:
            UsageError: when there are only two.
        """
        if context.num_classes < 3:
            raise UsageError(f"method ldrld relates pairs of classes to others, and the data has {context.num_classes}")

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        return self(step.student.logits, teacher_outputs(step).logits)
