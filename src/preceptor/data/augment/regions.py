"""The search for KD+'s region: among ways of mixing, where do student and teacher disagree most?

Source: Deng, Zheng, Zhang, "Personalized Education: Blind Knowledge Distillation" (ECCV 2022), and the released code: each
search makes one pass over the training samples for every region, a pair (alpha, patch size).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from preceptor.types import Batch

__all__ = ["Disagreement", "Region", "RegionSearch"]

Region = tuple[float, int]  # alpha, side of a patch in pixels
Disagreement = Callable[[Iterable[Batch], float], float]  # of student and teacher on some batches, at a temperature


class RegionSearch:
    """Moves the region in which KD+ mixes to where student and teacher disagree most, every few epochs.

    Args:
        candidates: the regions to choose from.
        region: the current one, in which the run starts.
        every: epochs between two searches, which come at the start of each epoch that it divides.
        temperature: at which disagreement is measured.
        mixed_batches: returns the batches of an epoch (from 1), all of them mixed in a region.
        mix_in: makes the run mix in a region from now on.

    Attributes:
        region: in which the run mixes now.
    """

    def __init__(
        self,
        candidates: Sequence[Region],
        region: Region,
        *,
        every: int,
        temperature: float,
        mixed_batches: Callable[[Region, int], Iterable[Batch]],
        mix_in: Callable[[Region], None],
    ) -> None:
        self.candidates = candidates
        self.region = region
        self.every = every
        self._temperature = temperature
        self._mixed_batches = mixed_batches
        self._mix_in = mix_in

    def move_to(self, region: Region) -> None:
        """Make the run mix in a region from now on."""
        self.region = region
        self._mix_in(region)

    def begin(self, epoch: int, disagreement: Disagreement) -> str | None:
        """Search before an epoch (from 1) if it is due, move to the best region, and return a line for the user.

        Args:
            epoch: which is about to begin. The first is mixed in the region given.
            disagreement: measures student and teacher on batches, at a temperature.
        """
        if epoch == 1 or epoch % self.every:
            return None
        measured = {
            region: disagreement(self._mixed_batches(region, epoch), self._temperature) for region in self.candidates
        }
        best = max(measured, key=lambda region: measured[region])
        self.move_to(best)
        return f"epoch {epoch}: mixing with alpha {best[0]:g}, patches of {best[1]}, where KL is {measured[best]:.3g}"
