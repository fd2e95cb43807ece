"""Everything that is measured of a network on one part of a data set, at once."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from jaxtyping import Float, Int
from torch import Tensor

from preceptor.assessment.scores import accuracy, brier_score, expected_calibration_error, nll
from preceptor.assessment.truth import TruthMetrics, distance_to_truth

__all__ = ["Metrics", "measure"]


@dataclass(frozen=True, slots=True)
class Metrics:
    """Scores of a network.

    Attributes:
        samples: how many were measured.
        accuracy: top-1, a fraction.
        top5: the same for the five largest logits; None with five classes or fewer.
        nll: nats a sample.
        brier: summed over classes, in [0, 2].
        ece: expected calibration error, 15 equal-width bins.
        truth: distance to the true label distribution, where it is known.
    """

    samples: int
    accuracy: float
    top5: float | None
    nll: float
    brier: float
    ece: float
    truth: TruthMetrics | None

    def as_dict(self) -> dict[str, float]:
        """Return plain numbers by name, "truth_" before those of the truth, without what is unknown."""
        own = {name: value for name, value in asdict(self).items() if name != "truth" and value is not None}
        truth = {} if self.truth is None else asdict(self.truth)
        return {**own, **{f"truth_{name}": value for name, value in truth.items()}}


def measure(
    logits: Float[Tensor, "samples classes"],
    labels: Int[Tensor, " samples"],
    truth: Float[Tensor, "samples classes"] | None = None,
) -> Metrics:
    """Return all scores.

    Args:
        logits: of the network.
        labels: classes.
        truth: true label distributions, where known.

    Raises:
        ValueError: for no samples, or labels out of range.

    Example:
        >>> import torch
        >>> measure(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])).accuracy
        0.5
    """
    num_classes = logits.shape[1]
    if len(logits) == 0:
        raise ValueError("logits: no samples to measure")
    if int(labels.min()) < 0 or int(labels.max()) >= num_classes:
        raise ValueError(f"labels: {int(labels.min())}..{int(labels.max())} are not all in 0..{num_classes - 1}")
    return Metrics(
        samples=len(logits),
        accuracy=accuracy(logits, labels),
        top5=accuracy(logits, labels, top=5) if num_classes > 5 else None,
        nll=nll(logits, labels),
        brier=brier_score(logits, labels),
        ece=expected_calibration_error(logits, labels),
        truth=None if truth is None else distance_to_truth(logits, truth),
    )
