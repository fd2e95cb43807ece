"""What an input policy is: a pure function of a batch and its keys, applied before both networks; and its batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from preceptor.data.augment.regions import RegionSearch
from preceptor.data.loader import Batches
from preceptor.types import Batch

__all__ = ["PlainInputs", "Policy", "PolicyLoader"]


class Policy(ABC):
    """What becomes of a batch of samples before any network sees it."""

    @abstractmethod
    def __call__(self, batch: Batch, number: int, *, num_classes: int = 0) -> Batch:
        """Return the batch that the networks see.

        Args:
            batch: samples, augmented and normalised.
            number: of the batch in its epoch, from 0: with the batch's view the key of all random numbers.
            num_classes: width of the target distributions of mixed inputs; 0: they have no labels.
        """

    def check(self, sample_shape: tuple[int, ...]) -> None:  # noqa: B027  (most work on any)
        """Check that it works on samples of this shape.

        Raises:
            UsageError: when it does not.
        """

    def rows(self, batch_size: int) -> int:
        """Return how many rows a full batch has afterwards."""
        return batch_size

    def epochs(self, length: float) -> int:
        """Return how many epochs a run of this length has under this policy."""
        return int(length)

    def notes(self, epochs: int) -> tuple[str, ...]:
        """Return what the user should hear about it in a run of so many epochs, a line each."""
        return ()

    def region_search(self, loader: PolicyLoader, sample_shape: tuple[int, ...], epochs: int) -> RegionSearch | None:
        """Return the search that moves the region in which a loader mixes, if this policy asks for one.

        Args:
            loader: of the run; the search changes its policy.
            sample_shape: of one sample.
            epochs: of the run.
        """
        return None

    @property
    def replaces_samples(self) -> bool:
        """Whether some batches show mixed inputs only, and no sample."""
        return False

    @property
    def mixes_rows(self) -> bool:
        """Whether a row's result depends on the other rows of its batch, or on its place among them."""
        return False


class PlainInputs(Policy):
    """The samples as they are."""

    def __call__(self, batch: Batch, number: int, *, num_classes: int = 0) -> Batch:
        return batch


class PolicyLoader:
    """Batches to which an input policy is applied.

    Args:
        source: batches of samples; of several processes, this one's rows of them.
        policy: may be exchanged between two batches.
        mixed_labels: classes of the labels that mixed inputs keep; 0: they have none.
        gather_batch: returns the batch of all processes from this one's rows, for policies that mix rows.
        rank: of this process: of a gathered batch it gets every `world_size`-th row, from row `rank` on.
        world_size: processes that share each batch.
    """

    def __init__(
        self,
        source: Batches,
        policy: Policy,
        mixed_labels: int = 0,
        *,
        gather_batch: Callable[[Batch], Batch] | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.policy = policy
        self._source = source
        self._mixed_labels = mixed_labels
        self._gather_batch = gather_batch
        self._rank = rank
        self._world_size = world_size

    def showing(self, policy: Policy) -> PolicyLoader:
        """Return the same batches under another policy."""
        return PolicyLoader(
            self._source,
            policy,
            self._mixed_labels,
            gather_batch=self._gather_batch,
            rank=self._rank,
            world_size=self._world_size,
        )

    @property
    def num_batches(self) -> int:
        """Batches per epoch."""
        return self._source.num_batches

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch (counted from 1), from batch `start` on."""
        for number, batch in enumerate(self._source.batches(epoch, start=start), start):
            if self._gather_batch is None or not self.policy.mixes_rows:
                yield self.policy(batch, number, num_classes=self._mixed_labels)
            else:
                mixed = self.policy(self._gather_batch(batch), number, num_classes=self._mixed_labels)
                yield mixed.stride(self._rank, self._world_size)
