"""Self-supervision as knowledge: the teacher's similarities of images and rotations, and its predictions on the rotations.

Source: Xu, Liu, Li, Loy, "Knowledge Distillation Meets Self-Supervision" (ECCV 2020, arXiv 2006.07114), equations 5 to 9, and the
released code. Four times the forward passes. Two stages: the teacher's head first learns, on the frozen teacher, to tell which
image a rotation comes from; then it is frozen.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from preceptor.divergences import kl, log_soften, promote
from preceptor.objectives.base import BuildContext, FeatureShapes, Objective, Stage, Taps, labels_of, teacher_outputs
from preceptor.objectives.features import pooled_taps, pooled_widths
from preceptor.objectives.hyperparameters import at_least, fraction, positive
from preceptor.objectives.rotations import ROTATIONS, all_views
from preceptor.objectives.tensor_checks import check_classes, check_logits
from preceptor.types import Outputs, Step

__all__ = ["SSKD", "sskd_loss", "sskd_ss_loss", "sskd_tf_loss"]


def sskd_loss(
    student_logits: Float[Tensor, "rotated classes"],
    teacher_logits: Float[Tensor, "rotated classes"],
    labels: Int[Tensor, " rotated"],
    student_embedding: Float[Tensor, "rows _"],
    teacher_embedding: Float[Tensor, "rows _"],
    *,
    transformed_weight: float = 2.7,
    similarity_weight: float = 10.0,
    transformed_temperature: float = 4.0,
    similarity_temperature: float = 0.5,
    transformed_keep: float = 1.0,
    similarity_keep: float = 0.75,
) -> Float[Tensor, ""]:
    """Return transformed_weight `sskd_tf_loss` + similarity_weight `sskd_ss_loss`, whose arguments these are.

    Returns:
        nats per row; 0 where both terms are 0. With a share kept below 1 it depends on the order of the batch, as they do.

    Examples:
        >>> logits, rows = torch.randn(3, 5), torch.randn(4, 6)
        >>> abs(sskd_loss(logits, logits, torch.arange(3), rows, rows).item()) < 1e-5
        True
    """
    transformed = sskd_tf_loss(
        student_logits, teacher_logits, labels, temperature=transformed_temperature, keep_ratio=transformed_keep
    )
    similarity = sskd_ss_loss(
        student_embedding, teacher_embedding, temperature=similarity_temperature, keep_ratio=similarity_keep
    )
    return transformed_weight * transformed + similarity_weight * similarity


def sskd_tf_loss(
    student_logits: Float[Tensor, "rows classes"],
    teacher_logits: Float[Tensor, "rows classes"],
    labels: Int[Tensor, " rows"],
    *,
    temperature: float = 4.0,
    keep_ratio: float = 1.0,
) -> Float[Tensor, ""]:
    """Return temperature^2 KL(p_T, p_S) of rotated images, mean over those where the teacher is to be trusted.

    Args:
        student_logits: of the rotated images.
        teacher_logits: of the same; constant in the gradient.
        labels: class of each row, in [0, classes).
        temperature: above 0.
        keep_ratio: all rows where the teacher is right are kept, and this share of the others: where it ranks the label best;
            among equals the earlier rows, so that below 1 it depends on the order of the batch.

    Returns:
        nats per kept row; 0 where the rows differ by a constant only, or none is kept.

    Raises:
        ValueError: for a temperature that is not above 0, a ratio outside [0, 1], or arguments that do not fit.
    """
    check_logits(student_logits, teacher_logits)
    check_classes(labels, student_logits)
    return _kept_kl(student_logits, teacher_logits, labels, positive(temperature, "temperature"), keep_ratio)


def sskd_ss_loss(
    student_embedding: Float[Tensor, "rows _"],
    teacher_embedding: Float[Tensor, "rows _"],
    *,
    temperature: float = 0.5,
    keep_ratio: float = 0.75,
) -> Float[Tensor, ""]:
    """Return temperature^2 KL of softmax cosines of every rotated image with every upright one, mean over rows kept.

    Args:
        student_embedding: projected; image i at rows 4i (upright) and 4i + 1 to 4i + 3 (rotated).
        teacher_embedding: likewise; constant in the gradient.
        temperature: above 0.
        keep_ratio: as for `sskd_tf_loss`, the label being the image's own upright form.

    Returns:
        nats per kept row; 0 where all cosines are equal.

    Raises:
        ValueError: for a temperature that is not above 0, a ratio outside [0, 1], or rows that are not four per image.
    """
    mine, its = (_cosines(embedding) for embedding in (student_embedding, teacher_embedding.detach()))
    own = torch.arange(its.shape[1], device=its.device).repeat_interleave(3)
    return _kept_kl(mine, its, own, positive(temperature, "temperature"), keep_ratio)


def _cosines(embedding: Tensor) -> Tensor:
    if len(embedding) % 4:
        raise ValueError(f"embedding: {len(embedding)} rows are not four per image")
    unit = functional.normalize(promote(embedding)).unflatten(0, (-1, 4))
    with torch.autocast(unit.device.type, enabled=False):
        return torch.matmul(unit[:, 1:].flatten(0, 1), unit[:, 0].T)


def _kept_kl(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, keep_ratio: float) -> Tensor:
    keep_ratio = fraction(keep_ratio, "keep_ratio", may_be_one=True)
    each = kl(log_soften(teacher.detach(), temperature), log_soften(student, temperature))
    order = teacher.detach().argsort(dim=1, descending=True, stable=True)
    rank = (order == labels[:, None]).int().argmax(1)
    num_wrong = (rank > 0).sum()
    place = rank.argsort(stable=True).argsort()  # the right ones first, then by rank
    is_kept = place < len(rank) - num_wrong + (keep_ratio * num_wrong).floor()
    return temperature**2 * torch.where(is_kept, each, 0.0).sum() / is_kept.sum().clamp_min(1)


def _rows(outputs: Outputs) -> Tensor:
    """Return pooled features with image i at rows 4i to 4i + 3."""
    return torch.stack([promote(view.features["pooled"]) for view in all_views(outputs)], dim=1).flatten(0, 1)


def _head(dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))


class SSKD(Objective):
    """Both losses on three rotations of every image; KD of the upright images is a separate term."""

    compares_rows = True

    def __init__(
        self,
        transformed_weight: float = 2.7,
        similarity_weight: float = 10.0,
        transformed_temperature: float = 4.0,
        similarity_temperature: float = 0.5,
        transformed_keep: float = 1.0,
        similarity_keep: float = 0.75,
        stage_epochs: int = 60,
    ) -> None:
        super().__init__()
        self.hyperparameters = {
            "transformed_weight": transformed_weight,
            "similarity_weight": similarity_weight,
            "transformed_temperature": positive(transformed_temperature, "transformed_temperature"),
            "similarity_temperature": positive(similarity_temperature, "similarity_temperature"),
            "transformed_keep": fraction(transformed_keep, "transformed_keep", may_be_one=True),
            "similarity_keep": fraction(similarity_keep, "similarity_keep", may_be_one=True),
        }
        self.stage_epochs = at_least(stage_epochs, 0, "stage_epochs")
        self.student_head, self.teacher_head = nn.Sequential(), nn.Sequential()

    def views(self) -> tuple[str, ...]:
        """Ask for the three rotations."""
        return ROTATIONS

    def taps(self, student: FeatureShapes, teacher: FeatureShapes) -> Taps:
        """Tap the pooled features."""
        return pooled_taps(student, teacher, "sskd")

    def build(self, context: BuildContext) -> None:
        """Make the two heads."""
        device = context.student.logits.device
        self.student_head, self.teacher_head = (_head(width).to(device) for width in pooled_widths(context))

    def pretraining(self) -> Stage | None:
        """Train the teacher's head."""
        return Stage(
            Matching(self.teacher_head), self.stage_epochs, trains="objective", lr=0.05, milestones=(0.5, 0.75)
        )

    def loss(self, step: Step) -> Tensor:
        """Return the weighted sum of both losses; without labels, the teacher's choice for the upright image is used."""
        sides = (step.student, teacher_outputs(step))
        labels = sides[1].logits.argmax(1)
        if known := step.batch.num_labelled:
            labels[:known] = labels_of(step.rows(0, known))
        labels = labels.repeat(len(ROTATIONS))
        mine, its = (torch.cat([promote(view.logits) for view in all_views(side)[1:]]) for side in sides)
        with torch.no_grad():
            target = promote(self.teacher_head(_rows(sides[1])))
        return sskd_loss(
            mine, its, labels, promote(self.student_head(_rows(step.student))), target, **self.hyperparameters
        )


class Matching(Objective):
    """Cross-entropy of finding each rotated image's upright form among the batch's, by the cosines of a head on the teacher."""

    compares_rows = True

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def loss(self, step: Step) -> Tensor:
        """Return the loss of this batch."""
        cosines = _cosines(self.head(_rows(teacher_outputs(step))))
        own = torch.arange(cosines.shape[1], device=cosines.device).repeat_interleave(3)
        return functional.cross_entropy(cosines, own)
