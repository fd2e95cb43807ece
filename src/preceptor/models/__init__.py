"""Networks by name: the CIFAR zoo under the names the field shares, and those of other libraries; any with named features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preceptor.lazy import lazy_names

if TYPE_CHECKING:
    from preceptor.models.adapters.adapted import Adapted, adapt
    from preceptor.models.adapters.by_name import check_name, make
    from preceptor.models.adapters.calibrated import Calibrated
    from preceptor.models.adapters.class_names import class_names_of, rename_config
    from preceptor.models.adapters.dropout_on import DropoutOn
    from preceptor.models.adapters.expanded_map import ExpandedMap, ExpandSpec, feature_path
    from preceptor.models.adapters.heads import heads_in_training
    from preceptor.models.adapters.input_adapter import DataSpec, InputSpec
    from preceptor.models.adapters.laplace import Laplace
    from preceptor.models.adapters.network_wrapper import NetworkWrapper
    from preceptor.models.adapters.reused_classifier import ReusedClassifier, ReuseSpec
    from preceptor.models.adapters.selected_classes import SelectedClasses
    from preceptor.models.adapters.text import TextClassifier, random_texts
    from preceptor.models.adapters.wrappers import wrap_as_stated
    from preceptor.models.black_box.base import BlackBox, black_box_in
    from preceptor.models.black_box.estimators import Classifier, EstimatorTeacher, PredictsProbabilities
    from preceptor.models.black_box.functions import FunctionTeacher
    from preceptor.models.black_box.onnx_file import OnnxFile, read_onnx, start_session
    from preceptor.models.black_box.onnx_teacher import OnnxTeacher
    from preceptor.models.features.classifier import classifier_parameters, find_classifier
    from preceptor.models.features.layout import as_map
    from preceptor.models.features.observed import FeatureNetwork, Observed, feature_names, logits_of, observe
    from preceptor.models.features.stages import Stages
    from preceptor.models.folding import folded
    from preceptor.models.metadata import (
        METADATA_KEY,
        UNDESCRIBED,
        ModelMetadata,
        Normalise,
        Output,
        read_model_metadata,
    )
    from preceptor.models.registry import PREFIXES, hyperparameters, names
    from preceptor.models.swag import Swag
    from preceptor.models.weights import load_weights, read_metadata, save_weights
    from preceptor.models.zoo.create import create

__all__ = [
    "METADATA_KEY",
    "PREFIXES",
    "UNDESCRIBED",
    "Adapted",
    "BlackBox",
    "Calibrated",
    "Classifier",
    "DataSpec",
    "DropoutOn",
    "EstimatorTeacher",
    "ExpandSpec",
    "ExpandedMap",
    "FeatureNetwork",
    "FunctionTeacher",
    "InputSpec",
    "Laplace",
    "ModelMetadata",
    "NetworkWrapper",
    "Normalise",
    "Observed",
    "OnnxFile",
    "OnnxTeacher",
    "Output",
    "PredictsProbabilities",
    "ReuseSpec",
    "ReusedClassifier",
    "SelectedClasses",
    "Stages",
    "Swag",
    "TextClassifier",
    "adapt",
    "as_map",
    "black_box_in",
    "check_name",
    "class_names_of",
    "classifier_parameters",
    "create",
    "feature_names",
    "feature_path",
    "find_classifier",
    "folded",
    "heads_in_training",
    "hyperparameters",
    "load_weights",
    "logits_of",
    "make",
    "names",
    "observe",
    "random_texts",
    "read_metadata",
    "read_model_metadata",
    "read_onnx",
    "rename_config",
    "save_weights",
    "start_session",
    "wrap_as_stated",
]

__getattr__, __dir__ = lazy_names(__name__)
