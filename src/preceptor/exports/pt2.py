"""torch.export files (.pt2): the traced network, for any program with torch in it."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

from preceptor.checksums import CHANGED, PLACEHOLDER, is_intact, seal_zip
from preceptor.errors import UsageError
from preceptor.exports.deployed import Forward, quiet
from preceptor.models import METADATA_KEY, ModelMetadata

__all__ = ["open_pt2", "to_pt2"]

_NOTE = f"{METADATA_KEY}.json"  # among the file's extra files
_DAMAGE = (zipfile.BadZipFile, RuntimeError, ValueError, LookupError, TypeError, AttributeError, pickle.UnpicklingError)


def to_pt2(program: ExportedProgram, metadata: ModelMetadata) -> bytes:
    """Return a traced network as the content of a `.pt2` file, with a checksum at its end."""
    content = io.BytesIO()
    with quiet():
        torch.export.save(program, content, extra_files={_NOTE: metadata.as_json()})
    seal_zip(content)
    return content.getvalue()


def open_pt2(source: Path | bytes, path: Path) -> tuple[Forward, ModelMetadata]:
    """Return the forward function of a `.pt2` file, and its metadata.

    Args:
        source: the file, or its content.
        path: for messages.

    Raises:
        UsageError: when it is missing, damaged, changed or not written by `export`; the checksum is compared before it is loaded.
    """
    notes = {_NOTE: ""}
    try:
        content = source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not is_intact(content, len(content) - len(PLACEHOLDER)):
        raise UsageError(f"{path}: {CHANGED}, or was not written by `preceptor export`")
    try:
        with quiet():
            program = torch.export.load(io.BytesIO(content), extra_files=notes)
            module = program.module()
    except _DAMAGE as error:
        raise UsageError(f"{path}: cannot be read, it is damaged or no torch.export file") from error

    def forward(samples: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = module(samples)
        return logits

    return forward, ModelMetadata.from_json(notes[_NOTE], path)
