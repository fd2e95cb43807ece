"""How good a network's outputs are: scores, calibration, distance to the truth, similarity to another network's."""

from preceptor.assessment.binary import BinaryMetrics, measure_binary
from preceptor.assessment.calibration import (
    Bin,
    classwise_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
    reliability,
)
from preceptor.assessment.confusion import ClassScore, Outcomes, class_scores, confusion, outcomes
from preceptor.assessment.fidelity import Fidelity, compare
from preceptor.assessment.measure import Metrics, Profile, measure, profile
from preceptor.assessment.multilabel import MultilabelMetrics, measure_multilabel
from preceptor.assessment.scores import BrierDecomposition, brier_decomposition
from preceptor.assessment.temperature import fit_temperature, grid_temperature
from preceptor.assessment.truth import TruthMetrics, distance_to_truth

__all__ = [
    "Bin",
    "BinaryMetrics",
    "BrierDecomposition",
    "ClassScore",
    "Fidelity",
    "Metrics",
    "MultilabelMetrics",
    "Outcomes",
    "Profile",
    "TruthMetrics",
    "brier_decomposition",
    "class_scores",
    "classwise_calibration_error",
    "compare",
    "confusion",
    "distance_to_truth",
    "expected_calibration_error",
    "fit_temperature",
    "grid_temperature",
    "maximum_calibration_error",
    "measure",
    "measure_binary",
    "measure_multilabel",
    "outcomes",
    "profile",
    "reliability",
]
