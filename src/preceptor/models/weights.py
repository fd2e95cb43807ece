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
from preceptor.models.adapters.adapted import Adapted

__all__ = ["load_weights", "read_metadata", "save_weights"]

_WRAPPINGS = ("model", "state_dict", "net", "model_state_dict")
_PARALLEL = "module."

# numbers that lie beside the weights in shared checkpoints (the best accuracy), under numpy 1's and numpy 2's name
_SCALAR = np.float64(0).__reduce__()[0]
_NUMPY_SCALARS: list[Any] = [
    *((_SCALAR, f"{package}.multiarray.scalar") for package in ("numpy.core", "numpy._core")),
    np.dtype,
    *(type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64)),
]

# what torch's readers raise on bytes that are no file of theirs
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
        UsageError: when the file is missing, damaged, unsafe, or does not fit; the keys that do not are named.
    """
    path, model = Path(path), _bare(model)
    wanted = model.state_dict()
    given = _read(path)
    if not any(name in wanted for name in given):  # a network may have a child of its own called "module"
        given = {name.removeprefix(_PARALLEL): tensor for name, tensor in given.items()}
    missing = [name for name in wanted if name not in given]
    unexpected = sorted(name for name in given if name not in wanted)  # files keep no order
    misshapen = [name for name in wanted if name in given and given[name].shape != wanted[name].shape]
    if missing or unexpected or misshapen:
        raise UsageError(
            f"weights {path}: do not fit {type(model).__name__}: {_misfit(given, wanted, missing, unexpected, misshapen)}"
        )
    model.load_state_dict(given)


def save_weights(model: nn.Module, path: str | Path, *, metadata: Mapping[str, str] | None = None) -> None:
    """Write a network's weights as safetensors, atomically; weights that are shared are written under each name.

    Args:
        model: the network.
        path: the file; its folder must exist.
        metadata: short texts to keep in the file's header.

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
    """Return the network whose names a file carries: of one from another library, those of that library."""
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
    for name in _WRAPPINGS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UsageError(f"weights {path}: holds no state dict")
    return {str(name): tensor for name, tensor in content.items()}


def _misfit(
    given: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    missing: list[str],
    unexpected: list[str],
    misshapen: list[str],
) -> str:
    parts = []
    if misshapen and not missing and not unexpected and all(_same_but_classes(given[n], wanted[n]) for n in misshapen):
        return f"the file has {len(given[misshapen[0]])} classes, the model {len(wanted[misshapen[0]])}"
    if missing:
        parts.append(f"{len(missing)} missing ({_first(missing)})")
    if unexpected:
        parts.append(f"{len(unexpected)} unexpected ({_first(unexpected)})")
    if misshapen:
        shapes = [f"{n} is {tuple(given[n].shape)}, not {tuple(wanted[n].shape)}" for n in misshapen]
        parts.append(f"{len(misshapen)} of another shape ({_first(shapes)})")
    return "; ".join(parts)


def _same_but_classes(given: Tensor, wanted: Tensor) -> bool:
    return given.ndim == wanted.ndim and given.ndim in {1, 2} and given.shape[1:] == wanted.shape[1:]


def _first(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
