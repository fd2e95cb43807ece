"""Wasserstein KD of logits: moving probability between classes costs less the more alike the classes are.

Source: Lv, Yang, Li, "Wasserstein Distance Rivals Kullback-Leibler Divergence for Knowledge Distillation" (NeurIPS 2024, arXiv
2412.08139), the logit part, with the authors' second cost: 1 - exp(-d), d = 1 - cosine of two rows of the teacher's classifier.
Left out: their first cost, by CKA, pairs the k-th samples of two classes and so depends on the order of the data.
The authors' 1e-8 inside the iterations are part of the value: they are kept.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from preceptor.divergences import log_soften, other_classes, promote, transport_cost
from preceptor.errors import UsageError
from preceptor.models import classifier_parameters
from preceptor.objectives.base import BuildContext, Objective
from preceptor.objectives.fallback import kd_where_unlabelled
from preceptor.objectives.hyperparameters import at_least, positive
from preceptor.objectives.row_weights import mean_of_rows
from preceptor.objectives.schedules import in_epochs
from preceptor.objectives.tensor_checks import check_classes, check_logits
from preceptor.types import Progress, Step

__all__ = ["WKDL", "wkd_l_loss"]

_SMALL = 1e-8


def wkd_l_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    labels: Int[Tensor, " batch"],
    cost: Float[Tensor, "classes classes"],
    *,
    wasserstein_weight: float = 600.0,
    temperature: float = 8.0,
    regularisation: float = 0.05,
    iterations: int = 10,
) -> Float[Tensor, ""]:
    """Return -p_T,y log p_S,y + wasserstein_weight W, W the entropic transport cost among the other classes, not 0 at equality.

    Args:
        student_logits: of the student.
        teacher_logits: of the teacher; constant in the gradient.
        labels: class of each row.
        cost: of moving probability from class to class, at least 0.
        wasserstein_weight: of the second term, which is next to nothing with two classes.
        temperature: of the distributions over the other classes, above 0.
        regularisation: entropic, above 0.
        iterations: of Sinkhorn's algorithm, at least 1; the gradient goes through all.

    Returns:
        nats per sample for the first term, cost for the second, batch mean.

    Raises:
        ValueError: for a hyperparameter out of range, logits of different shapes, or labels that are no classes.

    Examples:
        >>> logits, labels = torch.zeros(1, 2), torch.tensor([0])
        >>> round(wkd_l_loss(logits, logits, labels, 1 - torch.eye(2)).item(), 4)  # 0.5 log 2
        0.3466
    """
    check_logits(student_logits, teacher_logits)
    check_classes(labels, student_logits)
    student, teacher, target = promote(student_logits), promote(teacher_logits.detach()), labels[:, None]
    matched = -(log_soften(teacher).gather(1, target).exp() * log_soften(student).gather(1, target)).squeeze(1)
    log_mine, log_its = (
        log_soften(other_classes(z, labels), positive(temperature, "temperature")) for z in (student, teacher)
    )
    others = other_classes(torch.arange(student.shape[1], device=labels.device).expand_as(student), labels)
    moves = cost[others[:, :, None], others[:, None, :]].to(student.dtype).relu() + _SMALL
    regularisation, iterations = positive(regularisation, "regularisation"), at_least(iterations, 1, "iterations")
    moved = transport_cost(log_mine.exp(), log_its.exp(), moves, regularisation=regularisation, iterations=iterations)
    return mean_of_rows(matched) + wasserstein_weight * mean_of_rows(moved)


class WKDL(Objective):
    """Target and transport cost among the other classes; the latter fades along half a cosine from `decay_start`.

    Below 1 `decay_start` is a share of the run; published: epoch 150 of 240 on CIFAR, none on ImageNet (`null`).
    """

    cost: Tensor

    def __init__(
        self,
        wasserstein_weight: float = 600.0,
        temperature: float = 8.0,
        regularisation: float = 0.05,
        iterations: int = 10,
        decay_start: float | None = 150 / 240,
    ) -> None:
        super().__init__()
        self.wasserstein_weight = wasserstein_weight
        self.temperature = positive(temperature, "temperature")
        self.regularisation = positive(regularisation, "regularisation")
        self.iterations = at_least(iterations, 1, "iterations")
        self.decay_start = decay_start
        self.register_buffer("cost", None)

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, share: float = 1.0) -> Tensor:
        """Return the loss of logits [batch, classes] with labels [batch], and this share of the transport; after `build`."""
        check_logits(student_logits, teacher_logits)
        check_classes(labels, student_logits)
        return wkd_l_loss(
            student_logits,
            teacher_logits,
            labels,
            self.cost,
            wasserstein_weight=share * self.wasserstein_weight,
            temperature=self.temperature,
            regularisation=self.regularisation,
            iterations=self.iterations,
        )

    def share(self, progress: Progress) -> float:
        """Return which share of the transport counts in this epoch."""
        start = progress.epochs if self.decay_start is None else in_epochs(self.decay_start, progress.epochs)
        past = (progress.epoch - start) / max(progress.epochs - start, 1)
        return (1 + math.cos(math.pi * min(max(past, 0.0), 1.0))) / 2

    def build(self, context: BuildContext) -> None:
        """Find the cost of each move between classes.

        Raises:
            UsageError: when the teacher is no network.
        """
        if context.teacher_model is None:
            raise UsageError("method wkd_l reads the classifier of a teacher network, and the run has none")
        rows = functional.normalize(
            classifier_parameters(context.teacher_model, context.num_classes)[0].detach().float()
        )
        distances = (1 - rows @ rows.T).clamp_min(0).fill_diagonal_(0)
        self.cost = (-torch.expm1(-distances)).to(context.student.logits.device)

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher; on rows without a label that of plain KD."""
        share = self.share(step.progress)
        return kd_where_unlabelled(step, lambda *each: self(*each, share=share), self.temperature)
