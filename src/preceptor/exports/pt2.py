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
from preceptor.exports.pt2_archive import NotPlainError, plain_archive
from preceptor.models import METADATA_KEY, ModelMetadata
from preceptor.reading import read_bytes

__all__ = ["open_pt2", "to_pt2"]

_NOTE = f"{METADATA_KEY}.json"  # among the file's extra files
_DAMAGE = (
    zipfile.BadZipFile,
    RuntimeError,
    ValueError,
    AssertionError,
    LookupError,
    TypeError,
    AttributeError,
    pickle.UnpicklingError,
)


def to_pt2(program: ExportedProgram, metadata: ModelMetadata) -> bytes:
    """Return a traced network as the content of a `.pt2` file, with a checksum, without the inputs that it was traced with.

    Raises:
        UsageError: when it has operators of another library.
    """
    content = io.BytesIO()
    with quiet():
        torch.export.save(program, content, extra_files={_NOTE: metadata.as_json()})
    try:
        plain = io.BytesIO(plain_archive(content.getvalue()))
    except NotPlainError as error:
        raise UsageError(
            f"export: the traced network has {error}, and a .pt2 file that is safe to open holds torch's own operators alone; "
            "--to FILE.safetensors can hold it"
        ) from error
    seal_zip(plain)
    return plain.getvalue()


def open_pt2(source: Path | bytes, path: Path) -> tuple[Forward, ModelMetadata]:
    """Return the forward function of a `.pt2` file, and its metadata.

    Args:
        source: the file, or its content.
        path: for messages.

    Raises:
        UsageError: when it is missing, damaged, changed or not written by `export`, or holds more than a traced network; the
            checksum is compared before it is loaded.
    """
    notes = {_NOTE: ""}
    content = source if isinstance(source, bytes) else read_bytes(source)
    if not is_intact(content, len(content) - len(PLACEHOLDER)):
        raise UsageError(f"{path}: {CHANGED}, or was not written by `preceptor export`")
    try:
        with quiet():
            program = torch.export.load(io.BytesIO(plain_archive(content)), extra_files=notes)
            module = program.module()
    except NotPlainError as error:
        raise UsageError(f"{path}: holds more than a traced network ({error}), and is not opened") from error
    except _DAMAGE as error:
        raise UsageError(f"{path}: cannot be read, it is damaged or no torch.export file") from error

    def forward(samples: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = module(samples)
        return logits

    return forward, ModelMetadata.from_json(notes[_NOTE], path)
