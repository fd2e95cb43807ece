"""Weights from and to files: our safetensors, and the `.pth` files that the field shares (read without running code)."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from preceptor.errors import UsageError
from preceptor.files import write_atomically
from preceptor.messages import first_few
from preceptor.models.adapters.adapted import Adapted

__all__ = ["load_weights", "read_metadata", "save_weights"]

_NESTING_KEYS = ("model", "state_dict", "net", "model_state_dict")
_PARALLEL_PREFIX = "module."

# numbers beside the weights in shared checkpoints (the best accuracy), under numpy 1's and numpy 2's name
_SCALAR = np.float64(0).__reduce__()[0]
_NUMPY_SCALARS: list[Any] = [
    *((_SCALAR, f"{package}.multiarray.scalar") for package in ("numpy.core", "numpy._core")),
    np.dtype,
    *(type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64)),
]

# what torch's readers raise on damaged files
_DAMAGE = (
    *(RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, AssertionError),
    *(struct.error, SafetensorError),
)


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Load weights into a network; they must fit exactly.

    Args:
        model: the network.
        path: `.safetensors`, or a torch file holding a state dict, bare or under "model", "state_dict", "net" or
            "model_state_dict", with or without the "module." of data-parallel training.

    Raises:
        UsageError: when the file is missing, damaged or unsafe, or does not fit; the keys that differ are named.
    """
    path, model = Path(path), _bare(model)
    expected = model.state_dict()
    loaded = _read(path)
    if not any(name in expected for name in loaded):  # a network may have a child of its own called "module"
        loaded = {name.removeprefix(_PARALLEL_PREFIX): tensor for name, tensor in loaded.items()}
    if difference := _difference(loaded, expected):
        raise UsageError(f"weights {path}: do not fit {type(model).__name__}: {difference}")
    model.load_state_dict(loaded)


def save_weights(model: nn.Module, path: str | Path, *, metadata: Mapping[str, str] | None = None) -> None:
    """Write a network's weights as safetensors, atomically; shared weights are written under each name.

    Args:
        model: the network.
        path: the file; its folder must exist.
        metadata: short texts for the file's header.

    Raises:
        RunError: when the disk refuses.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_weights(nn.Linear(2, 3), Path(folder) / "a.safetensors", metadata={"dataset": "digits"})
        ...     load_weights(nn.Linear(2, 3), Path(folder) / "a.safetensors")
    """
    state = _bare(model).state_dict()
    tensors = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in state.items()}
    content = to_safetensors(tensors, None if metadata is None else dict(metadata))
    write_atomically(Path(path), lambda handle: handle.write(content))


def read_metadata(path: str | Path) -> dict[str, str]:
    """Return the short texts in a safetensors file's header.

    Raises:
        UsageError: when the file is missing or damaged.
    """
    path = Path(path)
    if not path.exists():
        raise UsageError(f"weights {path}: no such file")
    try:
        with safe_open(path, framework="pt") as opened:
            return dict(opened.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise UsageError(f"weights {path}: cannot be read, it is damaged or no safetensors file") from error


def _bare(model: nn.Module) -> nn.Module:
    """Return the network whose parameter names a file holds: of an adapted one, the library's own."""
    return model.bare if isinstance(model, Adapted) else model


def _read(path: Path) -> dict[str, Tensor]:
    if not path.exists():
        raise UsageError(f"weights {path}: no such file")
    try:
        if path.suffix == ".safetensors":
            return load_safetensors(path.read_bytes())
        with torch.serialization.safe_globals(_NUMPY_SCALARS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UsageError(
            f"weights {path}: refused, it is damaged or holds more than tensors and plain values;"
            " save the state dict alone"
        ) from error
    except OSError as error:
        raise UsageError(f"weights {path}: cannot be read ({error.strerror or error})") from error
    except _DAMAGE as error:
        raise UsageError(f"weights {path}: cannot be read, it is damaged or no weights file") from error
    for name in _NESTING_KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UsageError(f"weights {path}: holds no state dict")
    return {str(name): tensor for name, tensor in content.items()}


def _difference(loaded: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """Say where the weights of a file differ from those that a network expects; empty: they fit."""
    missing = [name for name in expected if name not in loaded]
    unexpected = sorted(name for name in loaded if name not in expected)  # files keep no order
    misshapen = [name for name in expected if name in loaded and loaded[name].shape != expected[name].shape]
    pairs = [(loaded[name], expected[name]) for name in misshapen]
    if misshapen and not missing and not unexpected and all(_differ_in_classes(*pair) for pair in pairs):
        return f"the file has {len(pairs[0][0])} classes, the model {len(pairs[0][1])}"
    shapes = [f"{name} is {tuple(loaded[name].shape)}, not {tuple(expected[name].shape)}" for name in misshapen]
    found = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
    return "; ".join(f"{len(names)} {what} ({first_few(names)})" for what, names in found.items() if names)


def _differ_in_classes(loaded: Tensor, expected: Tensor) -> bool:
    return loaded.ndim == expected.ndim and loaded.ndim in {1, 2} and loaded.shape[1:] == expected.shape[1:]
