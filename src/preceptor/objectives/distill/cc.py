"""Correlation congruence: neighbours in the batch should be off by uncorrelated amounts, after both are embedded.

Source: Peng, Jin, Liu, Li, Wu, Liu, Zhou, Zhang, "Correlation Congruence for Knowledge Distillation" (ICCV 2019, arXiv
1904.01802), in the form its authors gave to the CRD benchmark (ICLR 2020), which is not the paper's kernel matrix.
Both embeddings are trained, and a constant one would make the loss 0.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from preceptor.divergences import promote
from preceptor.objectives.base import BuildContext, FeatureShapes, Objective, Taps
from preceptor.objectives.features import pooled_features, pooled_taps, pooled_widths
from preceptor.objectives.hyperparameters import at_least
from preceptor.objectives.tensor_checks import check_embeddings
from preceptor.types import Step

__all__ = ["CC", "cc_loss"]


def cc_loss(
    student_embedding: Float[Tensor, "batch dim"], teacher_embedding: Float[Tensor, "batch dim"]
) -> Float[Tensor, ""]:
    """Return mean over i of sum d_i d_(i+1), d = |student - teacher| by element; depends on the order of the batch.

    Args:
        student_embedding: after its linear map.
        teacher_embedding: after its linear map, which is trained too: it has a gradient.

    Returns:
        a squared distance, mean over the batch - 1 neighbours, and 0 for a batch of one; 0 where the embeddings are equal.

    Examples:
        >>> import torch
        >>> cc_loss(torch.tensor([[1.0], [2.0], [4.0]]), torch.zeros(3, 1)).item()  # (1 x 2 + 2 x 4) / 2
        5.0
    """
    apart = (promote(student_embedding) - promote(teacher_embedding)).abs()
    if len(apart) < 2:
        return 0.0 * apart.sum()
    return (apart[:-1] * apart[1:]).sum(1).mean()


class CC(Objective):
    """Correlation of the distances of neighbours, between linear embeddings of both networks' pooled features."""

    compares_rows = True
    multilabel = "as_is"

    def __init__(self, dim: int = 128) -> None:
        super().__init__()
        self.dim = at_least(dim, 1, "dim")
        self.student_embed: nn.Module = nn.Identity()
        self.teacher_embed: nn.Module = nn.Identity()

    def forward(self, student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
        """Return the loss of pooled features [batch, dim]; before `build`, of equal widths."""
        check_embeddings(student_embedding, teacher_embedding)
        student, teacher = promote(student_embedding), promote(teacher_embedding.detach())
        with torch.autocast(student.device.type, enabled=False):
            return cc_loss(self.student_embed(student), self.teacher_embed(teacher))

    def taps(self, student: FeatureShapes, teacher: FeatureShapes) -> Taps:
        """Tap the pooled features."""
        return pooled_taps(student, teacher, "cc")

    def build(self, context: BuildContext) -> None:
        """Make the two linear maps."""
        device = context.student.logits.device
        self.student_embed, self.teacher_embed = (
            nn.Linear(width, self.dim).to(device) for width in pooled_widths(context)
        )

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        return self(*pooled_features(step))
