"""Running sums of an epoch, kept in one tensor so that they travel with the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

__all__ = ["Tally"]


class Tally:
    """What an epoch has seen so far: rows, seconds, loss, right answers and each term's loss.

    Args:
        terms: names of the objective's terms.
        values: sums to go on from, float64 [5 + terms].
    """

    def __init__(self, terms: Sequence[str], values: Tensor | None = None) -> None:
        self.terms = tuple(terms)
        self.values = torch.zeros(5 + len(self.terms), dtype=torch.float64) if values is None else values.clone()

    def add(self, logits: Tensor, labels: Tensor | None, loss: Tensor, terms: Mapping[str, Tensor]) -> None:
        """Count one step (its time is counted by `add_seconds`)."""
        rows = len(logits)
        right = 0.0 if labels is None else _rows_right(logits, labels)
        labelled = 0 if labels is None else rows
        sums = [rows, 0.0, float(loss) * rows, right, labelled, *(float(terms[name]) * rows for name in self.terms)]
        self.values += torch.tensor(sums, dtype=torch.float64)

    def add_seconds(self, seconds: float) -> None:
        """Count training time."""
        self.values[1] += seconds

    @property
    def images_per_second(self) -> float:
        """Rows per second of training time; 0 before the first step."""
        return float(self.values[0] / self.values[1]) if self.values[1] > 0 else 0.0

    @property
    def loss(self) -> float:
        """Mean weighted loss per row."""
        return float(self.values[2] / self.values[0].clamp_min(1))

    @property
    def num_labelled(self) -> int:
        """Rows whose label was known."""
        return int(self.values[4])

    @property
    def accuracy(self) -> float:
        """Share of labelled rows (multi-label: of their answers yes or no) that were right while training, as a fraction."""
        return float(self.values[3] / self.values[4].clamp_min(1))

    @property
    def term_means(self) -> dict[str, float]:
        """Mean unweighted loss per row, by term."""
        means = self.values[5:] / self.values[0].clamp_min(1)
        return dict(zip(self.terms, means.tolist(), strict=True))


def _rows_right(logits: Tensor, labels: Tensor) -> float:
    if labels.ndim == 1:
        return float((logits.argmax(1) == labels).sum())
    return float(((logits > 0) == (labels > 0.5)).double().mean(1).sum())
