"""The label store: a teacher's logits for views of every training sample, on disk, with fingerprints of their source."""

from preceptor.labels.encoding import Encoding
from preceptor.labels.manifest import LabelSource, Manifest
from preceptor.labels.store import LabelStore
from preceptor.labels.writer import check_folder, write_labels

__all__ = ["Encoding", "LabelSource", "LabelStore", "Manifest", "check_folder", "write_labels"]
