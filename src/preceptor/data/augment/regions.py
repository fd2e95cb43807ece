"""The search of KD+'s region: where, among ways of mixing, student and teacher disagree most.

Source: Deng, Zheng, Zhang, "Personalized Education: Blind Knowledge Distillation" (ECCV 2022), and the released code: at each
search one pass over the training samples for every pair (alpha, patch size) but the first, smallest alpha with the
largest patches, which is deemed too near to the samples.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace

from preceptor.data.augment.policies import KDPlus, MixPatch
from preceptor.data.pool import PolicyLoader
from preceptor.types import Batch

__all__ = ["Disagreement", "Region", "RegionSearch"]

Region = tuple[float, int]  # alpha, side of a patch in pixels
Disagreement = Callable[[Iterable[Batch], float], float]  # of student and teacher on some batches, at a temperature


class RegionSearch:
    """Moves the region of a loader's KD+ policy, every so many epochs.

    Args:
        loader: of the run; its policy is exchanged for one with the region found.
        policy: where the search starts.
        height: of the images in pixels.
        every: epochs between two searches.
    """

    def __init__(self, loader: PolicyLoader, policy: KDPlus, *, height: int, every: int) -> None:
        self._loader = loader
        self._policy = policy
        sizes = sorted(policy.patch_sizes or (height, height // 2), reverse=True)
        self.candidates: list[Region] = [*itertools.product(sorted(policy.alphas), sizes)][1:]
        self.region: Region = (policy.alpha, height // 2 if policy.patch_size is None else policy.patch_size)
        self.every = every

    def move_to(self, region: Region) -> None:
        """Let the loader mix in a region."""
        self.region = region
        self._loader.policy = replace(self._policy, alpha=region[0], patch_size=region[1])

    def begin(self, epoch: int, disagreement: Disagreement) -> str | None:
        """Search if this epoch (from 1) is one to search before, and return what was found."""
        if epoch == 1 or (epoch - 1) % self.every:
            return None
        found = {region: self._measured(region, epoch, disagreement) for region in self.candidates}
        best = max(found, key=lambda region: found[region])
        self.move_to(best)
        return f"epoch {epoch}: mixing with alpha {best[0]:g}, patches of {best[1]}, where KL is {found[best]:.3g}"

    def _measured(self, region: Region, epoch: int, disagreement: Disagreement) -> float:
        mixed = self._loader.showing(MixPatch(alpha=region[0], patch_size=region[1]))
        return disagreement(mixed.batches(epoch), self._policy.search_temperature)
