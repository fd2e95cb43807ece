"""KD+: batches of samples with their labels, and in between MixPatch batches with the teacher's output only."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from torch import Tensor

from preceptor.data.augment.mixed_inputs import MixedInputs, Mixing
from preceptor.data.augment.mixtures import MixPatch, check_alpha
from preceptor.data.augment.policy import PolicyLoader
from preceptor.data.augment.regions import Region, RegionSearch
from preceptor.types import Batch

__all__ = ["KDPlus"]

Match = Literal["total_batches", "real_batches"]


@dataclass(frozen=True)
class KDPlus(MixedInputs):
    """Real batches with their labels, and in between MixPatch batches with the teacher's output only, at full weight.

    Source: Deng, Zheng, Zhang, "Personalized Education: Blind Knowledge Distillation" (ECCV 2022), whose code is complete.
    That KD+ (Deng, Zhang, "Can Students Outperform Teachers in Knowledge Distillation based Model Compression?", 2021), which
    released none, is this method with a fixed region is an inference, not something its authors say.

    Args:
        real_share: share of batches that are left as they are; 0.3 or 0.1 in the released commands.
        add: see `MixedInputs`.
        alpha: of MixPatch; a search starts there.
        patch_size: of MixPatch; a search starts there.
        search: search regularly for the region (alpha, patch_size) where student and teacher disagree most.
        alphas: of the search.
        patch_sizes: of the search; empty: the images' height and half of it.
        search_every: epochs between two searches, the first at the start of this one; below 1: share of the run. As published,
            50 of 240 epochs, `match` makes it longer like the run, and it is rounded down: 166 of 800.
        search_temperature: at which disagreement is measured, as KL.
        match: what stays the same as without this policy: "total_batches", the number of steps, or, as published,
            "real_batches": the run is 1 / real_share times as long.
    """

    real_share: float = 0.3
    alpha: float = 1.0
    patch_size: int | None = None
    search: bool = False
    alphas: tuple[float, ...] = (0.1, 0.5, 1.0)
    patch_sizes: tuple[int, ...] = ()
    search_every: float = 50 / 240
    search_temperature: float = 4.0
    match: Match = "total_batches"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.real_share == 0:
            raise ValueError("real_share: 0 would leave no batch with labels")
        for alpha in (self.alpha, *self.alphas):
            check_alpha(alpha)
        for name, value in (("search_every", self.search_every), ("search_temperature", self.search_temperature)):
            if not value > 0:
                raise ValueError(f"{name}: {value} is not above 0")

    def check(self, sample_shape: tuple[int, ...]) -> None:
        """Check that samples are images that all patches tile."""
        for size in (self.patch_size, *(self.patch_sizes if self.search else ())):
            MixPatch(patch_size=size).check(sample_shape)

    def epochs(self, length: float) -> int:
        """Return how many epochs a run of this length has under this policy: more if it has to match the real batches."""
        return int(length / self.real_share) if self.match == "real_batches" else int(length)

    def notes(self, epochs: int) -> tuple[str, ...]:
        """Say when the run ends before the first search."""
        if not self.search or self._interval(epochs) <= epochs:
            return ()
        return (
            f"warning: inputs.search_every: the first search would come in epoch {self._interval(epochs)} of {epochs}; "
            "a time below 1 is a share of the run",
        )

    def region_search(self, loader: PolicyLoader, sample_shape: tuple[int, ...], epochs: int) -> RegionSearch | None:
        """Return the search for the region where student and teacher disagree most, if it was asked for.

        The first region, smallest alpha with the largest patches, is left out: its inputs are too close to the samples.
        """
        if not self.search:
            return None
        height = sample_shape[1]
        sizes = sorted(self.patch_sizes or (height, height // 2), reverse=True)

        def mixed_batches(region: Region, epoch: int) -> Iterable[Batch]:
            return loader.showing(MixPatch(alpha=region[0], patch_size=region[1])).batches(epoch)

        def mix_in(region: Region) -> None:
            loader.policy = replace(self, alpha=region[0], patch_size=region[1])

        return RegionSearch(
            [*itertools.product(sorted(self.alphas), sizes)][1:],
            (self.alpha, height // 2 if self.patch_size is None else self.patch_size),
            every=self._interval(epochs),
            temperature=self.search_temperature,
            mixed_batches=mixed_batches,
            mix_in=mix_in,
        )

    def _interval(self, epochs: int) -> int:
        """Return how many epochs lie between two searches in a run of so many."""
        if self.search_every < 1:
            return max(1, int(self.search_every * epochs + 1e-6))
        return self.epochs(self.search_every)

    def draw(self, random: np.random.Generator, inputs: Tensor) -> Mixing:
        """Return how to mix a batch."""
        return MixPatch(alpha=self.alpha, patch_size=self.patch_size).draw(random, inputs)

    @property
    def renormalise(self) -> bool:
        """Whether terms that cannot be applied to these rows hand their weight to the others."""
        return True
