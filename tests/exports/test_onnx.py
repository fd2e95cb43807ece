"""ONNX files: what they declare, what they return, and int8."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

from preceptor.checksums import sha256_of
from preceptor.errors import UsageError
from preceptor.exports.deployed import DeployedNetwork, example_inputs, trace
from preceptor.exports.onnx import OPSET, open_onnx, quantise, to_onnx
from preceptor.models import ModelMetadata
from preceptor.types import Preprocessing

METADATA = ModelMetadata(
    *({"name": "own"}, ("a", "b"), (1, 4, 4), "uint8", Preprocessing((0.3,), (2.0,))),
    output="probabilities",
    normalise="inside",
)


def deployed(metadata: ModelMetadata = METADATA) -> DeployedNetwork:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 64, 3), nn.ReLU(), nn.Flatten(), nn.Linear(256, 2))
    return DeployedNetwork(network, metadata).eval()


@pytest.fixture(scope="module")
def content() -> bytes:
    return to_onnx(trace(deployed(), METADATA), METADATA, "own")


def test_a_file_declares_its_inputs_and_carries_its_metadata(content: bytes) -> None:
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == OPSET
    shape = model.graph.input[0].type.tensor_type
    assert shape.shape.dim[0].dim_param
    assert [dim.dim_value for dim in shape.shape.dim[1:]] == [1, 4, 4]
    assert shape.elem_type == onnx.TensorProto.UINT8
    assert [output.name for output in model.graph.output] == ["probabilities"]
    metadata = json.loads({prop.key: prop.value for prop in model.metadata_props}["preceptor"])
    assert (metadata["class_names"], metadata["preprocessing"]["mean"]) == (["a", "b"], [0.3])


@pytest.mark.parametrize("rows", [1, 3, 17])
def test_its_outputs_are_those_of_the_network(rows: int, content: bytes) -> None:
    forward, metadata = open_onnx(content, Path("own.onnx"))
    assert metadata == METADATA
    samples = example_inputs(METADATA, rows)
    torch.testing.assert_close(forward(samples), deployed()(samples))


def test_int8_is_smaller_and_near(content: bytes) -> None:
    smaller, operators = quantise(content)
    assert operators == ("ConvInteger", "MatMulInteger")
    samples = example_inputs(METADATA, 17)
    difference = open_onnx(smaller, Path("own.onnx"))[0](samples) - deployed()(samples)
    assert 0 < float(difference.abs().max()) < 0.1


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_a_changed_byte_is_refused(kind: str, content: bytes) -> None:
    file = content if kind == "float32" else quantise(content)[0]
    entries = [entry.value for entry in onnx.load_from_string(file).metadata_props if entry.key == "preceptor_sha256"]
    assert entries == [sha256_of(file[:-64])]
    weights = open_onnx(file, Path("own.onnx"))[0]
    assert weights(example_inputs(METADATA, 2)).shape == (2, 2)
    for at in range(0, len(file), max(len(file) // 60, 1)):
        changed = file[:at] + bytes([file[at] ^ 1]) + file[at + 1 :]
        with pytest.raises(UsageError, match=r"^own\.onnx: [^\n]+$"):
            open_onnx(changed, Path("own.onnx"))


def test_a_network_without_layers_to_quantise() -> None:
    metadata = replace(
        METADATA, input_shape=(2,), input_dtype="float32", preprocessing=Preprocessing(), output="logits"
    )
    plain = DeployedNetwork(nn.Hardtanh(), metadata).eval()
    with pytest.raises(UsageError, match="int8: the network has no convolution and no linear layer"):
        quantise(to_onnx(trace(plain, metadata), metadata, "plain"))


def test_a_file_of_another_program_is_refused(content: bytes, tmp_path: Path) -> None:
    model = onnx.load_from_string(content)
    del model.metadata_props[:]
    (tmp_path / "other.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UsageError, match=r"other.onnx: does not describe its network"):
        open_onnx(tmp_path / "other.onnx", tmp_path / "other.onnx")
