"""Checkpoints on disk: complete or absent, with a checksum at their end, read without running code."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from preceptor.checksums import CHANGED, PLACEHOLDER, is_intact, seal_zip
from preceptor.errors import UsageError
from preceptor.files import write_atomically
from preceptor.messages import first_few, first_line
from preceptor.reading import read_bytes

__all__ = ["load_checkpoint", "save_checkpoint"]


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state of tensors and plain values atomically; its folder must exist.

    Raises:
        RunError: when the disk refuses; the checkpoint before it is kept.
    """
    content = io.BytesIO()  # torch's own writer hides the system's word on a full disk
    torch.save(dict(state), content)
    seal_zip(content)
    write_atomically(path, lambda handle: handle.write(content.getbuffer()))


def load_checkpoint(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """Read a checkpoint into memory of the CPU.

    Args:
        path: of the file.
        keys: that it must have.

    Raises:
        UsageError: when the file is damaged or not one of ours; the checksum is compared before anything is read.
    """
    content = read_bytes(path, "checkpoint ")
    try:
        is_whole = is_intact(content, len(content) - len(PLACEHOLDER))
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True) if is_whole else {}
    except pickle.UnpicklingError as error:
        raise UsageError(f"checkpoint {path}: is damaged, or holds more than tensors and plain values") from error
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"checkpoint {path}: cannot be read ({first_line(error)})") from error
    if not is_whole:
        raise UsageError(f"checkpoint {path}: {CHANGED}; start the run anew with overwrite=true")
    missing = [key for key in keys if key not in state]
    if missing:
        raise UsageError(f"checkpoint {path}: is of no run like this one (no {first_few(missing)})")
    return {key: state[key] for key in keys}
