"""ONNX files: read, checked, and run by onnxruntime; nothing in them is code, and nothing outside their folder is read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from preceptor.checksums import CHANGED, PLACEHOLDER, is_intact, sha256_of_file
from preceptor.errors import UsageError
from preceptor.extras import import_extra
from preceptor.models.metadata import METADATA_KEY, ModelMetadata
from preceptor.reading import is_regular, read_bytes

__all__ = ["OnnxFile", "providers", "read_onnx", "start_session"]

_EXTRA = "export"


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """An ONNX file that was checked.

    Attributes:
        path: of the file, for messages, and for its weights beside it.
        content: of the file.
        metadata: what `preceptor export` wrote into it; None: it is another program's.
        beside: files in its folder that hold weights.
        sha256: of the file, and of those beside it.
        bytes: of all of them.
    """

    path: Path
    content: bytes
    metadata: ModelMetadata | None
    beside: tuple[Path, ...]
    sha256: str
    bytes: int


def read_onnx(source: Path | bytes, path: Path) -> OnnxFile:
    """Return an ONNX file.

    Args:
        source: the file, or its content.
        path: for messages.

    Raises:
        UsageError: when it is missing, damaged or changed, names weights outside its folder, or the extra is missing.
    """
    onnx = import_extra("onnx", _EXTRA, needed_by=path.name)
    protobuf = import_extra("google.protobuf.message", _EXTRA, needed_by=path.name)
    content = source if isinstance(source, bytes) else read_bytes(source)
    if METADATA_KEY.encode() in content and not is_intact(content, len(content) - len(PLACEHOLDER)):
        raise UsageError(f"{path}: {CHANGED}")
    try:
        model = onnx.load_model_from_string(content)
    except protobuf.DecodeError as error:
        raise UsageError(f"{path}: cannot be read, it is damaged or no ONNX file ({_line(error)})") from error
    tensors = _tensors(onnx.TensorProto, protobuf.Message, model)
    beside = tuple(sorted({_beside(path, tensor) for tensor in tensors if _is_outside(tensor)}))
    text = next((entry.value for entry in model.metadata_props if entry.key == METADATA_KEY), None)
    metadata = None if text is None else ModelMetadata.from_json(text, path)
    digest = hashlib.sha256(content)
    for each in beside:
        digest.update(bytes.fromhex(sha256_of_file(each)))
    size = len(content) + sum(each.stat().st_size for each in beside)
    return OnnxFile(path, content, metadata, beside, digest.hexdigest(), size)


def start_session(file: OnnxFile, device: torch.device) -> Any:
    """Return the onnxruntime session that runs a file.

    Args:
        file: as `read_onnx` returned it.
        device: CUDA where onnxruntime has that, else the CPU.

    Raises:
        UsageError: when the extra is missing, or onnxruntime cannot run the file.
    """
    runtime = import_extra("onnxruntime", _EXTRA, needed_by=file.path.name)
    state = import_extra("onnxruntime.capi.onnxruntime_pybind11_state", _EXTRA, needed_by=file.path.name)
    refusals = (
        *(state.InvalidProtobuf, state.InvalidArgument, state.InvalidGraph, state.Fail, state.NotImplemented),
        *(state.RuntimeException, state.NoSuchFile),
    )
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # errors are raised
    source = str(file.path) if file.beside else file.content
    try:
        return runtime.InferenceSession(source, options, providers=providers(device, runtime.get_available_providers()))
    except refusals as error:
        raise UsageError(f"{file.path}: cannot be read, it is damaged or no ONNX file ({_line(error)})") from error


def providers(device: torch.device, available: list[str]) -> list[Any]:
    """Return where onnxruntime runs a file for a device, by preference.

    Examples:
        >>> providers(torch.device("cuda", 1), ["CUDAExecutionProvider", "CPUExecutionProvider"])
        [('CUDAExecutionProvider', {'device_id': 1}), 'CPUExecutionProvider']
        >>> providers(torch.device("cuda", 1), ["CPUExecutionProvider"])
        ['CPUExecutionProvider']
    """
    has_cuda = device.type == "cuda" and "CUDAExecutionProvider" in available
    cuda = [("CUDAExecutionProvider", {"device_id": device.index or 0})] if has_cuda else []
    return [*cuda, "CPUExecutionProvider"]


def _tensors(tensor: type, message: type, content: Any) -> Iterator[Any]:
    """Yield every tensor in a message, however deep: of graphs, attributes, functions.

    Args:
        tensor: its class.
        message: the class of all messages.
        content: of the file, or a part of it.
    """
    for field, value in content.ListFields():
        if field.message_type is None:
            continue
        for each in [value] if isinstance(value, message) else value:
            if isinstance(each, tensor):
                yield each
            else:
                yield from _tensors(tensor, message, each)


def _is_outside(tensor: Any) -> bool:
    """Return whether a tensor's numbers are in another file."""
    return bool(tensor.external_data) or tensor.data_location == tensor.EXTERNAL


def _beside(path: Path, tensor: Any) -> Path:
    """Return the file that holds a tensor's numbers.

    Raises:
        UsageError: when it is missing, or not in the folder of the ONNX file.
    """
    location = {entry.key: entry.value for entry in tensor.external_data}.get("location", "")
    folder = path.parent.resolve()
    try:
        place = folder.joinpath(str(location)).resolve()
    except (OSError, ValueError, RuntimeError):
        place = folder
    if not location or not place.is_relative_to(folder) or Path(location).is_absolute():
        raise UsageError(f"{path}: its weights are in {location!r}, outside its folder, and such files are not read")
    if not is_regular(place):
        raise UsageError(f"{path}: its weights are in {location!r}, and there is no such file beside it")
    return place


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
