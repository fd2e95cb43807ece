"""Pickle files read without running what is in them: numpy arrays and plain containers only."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from preceptor.errors import UsageError

__all__ = ["read_pickle"]

_NUMPY_HOMES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
_RECONSTRUCT = np.zeros(1).__reduce__()[0]  # numpy's own maker of an empty array
_FROM_BUFFER = np.zeros(1).__reduce_ex__(5)[0]
_SCALAR = np.float64(0).__reduce__()[0]
_NUMPY_NAMES: dict[str, Any] = {
    "_reconstruct": _RECONSTRUCT,
    "_frombuffer": _FROM_BUFFER,
    "scalar": _SCALAR,
    "ndarray": np.ndarray,
    "dtype": np.dtype,
}


class _Forbidden(Exception):
    pass


class _PlainUnpickler(pickle.Unpickler):
    """Knows the few names that numpy arrays need, and no others."""

    def find_class(self, module: str, name: str) -> Any:
        if module in _NUMPY_HOMES and name in _NUMPY_NAMES:
            return _NUMPY_NAMES[name]
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes in old protocols
            return _encode
        raise _Forbidden(f"{module}.{name}")


def read_pickle(path: Path) -> dict[str, Any]:
    """Return the mapping in a pickle file, written by Python 2 or 3; keys become str.

    Raises:
        UsageError: when the file is missing, damaged, no mapping, or holds anything but arrays and plain containers.
    """
    try:
        content = _PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="bytes").load()
    except FileNotFoundError as error:
        raise UsageError(f"data {path}: no such file") from error
    except _Forbidden as error:
        raise UsageError(f"data {path}: refused, the pickle asks for {error}") from error
    except (
        OSError,
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        IndexError,
        KeyError,
        AttributeError,
    ) as error:
        raise UsageError(
            f"data {path}: damaged or truncated ({str(error).splitlines()[0] if str(error) else error!r})"
        ) from error
    if not isinstance(content, dict):
        raise UsageError(f"data {path}: holds a {type(content).__name__}, expected a mapping")
    return {key.decode() if isinstance(key, bytes) else str(key): value for key, value in content.items()}


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in {"latin1", "latin-1"}:
        raise _Forbidden(f"_codecs.encode to {encoding}")
    return text.encode("latin1")
