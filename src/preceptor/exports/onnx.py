"""ONNX files: written by torch's exporter, run by onnxruntime, made smaller by its dynamic quantisation."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

from preceptor.checksums import CHECKSUM_KEY, PLACEHOLDER, fill_in
from preceptor.errors import UsageError
from preceptor.exports.deployed import Forward, quiet
from preceptor.extras import import_extra
from preceptor.models import METADATA_KEY, UNDESCRIBED, ModelMetadata, read_onnx, start_session

__all__ = ["INPUT", "OPSET", "open_onnx", "quantise", "to_onnx"]

OPSET = 18  # what torch's exporter writes without converting
INPUT = "inputs"
_EXTRA, _NEEDED_BY = "export", "export --to FILE.onnx"
_MISSING = re.compile(r"No ONNX function found for <OpOverload\(op='([^']+)'")


def to_onnx(program: ExportedProgram, metadata: ModelMetadata, network: str) -> bytes:
    """Return a traced network as the content of an ONNX file with a dynamic batch.

    Args:
        program: what `trace` gave.
        metadata: put into the file's metadata.
        network: name of its type, for messages.

    Raises:
        UsageError: for an operator that ONNX does not have, or a missing extra.
    """
    for package in ("onnx", "onnxscript"):
        import_extra(package, _EXTRA, needed_by=_NEEDED_BY)
    try:
        with quiet():
            converted = torch.onnx.export(
                program,
                dynamo=True,
                input_names=[INPUT],
                output_names=[metadata.output],
                opset_version=OPSET,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        missing = _MISSING.search(str(error))
        why = (
            f"ONNX has no operator for {missing[1]}"
            if missing
            else f"torch cannot convert it ({_line(error.__cause__ or error)})"
        )
        raise UsageError(f"export: {network}: {why}; --to FILE.pt2 or FILE.safetensors can hold it") from error
    assert converted is not None
    model = converted.model_proto
    graph = model.graph
    # where each node came from: paths of this machine, and a third of a small file
    for message in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del message.metadata_props[:]
    del graph.value_info[:]  # redundant, and the quantiser trusts it even where layouts have changed
    model.metadata_props.add(key=METADATA_KEY, value=metadata.as_json())
    return _with_checksum(model.SerializeToString())


def open_onnx(source: Path | bytes, path: Path) -> tuple[Forward, ModelMetadata]:
    """Return the forward function of an ONNX file, on the CPU, and its metadata.

    Args:
        source: the file, or its content.
        path: for messages.

    Raises:
        UsageError: when it is missing, damaged, changed or not written by `export`, names weights outside its folder, or the
            extra is missing.
    """
    file = read_onnx(source, path)
    session = start_session(file, torch.device("cpu"))
    if file.metadata is None:
        raise UsageError(f"{path}: {UNDESCRIBED}")
    metadata = file.metadata

    def forward(samples: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {INPUT: samples.numpy()})[0])

    return forward, metadata


def quantise(content: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return an ONNX file with int8 weights (activations are quantised per batch as it runs), and its integer operators.

    Args:
        content: of the float32 file.

    Returns:
        The content, and the integer operators in it: ConvInteger, MatMulInteger.

    Raises:
        UsageError: when the extra is missing, or no layer of the network can be quantised.
    """
    onnx = import_extra("onnx", _EXTRA, needed_by="--int8")
    quantization = import_extra("onnxruntime.quantization", _EXTRA, needed_by="--int8")
    with tempfile.TemporaryDirectory() as folder, quiet():
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        before.write_bytes(content)
        quantization.quantize_dynamic(before, after, weight_type=quantization.QuantType.QInt8)
        model = onnx.load(after)
    operators = tuple(sorted({node.op_type for node in model.graph.node if node.op_type.endswith("Integer")}))
    if not operators:
        raise UsageError("int8: the network has no convolution and no linear layer that onnxruntime quantises")
    for entry in [entry for entry in model.metadata_props if entry.key == CHECKSUM_KEY]:
        model.metadata_props.remove(entry)  # of the float32 file
    return _with_checksum(model.SerializeToString()), operators


def _with_checksum(content: bytes) -> bytes:
    """Return an ONNX file with one more entry in its metadata: the sha256 of all bytes before the digits, which end the file."""
    onnx = import_extra("onnx", _EXTRA, needed_by=_NEEDED_BY)
    entry = onnx.StringStringEntryProto(key=CHECKSUM_KEY, value=PLACEHOLDER.decode())
    content += onnx.ModelProto(
        metadata_props=[entry]
    ).SerializeToString()  # messages one after the other are one message
    return fill_in(content, len(content) - len(PLACEHOLDER))


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
