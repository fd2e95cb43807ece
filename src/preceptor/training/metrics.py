"""Running sums of an epoch, kept in one tensor so that they travel with the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from preceptor.distributed.processes import Processes

__all__ = ["RunningMetrics"]

_SUMMED_IN = {"mps": torch.float32}  # which knows no float64


class RunningMetrics:
    """An epoch's sums so far: rows, seconds, loss, correct predictions and each term's loss.

    What a step finds is added up on its device; the device is waited for only when the sums are looked at.

    Args:
        terms: names of the objective's terms.
        values: sums to continue from, float64 [5 + 3 terms].
        num_classes: width of the logits; 0 before the first.
    """

    def __init__(self, terms: Sequence[str], values: Tensor | None = None, num_classes: int = 0) -> None:
        self.terms = tuple(terms)
        self.num_classes = num_classes
        self._values = torch.zeros(5 + 3 * len(self.terms), dtype=torch.float64) if values is None else values.clone()
        self._sums: Tensor | None = None  # on the device: correct predictions, loss, terms, weighted terms
        self._is_ahead = False  # of those in `_values`

    @property
    def values(self) -> Tensor:
        """The sums, float64 [5 + 3 terms] on the CPU.

        Rows, seconds, loss, correct, labelled; then each term, the rows that it was applied to, and each term weighted.
        """
        if self._sums is not None and self._is_ahead:
            self._values[self._places()] = self._sums.cpu().double()
            self._is_ahead = False
        return self._values

    def _places(self) -> list[int]:
        first, count = 5, len(self.terms)
        return [3, 2, *range(first, first + count), *range(first + 2 * count, first + 3 * count)]

    def add(
        self,
        logits: Tensor,
        labels: Tensor | None,
        loss: Tensor,
        terms: Mapping[str, Tensor],
        weights: Mapping[str, float],
    ) -> None:
        """Add one step (its time is added by `add_seconds`).

        Args:
            logits: of the student.
            labels: of the first rows; None without any.
            loss: weighted.
            terms: unweighted, those that were applied.
            weights: of the terms in this step.
        """
        rows, labelled, correct = len(logits), 0, logits.new_zeros(())
        self.num_classes = logits.shape[1]
        if labels is not None and not labels.is_floating_point():
            labelled = len(labels)
            correct = _rows_correct(logits[:labelled], labels)
        is_applied = [float(name in terms) for name in self.terms]
        counts = rows * torch.tensor(is_applied, dtype=torch.float64)
        counted = torch.tensor([rows, 0.0, 0.0, 0.0, labelled, *[0.0] * len(self.terms)], dtype=torch.float64)
        self._values += torch.cat([counted, counts, torch.zeros_like(counts)])
        found = torch.stack([value.float() for value in (correct, loss, *self._in_order(terms, loss))])
        found = found.to(_SUMMED_IN.get(logits.device.type, torch.float64))
        if self._sums is None:
            self._sums = self._values[self._places()].to(found)
        self._is_ahead = True
        self._sums[0] += found[0]
        count = len(self.terms)
        self._sums[1 : 2 + count].add_(found[1:], alpha=rows)
        for number, name in enumerate(self.terms):
            if name in terms and (weight := weights.get(name, 0.0)) != 0.0:
                self._sums[2 + count + number].add_(found[2 + number], alpha=rows * weight)

    def _in_order(self, terms: Mapping[str, Tensor], loss: Tensor) -> list[Tensor]:
        return [terms[name] if name in terms else loss.new_zeros(()) for name in self.terms]

    def over(self, processes: Processes, device: torch.device) -> RunningMetrics:
        """Return the sums over all processes; seconds are their mean."""
        if processes.world_size == 1:
            return self
        values = processes.add(self.values.to(device, copy=True)).cpu()
        values[1] /= processes.world_size
        return RunningMetrics(self.terms, values, self.num_classes)

    def continued(self, processes: Processes) -> RunningMetrics:
        """Return the sums from which this process continues: the first one keeps those of all, so that they count once."""
        if processes.is_first:
            return self
        values = torch.zeros_like(self.values)
        values[1] = self.values[1]
        return RunningMetrics(self.terms, values, self.num_classes)

    def add_seconds(self, seconds: float) -> None:
        """Add training time."""
        self._values[1] += seconds

    @property
    def images_per_second(self) -> float:
        """Rows per second of training time; 0 before the first step."""
        return float(self._values[0] / self._values[1]) if self._values[1] > 0 else 0.0

    @property
    def loss(self) -> float:
        """Mean weighted loss per row."""
        return float(self.values[2] / self.values[0].clamp_min(1))

    @property
    def num_labelled(self) -> int:
        """Rows whose class was known."""
        return int(self._values[4])

    @property
    def accuracy(self) -> float | None:
        """Fraction of labelled rows (multi-label: of their classes) that were predicted correctly while training.

        None where no row's class was known.
        """
        return float(self.values[3] / self.values[4]) if self.num_labelled else None

    @property
    def term_means(self) -> dict[str, float]:
        """Mean unweighted loss per row of the batches that a term was applied to, by term; none for one never applied."""
        losses, counts, _ = self.values[5:].chunk(3)
        applied = zip(self.terms, losses.tolist(), counts.tolist(), strict=True)
        return {name: loss / count for name, loss, count in applied if count}

    @property
    def weighted_means(self) -> dict[str, float]:
        """Mean weighted loss per row of each term, whichever rows it was applied to: these add up to `loss`."""
        sums = self.values[5:].chunk(3)[2] / self.values[0].clamp_min(1)
        return dict(zip(self.terms, sums.tolist(), strict=True))


def _rows_correct(logits: Tensor, labels: Tensor) -> Tensor:
    if labels.ndim == 1:
        return (logits.argmax(1) == labels).sum()
    return ((logits > 0) == (labels == 1)).float().mean(1).sum()
