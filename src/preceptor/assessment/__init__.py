"""How good a network's outputs are: scores, calibration, distance to the truth, likeness to another network's."""

from preceptor.assessment.binary import BinaryMetrics, measure_binary
from preceptor.assessment.calibration import (
    Bin,
    classwise_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
    reliability,
)
from preceptor.assessment.fidelity import Fidelity, compare
from preceptor.assessment.measure import Metrics, Profile, measure, profile
from preceptor.assessment.multilabel import MultilabelMetrics, measure_multilabel
from preceptor.assessment.scores import BrierParts, brier_parts
from preceptor.assessment.temperature import fit_temperature
from preceptor.assessment.truth import TruthMetrics, distance_to_truth

__all__ = [
    "Bin",
    "BinaryMetrics",
    "BrierParts",
    "Fidelity",
    "Metrics",
    "MultilabelMetrics",
    "Profile",
    "TruthMetrics",
    "brier_parts",
    "classwise_calibration_error",
    "compare",
    "distance_to_truth",
    "expected_calibration_error",
    "fit_temperature",
    "maximum_calibration_error",
    "measure",
    "measure_binary",
    "measure_multilabel",
    "profile",
    "reliability",
]
