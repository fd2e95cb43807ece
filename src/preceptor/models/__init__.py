"""Networks: the CIFAR zoo under the parameter names the field shares, and any module as one with named features."""

from preceptor.models.classifier import find_classifier
from preceptor.models.reused import Reuse, ReusedClassifier
from preceptor.models.taps import Observed, Tapped, feature_names, observe
from preceptor.models.text import TextClassifier
from preceptor.models.weights import load_weights, save_weights
from preceptor.models.zoo import create, names, parameter_count

__all__ = [
    "Observed",
    "Reuse",
    "ReusedClassifier",
    "Tapped",
    "TextClassifier",
    "create",
    "feature_names",
    "find_classifier",
    "load_weights",
    "names",
    "observe",
    "parameter_count",
    "save_weights",
]
