"""All measures of a network on one split of a data set, at once."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from jaxtyping import Float, Int
from torch import Tensor

from preceptor.assessment.binary import BinaryMetrics, measure_binary
from preceptor.assessment.calibration import (
    Bin,
    classwise_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
    reliability,
)
from preceptor.assessment.devices import on_cpu
from preceptor.assessment.multilabel import MultilabelMetrics, measure_multilabel
from preceptor.assessment.scores import (
    BrierDecomposition,
    accuracy,
    brier_decomposition,
    brier_score,
    entropy,
    macro_accuracy,
    nll,
    sharpness,
)
from preceptor.assessment.truth import TruthMetrics, distance_to_truth
from preceptor.divergences import one_vs_rest

__all__ = ["Metrics", "Profile", "measure", "profile"]


@dataclass(frozen=True, slots=True)
class Metrics:
    """Scores of a network.

    Attributes:
        samples: how many were measured.
        accuracy: top-1, a fraction; multi-label: the share of right predictions over all pairs of sample and class.
        top5: the same for the five largest logits; None with five classes or fewer, and multi-label.
        nll: nats per sample; multi-label: summed over classes.
        brier: summed over classes, in [0, 2]; multi-label: the sum of each class's own, against (absent, present).
        ece: expected calibration error, 15 equal-width bins; None multi-label.
        truth: distance to the true label distribution, where it is known.
        binary: additional scores for two classes; None with more.
        multilabel: additional scores for multi-label data; None for others.
    """

    samples: int
    accuracy: float
    top5: float | None
    nll: float
    brier: float
    ece: float | None
    truth: TruthMetrics | None
    binary: BinaryMetrics | None = None
    multilabel: MultilabelMetrics | None = None

    def as_dict(self) -> dict[str, float]:
        """Return plain numbers by name, "truth_" before those of the truth, without what is unknown."""
        own = {name: value for name, value in asdict(self).items() if name not in {"truth", "binary", "multilabel"}}
        extra = next((asdict(scores) for scores in (self.binary, self.multilabel) if scores is not None), {})
        truth = {} if self.truth is None else {f"truth_{name}": value for name, value in asdict(self.truth).items()}
        return {name: value for name, value in {**own, **extra, **truth}.items() if value is not None}


@on_cpu
def measure(
    logits: Float[Tensor, "samples classes"],
    labels: Int[Tensor, samples * wide],
    truth: Float[Tensor, "samples classes"] | None = None,
) -> Metrics:
    """Return all scores.

    Args:
        logits: of the network.
        labels: classes; multi-label: 1 for each class that is present, else 0.
        truth: true label distributions, where known.

    Raises:
        ValueError: for no samples, logits that are not finite, or labels out of range.

    Examples:
        >>> import torch
        >>> measure(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])).accuracy
        0.5
    """
    num_classes = logits.shape[1]
    if len(logits) == 0:
        raise ValueError("logits: no samples to measure")
    if bad := int((~logits.isfinite().all(1)).sum()):
        raise ValueError(f"logits: {bad:,} of {len(logits):,} rows are not finite")
    if labels.ndim == 2:
        return _measure_multilabel(logits, labels)
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
        binary=measure_binary(logits, labels) if num_classes == 2 else None,
    )


def _measure_multilabel(logits: Tensor, labels: Tensor) -> Metrics:
    """Return all scores of each class as a problem of two classes, summed where a score is a sum over classes."""
    if logits.shape != labels.shape or not bool(((labels == 0) | (labels == 1)).all()):
        raise ValueError(f"labels: {tuple(labels.shape)} for logits {tuple(logits.shape)} are not a 0 or 1 for each")
    pairs, present, num_classes = one_vs_rest(logits), labels.flatten().long(), logits.shape[1]
    return Metrics(
        samples=len(logits),
        accuracy=accuracy(pairs, present),
        top5=None,
        nll=num_classes * nll(pairs, present),
        brier=num_classes * brier_score(pairs, present),
        ece=None,
        truth=None,
        multilabel=measure_multilabel(logits, labels),
    )


@dataclass(frozen=True, slots=True)
class Profile:
    """All measures of a network's outputs on one split of a data set; see the functions of the same names.

    Attributes:
        metrics: the scores that every run reports.
        macro_accuracy: mean over classes.
        brier_decomposition: reliability, resolution, uncertainty, remainder.
        ece_equal_mass: ECE over 15 bins of equally many samples.
        mce: largest error of a bin.
        classwise_ece: mean over classes, 15 equal-width bins.
        confidence: mean largest probability.
        entropy: of the outputs, nats.
        sharpness: mean of sum_c p_c^2.
        bars: the reliability diagram, 15 equal-width bins.
    """

    metrics: Metrics
    macro_accuracy: float
    brier_decomposition: BrierDecomposition
    ece_equal_mass: float
    mce: float
    classwise_ece: float
    confidence: float
    entropy: float
    sharpness: float
    bars: tuple[Bin, ...]

    def as_dict(self) -> dict[str, float]:
        """Return plain numbers by name, without the bars."""
        brier = {f"brier_{name}": value for name, value in asdict(self.brier_decomposition).items()}
        own = {name: value for name, value in asdict(self).items() if isinstance(value, float)}
        return {**self.metrics.as_dict(), **brier, **own}


@on_cpu
def profile(
    logits: Float[Tensor, "samples classes"],
    labels: Int[Tensor, " samples"],
    truth: Float[Tensor, "samples classes"] | None = None,
) -> Profile:
    """Return all measures of outputs.

    Args:
        logits: of the network.
        labels: classes.
        truth: true label distributions, where known.

    Raises:
        ValueError: for no samples, logits that are not finite, or labels out of range.

    Examples:
        >>> import torch
        >>> profile(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])).macro_accuracy
        0.5
    """
    return Profile(
        metrics=measure(logits, labels, truth),
        macro_accuracy=macro_accuracy(logits, labels),
        brier_decomposition=brier_decomposition(logits, labels),
        ece_equal_mass=expected_calibration_error(logits, labels, kind="mass"),
        mce=maximum_calibration_error(logits, labels),
        classwise_ece=classwise_calibration_error(logits, labels),
        confidence=float(logits.double().softmax(1).max(1).values.mean()),
        entropy=entropy(logits),
        sharpness=sharpness(logits),
        bars=tuple(reliability(logits, labels)),
    )
