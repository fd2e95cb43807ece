"""Confidence ranking (CRL): be more confident in samples that were right more often while training.

Source: Moon, Kim, Shin, Hwang, "Confidence-Aware Learning for Deep Neural Networks" (ICML 2020, arXiv 2007.01458),
equations 2 and 3; an option of the SoTeacher release (Dong, Liu, Shang, ICLR 2024).
Differs from the authors' code: the number of classes in the entropy is read from the logits, and a history that is all
equal counts as 0 where theirs divides by zero.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from preceptor.divergences import log_soften
from preceptor.objectives.base import BuildContext, Objective, labels_of
from preceptor.objectives.hyperparameters import one_of
from preceptor.objectives.tensor_checks import check_classes
from preceptor.types import Step

__all__ = ["ConfidenceRanking", "confidence_ranking_loss"]

Confidence = Literal["max_probability", "negative_entropy", "margin"]


def confidence_ranking_loss(
    logits: Float[Tensor, "batch classes"],
    history: Float[Tensor, " batch"],
    *,
    confidence: Confidence = "max_probability",
) -> Float[Tensor, ""]:
    """Return (1/B) sum_i max(0, |c_i - c_j| - sign(c_i - c_j) (k_i - k_j)), j being the next row, the last one's the first.

    Args:
        logits: of the network; k is its confidence in each row.
        history: c, how often each row's sample was right before, scaled to [0, 1]; constant in the gradient.
        confidence: the largest probability, minus the entropy over log classes, or the largest probability less the second.

    Returns:
        confidence per row, batch mean, at least 0; 0 where confidences differ by as much as histories do, and where all
        histories are equal. It depends on the order of the batch, which makes the pairs.

    Raises:
        ValueError: for an unknown confidence.

    Examples:
        >>> logits = torch.tensor([[0.0, 0.0], [0.0, 0.0]])
        >>> confidence_ranking_loss(logits, torch.tensor([1.0, 0.5])).item()
        0.5
    """
    sure = _confidence(logits, one_of(confidence, get_args(Confidence), "confidence"))
    fixed = history.detach().to(sure.dtype)
    difference = fixed - fixed.roll(-1)
    return (difference.abs() - difference.sign() * (sure - sure.roll(-1))).clamp_min(0).mean()


def _confidence(logits: Tensor, kind: Confidence) -> Tensor:
    log_probs = log_soften(logits)
    if kind == "negative_entropy":
        return (log_probs.exp() * log_probs).sum(1) / math.log(logits.shape[1])
    if kind == "max_probability":
        return log_probs.max(1).values.exp()
    first, second = log_probs.topk(2, dim=1).values.exp().unbind(1)
    return first - second


class ConfidenceRanking(Objective):
    """Ranks the rows of a batch by how often their samples were right in earlier epochs, and keeps count."""

    uses_teacher = False
    needs_labels = True
    needs_samples = True
    compares_rows = True
    memory_banks = ("times_right",)

    times_right: Tensor

    def __init__(self, confidence: Confidence = "max_probability") -> None:
        super().__init__()
        self.confidence: Confidence = one_of(confidence, get_args(Confidence), "confidence")
        self.register_buffer("times_right", torch.zeros(0))

    def build(self, context: BuildContext) -> None:
        """Make the counters, 4 bytes per sample."""
        self.times_right = torch.zeros(context.num_samples, device=context.student.logits.device)

    def forward(self, logits: Tensor, labels: Tensor, index: Tensor, epoch: int) -> Tensor:
        """Return the loss of logits [batch, classes] of the samples `index`; in training, count which were right.

        Raises:
            ValueError: before `build`, which makes the counters, and for labels that are no classes.
        """
        if len(self.times_right) == 0:
            raise ValueError("confidence_ranking has no counters yet: call build(context) first")
        check_classes(labels, logits)
        least = self.times_right.min()
        span = max(epoch - 1, 1) - least
        history = torch.where(span > 0, (self.times_right[index] - least) / span.clamp_min(1e-12), 0.0)
        loss = confidence_ranking_loss(logits, history, confidence=self.confidence)
        if self.training and torch.is_grad_enabled():
            right = (logits.detach().argmax(1) == labels).to(self.times_right.dtype)
            self.times_right.index_copy_(0, index, self.times_right[index] + right)
        return loss

    def loss(self, step: Step) -> Tensor:
        """Return the loss of the network that is trained."""
        return self(step.student.logits, labels_of(step), step.batch.index, step.progress.epoch)
