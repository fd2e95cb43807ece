"""What a teacher said, on disk: its logits for keyed views of every training sample, with fingerprints of what made them."""

from preceptor.labels.encoding import Encoding
from preceptor.labels.manifest import LabelsOf, Manifest
from preceptor.labels.store import LabelStore
from preceptor.labels.writer import check_folder, write_labels

__all__ = ["Encoding", "LabelStore", "LabelsOf", "Manifest", "check_folder", "write_labels"]
