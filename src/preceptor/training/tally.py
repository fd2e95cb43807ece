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
        values: sums to go on from, float64 [5 + 2 terms].
    """

    def __init__(self, terms: Sequence[str], values: Tensor | None = None) -> None:
        self.terms = tuple(terms)
        self.values = torch.zeros(5 + 2 * len(self.terms), dtype=torch.float64) if values is None else values.clone()

    def add(self, logits: Tensor, labels: Tensor | None, loss: Tensor, terms: Mapping[str, Tensor]) -> None:
        """Count one step (its time is counted by `add_seconds`)."""
        rows, labelled, right = len(logits), 0, 0
        if labels is not None and not labels.is_floating_point():
            labelled = len(labels)
            right = int((logits[:labelled].argmax(1) == labels).sum())
        losses = [float(terms[name]) * rows if name in terms else 0.0 for name in self.terms]
        counts = [rows if name in terms else 0 for name in self.terms]
        sums = [rows, 0.0, float(loss) * rows, right, labelled, *losses, *counts]
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
        """Rows whose class was known."""
        return int(self.values[4])

    @property
    def accuracy(self) -> float | None:
        """Share of labelled rows that were right while training, as a fraction; None where no row's class was known."""
        return float(self.values[3] / self.values[4]) if self.num_labelled else None

    @property
    def term_means(self) -> dict[str, float]:
        """Mean unweighted loss per row of the batches that a term was applied to, by term; none for one never applied."""
        losses, counts = self.values[5:].chunk(2)
        applied = zip(self.terms, losses.tolist(), counts.tolist(), strict=True)
        return {name: loss / count for name, loss, count in applied if count}
