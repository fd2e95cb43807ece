"""Feature norm and direction: the student's features should point where the teacher's class lies, and be at least as long.

Source: Wang et al., "Improving Knowledge Distillation via Regularizing Feature Norm and Direction" (arXiv 2305.17007),
equations 6 to 8: KD++ with kd beside it, DKD++ with dkd, ReviewKD++ with reviewkd.
Differs from the authors' code: class means are found before the first step, not read from a file of rounded ones.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from preceptor.divergences import promote
from preceptor.objectives.base import BuildContext, FeatureShapes, Objective, Taps, labels_of, teacher_outputs
from preceptor.objectives.features import pooled_features, pooled_taps, pooled_widths
from preceptor.objectives.row_weights import mean_of_rows
from preceptor.objectives.tensor_checks import check_classes, check_embeddings, check_shapes
from preceptor.types import Step

__all__ = ["KDPP", "kd_pp_loss"]

_FLOOR = 1e-12


def kd_pp_loss(
    student_embedding: Float[Tensor, "batch dim"],
    teacher_embedding: Float[Tensor, "batch dim"],
    class_means: Float[Tensor, "classes dim"],
    labels: Int[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """Return the mean of 1 - s.m / max(|s|, |t|), m the unit mean of the teacher's features of the class, not 0 at equality.

    Args:
        student_embedding: pooled features s, as wide as the teacher's.
        teacher_embedding: pooled features t; constant in the gradient.
        class_means: of the teacher's features of each class, of any length; constant in the gradient.
        labels: class of each row.

    Returns:
        between 0 and 2, batch mean; 0 where s points along m and is at least as long as t. A class without a mean counts 1.

    Raises:
        ValueError: for embeddings or means of different widths, or labels that are no classes.

    Examples:
        >>> means, labels = torch.tensor([[0.0, 3.0]]), torch.tensor([0])
        >>> kd_pp_loss(torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 2.0]]), means, labels).item()
        0.5
    """
    check_embeddings(student_embedding, teacher_embedding)
    check_shapes(
        student_embedding, teacher_embedding, "student_embedding and teacher_embedding", " (after the connector)"
    )
    check_classes(labels, student_embedding)
    check_shapes(student_embedding[:0], class_means[:0], "student_embedding and class_means")
    student, teacher = promote(student_embedding), promote(teacher_embedding.detach())
    directions = functional.normalize(promote(class_means.detach()).to(student.dtype))[labels]
    lengths = (each.square().sum(1).clamp_min(_FLOOR**2).sqrt() for each in (student, teacher))
    return mean_of_rows(1 - (student * directions).sum(1) / torch.maximum(*lengths))


class KDPP(Objective):
    """Norm and direction of the pooled features, through BN, dropout and a linear layer where their widths differ."""

    needs_labels = True

    class_means: Tensor

    def __init__(self, dropout: float = 0.5) -> None:
        super().__init__()
        self.connector: nn.Module = nn.Identity()
        self._dropout = nn.Dropout(dropout)  # checks its rate
        self.register_buffer("class_means", torch.zeros(0, 0))
        self._has_warned = False

    def forward(self, student_embedding: Tensor, teacher_embedding: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of embeddings [batch, dim] with labels [batch].

        Raises:
            ValueError: before `build`, which is followed by `calibrate`.
        """
        if len(self.class_means) == 0:
            raise ValueError("kd_pp has no class means yet: call build(context) and calibrate(steps) first")
        check_embeddings(student_embedding, teacher_embedding)
        check_classes(labels, student_embedding)
        if self.training and len(student_embedding) < 2 and not isinstance(self.connector, nn.Identity):
            if not self._has_warned:
                self._has_warned = True
                warnings.warn("kd_pp skips a batch of one: its batch-norm has no variance there", stacklevel=2)
            return promote(student_embedding[:0]).sum()  # 0, with a gradient of 0
        connected = promote(self.connector(student_embedding))
        return kd_pp_loss(connected, promote(teacher_embedding), self.class_means, labels)

    def taps(self, student: FeatureShapes, teacher: FeatureShapes) -> Taps:
        """Tap the pooled features."""
        return pooled_taps(student, teacher, "kd_pp")

    def build(self, context: BuildContext) -> None:
        """Make the connector where it is needed, and room for the class means."""
        mine, its = pooled_widths(context)
        device = context.student.logits.device
        if mine != its:
            self.connector = nn.Sequential(nn.BatchNorm1d(mine), self._dropout, nn.Linear(mine, its)).to(device)
        self.class_means = torch.zeros(context.num_classes, its, device=device)

    @torch.no_grad()
    def calibrate(self, steps: Iterable[Step]) -> None:
        """Find the mean of the teacher's features of each class."""
        sums, counts = torch.zeros_like(self.class_means), self.class_means.new_zeros(len(self.class_means), 1)
        for step in steps:
            some = step.rows(0, step.batch.num_labelled)
            members = functional.one_hot(labels_of(some), len(sums)).to(sums.dtype).T
            with torch.autocast(sums.device.type, enabled=False):
                sums += members @ teacher_outputs(some).features["pooled"].to(sums.dtype)
            counts += members.sum(1, keepdim=True)
        self.class_means = sums / counts.clamp_min(1)

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        return self(*pooled_features(step), labels_of(step))
