"""Pickle files read without running their content: numpy arrays and plain containers only.

Not even numpy's own constructors see the file, because its state setters trust their input. Stand-ins collect shape,
type and bytes, and arrays are made afterwards from those that passed the checks.
"""

from __future__ import annotations

import io
import pickle
import re
import struct
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preceptor.errors import UsageError
from preceptor.reading import check_regular

__all__ = ["read_pickle"]

_NUMPY_HOMES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
_PLAIN_TYPE = re.compile(r"[biufSU]\d{1,4}|\?")


class _ForbiddenError(Exception):
    pass


class _Stand:
    """Base of all classes that a pickle may ask for: its state setter keeps the file from changing the class."""

    def __setstate__(self, state: object) -> None:
        raise ValueError(f"state for {type(self).__name__.strip('_')}")


class _Kind(_Stand):
    """Stands in for numpy.dtype."""

    def __init__(self, code: str | bytes, align: object = False, copy: object = True) -> None:
        self.code = code.decode() if isinstance(code, bytes) else code
        if not _PLAIN_TYPE.fullmatch(self.code):
            raise _ForbiddenError(f"an array of type {self.code}")
        self.order = "|"

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        self.order = order.decode() if isinstance(order, bytes) else order
        if self.order not in {"<", ">", "|", "="}:
            raise ValueError(f"byte order {self.order!r}")

    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.code if self.order == "|" else self.order + self.code)


class _Table(_Stand):
    """Stands in for numpy.ndarray."""

    array: NDArray[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, is_fortran, raw = state
        self.fill(raw, kind, shape, "F" if is_fortran else "C")

    def fill(self, raw: Any, kind: Any, shape: Any, order: str) -> None:
        if not isinstance(kind, _Kind) or not isinstance(raw, bytes | bytearray) or not isinstance(shape, tuple):
            raise ValueError("an array whose type, shape or bytes are missing")
        if (
            any(not isinstance(side, int) or side < 0 for side in shape)
            or len(raw) != prod(shape) * kind.dtype().itemsize
        ):
            raise ValueError(f"an array of shape {shape} with {len(raw)} bytes")
        self.array = np.frombuffer(bytes(raw), kind.dtype()).reshape(shape, order="F" if order == "F" else "C")


class _Reconstruct(_Stand):
    def __new__(cls, *_: object) -> Any:
        return _Table()


class _FromBuffer(_Stand):
    def __new__(cls, raw: object, kind: object, shape: object, order: str, *_: object) -> Any:
        table = _Table()
        table.fill(raw, kind, shape, order)
        return table


class _Scalar(_Stand):
    def __new__(cls, kind: Any, raw: bytes) -> Any:
        return np.frombuffer(raw, kind.dtype(), count=1)[0].item()


class _Encode(_Stand):
    """Stands in for _codecs.encode: how Python 3 writes bytes in old protocols."""

    def __new__(cls, text: str, encoding: str = "latin1") -> Any:
        if encoding not in {"latin1", "latin-1"}:
            raise _ForbiddenError(f"_codecs.encode to {encoding}")
        return text.encode("latin1")


_NUMPY_NAMES: dict[str, type[_Stand]] = {
    "_reconstruct": _Reconstruct,
    "_frombuffer": _FromBuffer,
    "scalar": _Scalar,
    "ndarray": _Table,
    "dtype": _Kind,
}


def _load_bytearray(unpickler: Any) -> None:
    """Read as many bytes as there are; pickle's own version first allocates all the memory that the file asks for."""
    (length,) = struct.unpack("<Q", unpickler.read(8))
    unpickler.append(bytearray(unpickler.read(length)))


class _PlainUnpickler(pickle._Unpickler):
    """Knows the few names that numpy arrays need, and no others.

    It extends the Python unpickler: with the C one, a wrong byte can make the memo take all memory.
    """

    dispatch = {**pickle._Unpickler.dispatch, pickle.BYTEARRAY8[0]: _load_bytearray}  # noqa: RUF012

    def find_class(self, module: str, name: str) -> Any:
        if module in _NUMPY_HOMES and name in _NUMPY_NAMES:
            return _NUMPY_NAMES[name]
        if (module, name) == ("_codecs", "encode"):
            return _Encode
        raise _ForbiddenError(f"{module}.{name}")


_DAMAGED = (
    *(OSError, pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError),
    *(AssertionError, MemoryError, NotImplementedError, OverflowError, struct.error),
)


def read_pickle(path: Path) -> dict[str, Any]:
    """Return the mapping in a pickle file, written by Python 2 or 3; keys become str.

    Raises:
        UsageError: when the file is missing, no regular file, damaged, no mapping, or holds anything but arrays and plain
            containers.
    """
    check_regular(path, "data ")
    try:
        content = _PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="bytes").load()
    except _ForbiddenError as error:
        raise UsageError(f"data {path}: refused, the pickle asks for {error}") from error
    except _DAMAGED as error:
        reason = " ".join(str(error).split()) or repr(error)
        raise UsageError(f"data {path}: damaged or truncated ({reason})") from error
    if not isinstance(content, dict):
        raise UsageError(f"data {path}: holds an object of type {type(content).__name__}, expected a mapping")
    return {_name(key): _plain(value, path) for key, value in content.items()}


def _name(key: object) -> str:
    return key.decode("latin1") if isinstance(key, bytes) else str(key)


def _plain(value: object, path: Path) -> object:
    if not isinstance(value, _Stand):
        return value
    if not isinstance(value, _Table) or value.array is None:
        raise UsageError(f"data {path}: damaged or truncated (an array without content)")
    return value.array
