"""Additional scores for two classes: ranking, and scores that account for class imbalance. Class 1 is the positive one."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from preceptor.assessment.devices import on_cpu
from preceptor.assessment.scores import macro_accuracy

__all__ = ["BinaryMetrics", "measure_binary"]


@dataclass(frozen=True, slots=True)
class BinaryMetrics:
    """Scores of a network on two classes; class 1 is the positive one.

    Attributes:
        auroc: area under the ROC curve: how often a positive sample has larger log-odds than a negative one, ties
            counting half; None where one class is missing.
        average_precision: mean precision at each positive sample, in order of log-odds; `prevalence` for an
            uninformed network; None without positive samples.
        f1: harmonic mean of precision and recall at log-odds above 0; None where nothing is positive or predicted to be.
        balanced_accuracy: mean of the two classes' accuracies.
        prevalence: share of positive samples.
    """

    auroc: float | None
    average_precision: float | None
    f1: float | None
    balanced_accuracy: float
    prevalence: float


@on_cpu
def measure_binary(logits: Float[Tensor, "samples 2"], labels: Int[Tensor, " samples"]) -> BinaryMetrics:
    """Return the scores of two logits.

    Args:
        logits: of the network.
        labels: classes, 0 or 1.

    Raises:
        ValueError: for logits of another number of classes.

    Examples:
        >>> import torch
        >>> logits = torch.tensor([[0.0, -2.0], [0.0, 1.0], [0.0, 3.0], [0.0, -1.0]])
        >>> scores = measure_binary(logits, torch.tensor([0, 0, 1, 1]))
        >>> scores.auroc, scores.f1, scores.prevalence
        (0.75, 0.5, 0.5)
    """
    from sklearn import metrics  # noqa: PLC0415  (slow to import, wanted with two classes only)

    if logits.shape[1] != 2:
        raise ValueError(f"logits: {logits.shape[1]} classes, expected 2")
    exact = logits.double()
    log_odds, chosen = (exact[:, 1] - exact[:, 0]).numpy(), exact.argmax(1)
    positive = int((labels == 1).sum())
    is_mixed = 0 < positive < len(labels)
    return BinaryMetrics(
        auroc=float(metrics.roc_auc_score(labels.numpy(), log_odds)) if is_mixed else None,
        average_precision=float(metrics.average_precision_score(labels.numpy(), log_odds)) if positive else None,
        f1=float(metrics.f1_score(labels.numpy(), chosen.numpy())) if positive + int(chosen.sum()) else None,
        balanced_accuracy=macro_accuracy(logits, labels),
        prevalence=positive / len(labels),
    )
