"""How good a network's outputs are: scores, calibration, distance to the truth."""

from preceptor.assessment.measure import Metrics, measure
from preceptor.assessment.scores import Bin, expected_calibration_error, reliability
from preceptor.assessment.truth import TruthMetrics, distance_to_truth

__all__ = [
    "Bin",
    "Metrics",
    "TruthMetrics",
    "distance_to_truth",
    "expected_calibration_error",
    "measure",
    "reliability",
]
