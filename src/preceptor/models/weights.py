"""Weights from and to files: our safetensors, and the `.pth` files that the field shares (read without running code)."""

from __future__ import annotations

import json
import pickle
import re
import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Collection, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as to_safetensors
from torch import nn

from preceptor.checksums import CHANGED, CHECKSUM_KEY, PLACEHOLDER, fill_in, is_intact
from preceptor.errors import UsageError
from preceptor.files import write_atomically
from preceptor.models.adapters.adapted import Adapted
from preceptor.models.state_dicts import NO_STATE_DICT, check_values, choose_weights, without_wrappers
from preceptor.reading import check_regular

__all__ = ["load_weights", "read_metadata", "save_weights"]

# numbers beside the weights in shared checkpoints (the best accuracy), under numpy 1's and numpy 2's name
_SCALAR = np.float64(0).__reduce__()[0]
_NUMPY_SCALARS: list[Any] = [
    *((_SCALAR, f"{package}.multiarray.scalar") for package in ("numpy.core", "numpy._core")),
    np.dtype,
    *(type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64)),
]

# classes of Python that hold what stands beside the weights in shared checkpoints: arguments, paths, dates, optimisers to be made
_SETTINGS = {
    "argparse.Namespace",
    "collections.defaultdict",
    "collections.deque",
    "datetime.datetime",
    "datetime.timedelta",
    "functools.partial",
    "types.SimpleNamespace",
    "typing.Any",
    *(f"pathlib.{kind}" for kind in ("Path", "PosixPath", "PurePath", "PurePosixPath", "WindowsPath")),
}

# what torch's readers raise on damaged files
_DAMAGE = (
    *(RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, AssertionError, MemoryError),
    *(struct.error, SafetensorError, zipfile.BadZipFile),
)


_OURS = re.compile(rb'"preceptor\w*":"')  # in the header of a safetensors file
_VERSION_KEY = "preceptor_version"
_DIGITS_FOLLOW = f'"{CHECKSUM_KEY}":"'.encode()


def load_weights(
    model: nn.Module, path: str | Path, *, weights_key: str | None = None, key: str = "weights_key"
) -> list[str]:
    """Load weights into a network, and return what should be known of the choice; they must fit exactly.

    Numbers of another precision become the network's. Counters of batch norms may be missing. A file that `save_weights` wrote is
    checked against the sha256 in its header.

    Args:
        model: the network.
        path: `.safetensors`, or a torch file holding a state dict, bare or in a checkpoint, at any depth, with or without the
            prefix of data-parallel training, of torch.compile, of an average, or of the Lightning module that held the network.
        weights_key: the place of the weights in the file, such as "state_dict_ema" or "teacher"; None: the only one where
            they fit, or the only one that is not called an average.
        key: under which that is given, for messages.

    Raises:
        UsageError: when the file is missing, damaged or unsafe, holds the network more than once, or does not fit; the keys
            that differ are named.
    """
    path, model = Path(path), _bare(model)
    content = _read(path)
    try:
        expected = model.state_dict()
        tensors, notes = choose_weights(content, expected, type(model).__name__, chosen=weights_key, key=key)
        check_values(tensors, expected, {name for name, _ in model.named_parameters()})
    except UsageError as error:
        raise UsageError(f"weights {path}: {error}") from error
    model.load_state_dict(tensors)
    return [f"weights {path}: {note}" for note in notes]


def save_weights(model: nn.Module, path: str | Path, *, metadata: Mapping[str, str] | None = None) -> None:
    """Write a network's weights as safetensors, atomically; shared weights are written under each name.

    The header holds a sha256 of the file, without the sha256 itself. Equal weights and metadata give equal files.

    Args:
        model: the network.
        path: the file; its folder must exist.
        metadata: short texts for the file's header.

    Raises:
        RunError: when the disk refuses.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_weights(nn.Linear(2, 3), Path(folder) / "a.safetensors", metadata={"dataset": "digits"})
        ...     load_weights(nn.Linear(2, 3), Path(folder) / "a.safetensors")
        []
    """
    state = _bare(model).state_dict()
    tensors = {
        without_wrappers(name): tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in state.items()
    }
    own = {"format": "pt", _VERSION_KEY: version("preceptor"), CHECKSUM_KEY: PLACEHOLDER.decode()}
    content = _with_metadata(to_safetensors(tensors), {**own, **(metadata or {})})
    filled = fill_in(content, _place_of_digits(_header(content)))
    write_atomically(Path(path), lambda handle: handle.write(filled))


def read_metadata(path: str | Path) -> dict[str, str]:
    """Return the short texts in a safetensors file's header.

    Raises:
        UsageError: when the file is missing or damaged.
    """
    path = Path(path)
    check_regular(path, "weights ")
    try:
        with safe_open(path, framework="pt") as opened:
            return dict(opened.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise UsageError(f"weights {path}: cannot be read, it is damaged or no safetensors file") from error


def _bare(model: nn.Module) -> nn.Module:
    """Return the network whose parameter names a file holds: of an adapted one, the library's own."""
    return model.bare if isinstance(model, Adapted) else model


def _read(path: Path) -> Mapping[object, object]:
    size = check_regular(path, "weights ")
    try:
        _check_archive(path, size)
        if path.suffix == ".safetensors":
            return _read_safetensors(path)
        with torch.serialization.safe_globals(_NUMPY_SCALARS), torch.serialization.safe_globals(_stand_ins(path)):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UsageError(
            f"weights {path}: refused, it is damaged or holds more than tensors and plain values;"
            " save the state dict alone"
        ) from error
    except UsageError:
        raise
    except OSError as error:
        raise UsageError(f"weights {path}: cannot be read ({error.strerror or error})") from error
    except _DAMAGE as error:
        raise UsageError(f"weights {path}: cannot be read, it is damaged or no weights file") from error
    if not isinstance(content, dict):
        raise UsageError(f"weights {path}: {NO_STATE_DICT}")
    return content


def _check_archive(path: Path, size: int) -> None:
    """Check that an archive, as torch writes it, holds no more than its own size: torch compresses nothing.

    Raises:
        ValueError: when it unpacks to more.
    """
    if path.suffix != ".safetensors" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > size:
                raise ValueError(f"{size:,} bytes unpack to more")


def _with_metadata(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """Return a safetensors file with metadata; in their own order, where safetensors itself draws one at random."""
    before = _header(content)
    text = json.dumps({"__metadata__": metadata, **json.loads(before[8:])}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the tensors are aligned
    return len(text).to_bytes(8, "little") + text + content[len(before) :]


def _header(content: bytes) -> bytes:
    """Return the header of a safetensors file, and its length before it."""
    return content[: 8 + int.from_bytes(content[:8], "little")]


def _place_of_digits(header: bytes) -> int:
    at = header.find(_DIGITS_FOLLOW)
    return at if at < 0 else at + len(_DIGITS_FOLLOW)


def _read_safetensors(path: Path) -> Mapping[object, object]:
    content = path.read_bytes()
    header = _header(content)
    if _OURS.search(header) and not is_intact(content, _place_of_digits(header)):
        raise UsageError(f"weights {path}: {CHANGED}")
    return {name: tensor for name, tensor in load_safetensors(content).items()}  # noqa: C416  (keys of any kind)


class _Unread:
    """In place of an object beside the weights, such as a Namespace of arguments: nothing of it is run, or kept."""

    def __new__(cls, *_args: object) -> _Unread:
        return super().__new__(cls)

    def __setstate__(self, _state: object) -> None: ...


class _UnreadMapping:
    """The same in place of a mapping of another kind, which torch's reader then fills."""

    def __new__(cls, *_args: object) -> OrderedDict[object, object]:  # type: ignore[misc]
        return OrderedDict()


def _stand_ins(path: Path) -> list[Any]:
    """Return what stands in for each class that a file names and torch does not know.

    Functions and classes of Python itself have none, but for some that hold settings: a file that names others is refused.
    """
    try:
        names: Collection[str] = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except ValueError:  # a file of an old version
        names = _SETTINGS
    return [
        (_UnreadMapping if "dict" in name.rpartition(".")[2].casefold() else _Unread, name)
        for name in names
        if name in _SETTINGS or name.partition(".")[0] not in sys.stdlib_module_names
    ]
