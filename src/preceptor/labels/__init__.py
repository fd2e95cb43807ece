"""The label store: a teacher's logits for views of every training sample, on disk, with fingerprints of their source."""

from preceptor.labels.encoding import Encoding
from preceptor.labels.manifest import LabelSource, Manifest
from preceptor.labels.prediction_files import Kind, Predictions, from_array, read_predictions
from preceptor.labels.predictions import logits_of_samples
from preceptor.labels.store import LabelStore
from preceptor.labels.writer import check_folder, write_labels

__all__ = [
    "Encoding",
    "Kind",
    "LabelSource",
    "LabelStore",
    "Manifest",
    "Predictions",
    "check_folder",
    "from_array",
    "logits_of_samples",
    "read_predictions",
    "write_labels",
]
