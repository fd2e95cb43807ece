"""Which classes are taken for which: counts of labels and predictions, and what they say of each class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from preceptor.assessment.devices import on_cpu

__all__ = ["ClassScore", "Outcomes", "class_scores", "confusion", "outcomes"]


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class on a split; on multi-label data, a class is predicted where z > 0.

    Attributes:
        samples: how many are of the class.
        predicted: how many are taken to be.
        right: how many are both.
    """

    samples: int
    predicted: int
    right: int

    @property
    def accuracy(self) -> float | None:
        """Share of the class's samples that are recognised (its recall); None of a class without samples."""
        return self.right / self.samples if self.samples else None

    @property
    def precision(self) -> float | None:
        """Share of the predictions of the class that are right; None of a class that is never predicted."""
        return self.right / self.predicted if self.predicted else None


@on_cpu
def class_scores(
    logits: Float[Tensor, "samples classes"], labels: Int[Tensor, samples * wide]
) -> tuple[ClassScore, ...]:
    """Return the score of each class.

    Args:
        logits: of the network.
        labels: classes; multi-label: 1 for each class that is present, else 0.

    Examples:
        >>> class_scores(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1, 1]))[1].accuracy
        0.5
    """
    if labels.ndim == 2:
        present, predicted = labels == 1, logits > 0
        counts = [each.sum(0) for each in (present, predicted, present & predicted)]
    else:
        choice, width = logits.argmax(1), logits.shape[1]
        counts = [torch.bincount(each, minlength=width) for each in (labels, choice, labels[choice == labels])]
    return tuple(ClassScore(*row) for row in torch.stack(counts, 1).tolist())


@on_cpu
def confusion(logits: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"]) -> list[tuple[int, int, int]]:
    """Return (label, prediction, count) of each pair that occurs, in order: the confusion matrix without its zeros.

    Examples:
        >>> confusion(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1, 1]))
        [(0, 0, 1), (1, 0, 1), (1, 1, 1)]
    """
    width = logits.shape[1]
    pairs, counts = (labels.long() * width + logits.argmax(1)).unique(return_counts=True)
    return [(pair // width, pair % width, count) for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True)]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How many samples two networks get right and wrong together.

    Attributes:
        both_right: both.
        reference_right: the reference alone (the teacher, say).
        own_right: the network alone.
        same_mistake: neither, and both choose the same class.
        other_mistake: neither, and they choose different classes.
    """

    both_right: int
    reference_right: int
    own_right: int
    same_mistake: int
    other_mistake: int


@on_cpu
def outcomes(
    logits: Float[Tensor, "samples classes"],
    reference: Float[Tensor, "samples classes"],
    labels: Int[Tensor, " samples"],
) -> Outcomes:
    """Return how many samples a network and a reference get right and wrong together.

    Examples:
        >>> outcomes(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]))
        Outcomes(both_right=1, reference_right=1, own_right=0, same_mistake=0, other_mistake=0)
    """
    own, other = logits.argmax(1), reference.argmax(1)
    is_right, other_is_right = own == labels, other == labels
    groups = (
        is_right & other_is_right,
        ~is_right & other_is_right,
        is_right & ~other_is_right,
        ~is_right & (own == other),
        ~is_right & ~other_is_right & (own != other),
    )
    return Outcomes(*(int(group.sum()) for group in groups))
