"""What the policies share that show mixed inputs: inputs which are no samples, but made of them.

Mixed inputs have no label when a student is distilled: only the teacher's output for the very same input is learned. When a
teacher is trained, labels are mixed as the inputs are.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from preceptor.data.augment.mixing import counter_rng
from preceptor.data.augment.policy import Policy
from preceptor.divergences import targets
from preceptor.types import Batch

__all__ = ["MixedInputs", "Mixing"]

_Mix = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Mixing:
    """How one batch is mixed, with all random numbers mixing.

    Attributes:
        inputs: maps the inputs, and every extra view of them.
        labels: maps the target distributions.
    """

    inputs: _Mix
    labels: _Mix


@dataclass(frozen=True)
class MixedInputs(Policy):
    """Shows mixed inputs, instead of the samples or beside them.

    Args:
        real_share: share of batches that are left as they are.
        add: show the samples too, in the same batch, which is then twice as long.
    """

    real_share: float = 0.0
    add: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.real_share < 1:
            raise ValueError(f"real_share: {self.real_share} is not in [0, 1)")

    @abstractmethod
    def draw(self, random: np.random.Generator, inputs: Tensor) -> Mixing:
        """Return how to mix a batch."""

    def __call__(self, batch: Batch, number: int, *, num_classes: int = 0) -> Batch:
        random = counter_rng(batch.view.seed, batch.view.epoch, number)
        if random.random() < self.real_share:
            return batch
        mixing = self.draw(random, batch.inputs)
        labels = None
        if num_classes and batch.labels is not None:
            labels = mixing.labels(targets(batch.labels, num_classes))
        mixed = replace(
            batch,
            inputs=mixing.inputs(batch.inputs),
            labels=labels,
            index=batch.index[:0],
            extra_views={name: mixing.inputs(inputs) for name, inputs in batch.extra_views.items()},
            renormalise=self.renormalise,
        )
        return _beside(batch, mixed, num_classes) if self.add else mixed

    @property
    def renormalise(self) -> bool:
        """Whether terms that cannot be applied to these rows hand their weight to the others."""
        return False

    def rows(self, batch_size: int) -> int:
        """Return how many rows a full batch has afterwards."""
        return 2 * batch_size if self.add else batch_size

    @property
    def replaces_samples(self) -> bool:
        """Whether some batches show mixed inputs only, and no sample."""
        return not self.add

    @property
    def mixes_rows(self) -> bool:
        """Whether a row's result depends on the other rows of its batch, or on its place among them."""
        return True


def _beside(batch: Batch, mixed: Batch, num_classes: int) -> Batch:
    """Return the samples and the mixed inputs as one batch, samples first."""
    labels = batch.labels
    if labels is not None and mixed.labels is not None:
        labels = torch.cat([targets(labels, num_classes), mixed.labels])
    return replace(
        mixed,
        inputs=torch.cat([batch.inputs, mixed.inputs]),
        labels=labels,
        index=batch.index,
        extra_views={name: torch.cat([inputs, mixed.extra_views[name]]) for name, inputs in batch.extra_views.items()},
        renormalise=False,
    )
