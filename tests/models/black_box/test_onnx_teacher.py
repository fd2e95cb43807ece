"""ONNX files as teachers: their inputs and outputs, whatever the other program made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from onnx_files import linear_model, write_linear
from preceptor.errors import UsageError
from preceptor.models import OnnxTeacher, read_onnx

WEIGHT = np.random.default_rng(0).normal(size=(12, 3))
FLAT = torch.randn(5, 12, generator=torch.Generator().manual_seed(0))
EXPECTED = FLAT.double().numpy() @ WEIGHT


def teacher(path: Path, shape: list[int | str], *, output: Any = "logits", **options: Any) -> OnnxTeacher:
    write_linear(path, WEIGHT, shape, **options)
    return OnnxTeacher(read_onnx(path, path), output=output)


@pytest.mark.parametrize("batch", ["n", 1, 2, 5, 8])
def test_batches_of_any_size(batch: int | str, tmp_path: Path) -> None:
    found = teacher(tmp_path / "a.onnx", [batch, 12])
    assert found.sample_shape == (12,)
    assert found(FLAT).numpy() == pytest.approx(EXPECTED, abs=1e-5)


def test_images_are_flattened_for_files_that_take_vectors(tmp_path: Path) -> None:
    assert teacher(tmp_path / "a.onnx", ["n", 12])(FLAT.reshape(5, 3, 2, 2)).numpy() == pytest.approx(
        EXPECTED, abs=1e-5
    )


def test_channels_last(tmp_path: Path) -> None:
    found = teacher(tmp_path / "a.onnx", ["n", 2, 2, 3])
    assert found.sample_shape == (3, 2, 2)
    assert found(FLAT.reshape(5, 2, 2, 3).movedim(-1, 1)).numpy() == pytest.approx(EXPECTED, abs=1e-5)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.UINT8, TensorProto.INT64])
def test_types_of_inputs(kind: int, tmp_path: Path) -> None:
    pixels = torch.randint(0, 256, (5, 12), generator=torch.Generator().manual_seed(0)).float()
    found = teacher(tmp_path / "a.onnx", ["n", 12], kind=kind)
    assert found.takes_pixels == (kind == TensorProto.UINT8)
    assert found(pixels + 0.01).numpy() == pytest.approx(pixels.numpy() @ WEIGHT, rel=0.01, abs=0.6)
    if kind == TensorProto.UINT8:
        assert found(pixels + 0.01).equal(found(pixels))


def test_probabilities(tmp_path: Path) -> None:
    found = teacher(tmp_path / "a.onnx", ["n", 12], last="Softmax", output="probabilities")
    assert found(FLAT).softmax(1).numpy() == pytest.approx(torch.from_numpy(EXPECTED).softmax(1).numpy(), abs=1e-6)


def test_one_probability_is_that_of_the_second_class(tmp_path: Path) -> None:
    path = write_linear(tmp_path / "a.onnx", WEIGHT[:, :1], ["n", 12], last="Sigmoid")
    found = OnnxTeacher(read_onnx(path, path), output="probabilities")
    assert found(FLAT).numpy() == pytest.approx(EXPECTED[:, :1], abs=0.01)


def test_several_outputs(tmp_path: Path) -> None:
    model = linear_model(WEIGHT, ["n", 12])
    model.graph.node.append(helper.make_node("ArgMax", ["y"], ["label"], axis=1, keepdims=0))
    model.graph.output.insert(0, helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]))
    onnx.save(model, tmp_path / "a.onnx")
    found = OnnxTeacher(read_onnx(tmp_path / "a.onnx", tmp_path / "a.onnx"))
    assert found.note == "output y is read, not label"
    assert found(FLAT).numpy() == pytest.approx(EXPECTED, abs=1e-5)


def test_tokens_go_by_name(tmp_path: Path) -> None:
    names = ("token_type_ids", "attention_mask", "input_ids")
    path = write_linear(tmp_path / "a.onnx", WEIGHT, ["n", 12], kind=TensorProto.INT64, inputs=names[::-1])
    found = OnnxTeacher(read_onnx(path, path))
    assert found.takes_tokens
    tokens = torch.randint(0, 9, (5, 2, 12), generator=torch.Generator().manual_seed(0)).float()
    assert found(tokens).numpy() == pytest.approx(tokens[:, 0].numpy() @ WEIGHT, abs=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": ("x", "z")}, r"takes 2 inputs \(x, z\); one is needed: the samples"),
        ({"kind": TensorProto.BOOL}, r"takes tensor\(bool\); numbers are needed"),
    ],
)
def test_inputs_of_something_else(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        teacher(tmp_path / "a.onnx", ["n", 12], **options)


def test_outputs_of_something_else(tmp_path: Path) -> None:
    model = linear_model(WEIGHT, ["n", 12])
    model.graph.node.append(helper.make_node("ArgMax", ["y"], ["label"], axis=1, keepdims=0))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]))
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(UsageError, match=r"returns no floating-point table .*label: tensor\(int64\).*zipmap=False"):
        OnnxTeacher(read_onnx(tmp_path / "a.onnx", tmp_path / "a.onnx"))


def test_samples_that_it_cannot_take(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^teacher: a\.onnx cannot take samples of shape \(4,\) \([^\n]*\)$"):
        teacher(tmp_path / "a.onnx", ["n", 12])(torch.ones(2, 4))
