"""Checkpoints on disk: complete or absent, read without running code."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from preceptor.errors import UsageError
from preceptor.files import write_atomically

__all__ = ["load_checkpoint", "save_checkpoint"]


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state of tensors and plain values atomically; its folder must exist.

    Raises:
        RunError: when the disk refuses; the checkpoint before it is kept.
    """
    content = io.BytesIO()  # torch's own writer hides the system's word on a full disk
    torch.save(dict(state), content)
    write_atomically(path, lambda handle: handle.write(content.getbuffer()))


def load_checkpoint(path: Path, keys: Iterable[str]) -> dict[str, Any]:
    """Read a checkpoint into memory of the CPU.

    Args:
        path: of the file.
        keys: that it must have.

    Raises:
        UsageError: when the file is damaged or not one of ours.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return {key: state[key] for key in keys}
    except pickle.UnpicklingError as error:
        raise UsageError(f"checkpoint {path}: is damaged, or holds more than tensors and plain values") from error
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"checkpoint {path}: cannot be read ({str(error).splitlines()[0]})") from error
