"""What objectives on paired feature maps share: taps, notes and loss come from their `Pairing`."""

from __future__ import annotations

from torch import Tensor

from preceptor.objectives.base import BuildContext, FeatureShapes, Objective, Taps
from preceptor.objectives.features import Pairing
from preceptor.types import Step

__all__ = ["PairedObjective"]


class PairedObjective(Objective):
    """An objective whose `forward` takes the student's and the teacher's maps of each pair, as two lists."""

    pairing: Pairing

    def taps(self, student: FeatureShapes, teacher: FeatureShapes) -> Taps:
        """Pair the maps, automatically or as the user chose."""
        return self.pairing.taps(student, teacher)

    def build(self, context: BuildContext) -> None:
        """Check that the features are maps."""
        self.pairing.shapes(context)

    def notes(self) -> tuple[str, ...]:
        """Name the pairs."""
        return self.pairing.notes()

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        return self(*self.pairing.maps(step))
