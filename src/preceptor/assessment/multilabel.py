"""Scores where several classes can be present at once: each class is predicted separately, as present where z > 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from preceptor.assessment.devices import on_cpu

__all__ = ["MultilabelMetrics", "measure_multilabel"]


@dataclass(frozen=True, slots=True)
class MultilabelMetrics:
    """Scores of a network on multi-label data. Macro: mean over classes; micro: all pairs of sample and class as one list.

    Attributes:
        exact_match: share of samples with all classes right.
        macro_auroc: mean area under the ROC curve, over classes that are present in some samples and absent in others; None
            without such a class.
        micro_auroc: of all pairs; None where all have one label.
        macro_average_precision: mean over classes that are present in some sample; None without such a class.
        micro_average_precision: of all pairs; None where none is present.
        macro_f1: mean over classes that are present, or predicted to be, in some sample; None without such a class.
        micro_f1: of all pairs; None likewise.
        prevalence: share of pairs that are present: the average precision of an uninformed network.
    """

    exact_match: float
    macro_auroc: float | None
    micro_auroc: float | None
    macro_average_precision: float | None
    micro_average_precision: float | None
    macro_f1: float | None
    micro_f1: float | None
    prevalence: float


@on_cpu
def measure_multilabel(
    logits: Float[Tensor, "samples classes"], labels: Int[Tensor, "samples classes"]
) -> MultilabelMetrics:
    """Return the scores of log-odds, in float64.

    Args:
        logits: log-odds of each class.
        labels: 1 for each class that is present, else 0.

    Examples:
        >>> import torch
        >>> scores = measure_multilabel(torch.tensor([[2.0, -1.0], [1.0, 3.0]]), torch.tensor([[1, 0], [0, 1]]))
        >>> scores.exact_match, scores.macro_auroc
        (0.5, 1.0)
    """
    exact, present = logits.double(), labels.double()
    is_right = (exact > 0) == (present > 0)
    columns = [*zip(exact.T, present.T, strict=True)]
    pairs = (exact.flatten(), present.flatten())
    return MultilabelMetrics(
        exact_match=float(is_right.all(1).double().mean()),
        macro_auroc=_mean([_auroc(*column) for column in columns]),
        micro_auroc=_auroc(*pairs),
        macro_average_precision=_mean([_average_precision(*column) for column in columns]),
        micro_average_precision=_average_precision(*pairs),
        macro_f1=_mean([_f1(*column) for column in columns]),
        micro_f1=_f1(*pairs),
        prevalence=float(present.mean()),
    )


def _auroc(log_odds: Tensor, present: Tensor) -> float | None:
    from sklearn import metrics  # noqa: PLC0415  (slow to import)

    is_mixed = 0 < float(present.mean()) < 1
    return float(metrics.roc_auc_score(present.numpy(), log_odds.numpy())) if is_mixed else None


def _average_precision(log_odds: Tensor, present: Tensor) -> float | None:
    from sklearn import metrics  # noqa: PLC0415

    return float(metrics.average_precision_score(present.numpy(), log_odds.numpy())) if present.any() else None


def _f1(log_odds: Tensor, present: Tensor) -> float | None:
    predicted = (log_odds > 0).double()
    total = float(present.sum() + predicted.sum())
    return 2 * float((present * predicted).sum()) / total if total else None


def _mean(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
