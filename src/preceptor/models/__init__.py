"""Networks: the CIFAR zoo under the parameter names the field shares, and any module as one with named features."""

from preceptor.models.classifier import find_classifier
from preceptor.models.passport import PASSPORT, Normalise, Output, Passport, read_passport
from preceptor.models.reused import Reuse, ReusedClassifier
from preceptor.models.taps import Observed, Tapped, feature_names, observe
from preceptor.models.weights import load_weights, read_metadata, save_weights
from preceptor.models.zoo import create, names, parameter_count

__all__ = [
    "PASSPORT",
    "Normalise",
    "Observed",
    "Output",
    "Passport",
    "Reuse",
    "ReusedClassifier",
    "Tapped",
    "create",
    "feature_names",
    "find_classifier",
    "load_weights",
    "names",
    "observe",
    "parameter_count",
    "read_metadata",
    "read_passport",
    "save_weights",
]
