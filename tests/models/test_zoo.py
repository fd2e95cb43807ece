from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.errors import UsageError
from preceptor.models import Tapped, create, names, observe, parameter_count
from preceptor.models.layers import shuffle_channels

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "models.json").read_text())["models"]


@pytest.mark.parametrize("entry", GOLDEN, ids=lambda entry: entry["name"])
def test_parameters_names_and_shapes_are_those_of_the_shared_checkpoints(entry: dict[str, Any]) -> None:
    with torch.device("meta"):
        network, ten = create(entry["name"], num_classes=100), create(entry["name"], num_classes=10)
    assert [[name, list(value.shape)] for name, value in network.state_dict().items()] == entry["state_dict"]
    assert sum(p.numel() for p in network.parameters()) == entry["parameters_100"] == parameter_count(entry["name"])
    assert sum(p.numel() for p in ten.parameters()) == entry["parameters_10"]
    assert sum(b.numel() for b in network.buffers()) == entry["buffers_100"]


@pytest.mark.parametrize("entry", GOLDEN, ids=lambda entry: entry["name"])
def test_features_have_the_benchmarks_names_and_shapes(entry: dict[str, Any]) -> None:
    with torch.device("meta"):
        network = create(entry["name"], num_classes=100).eval()
        outputs = observe(network)(torch.zeros(2, 3, 32, 32))
    assert [list(feature.shape[1:]) for feature in outputs.features.values()] == entry["features"]
    blocks = [f"block{k}" for k in range(1, len(entry["features"]) - 1)]
    assert list(outputs.features) == ["stem", *blocks, "pooled"]
    assert outputs.logits.shape == (2, 100)


def batch_norm(state: dict[str, Tensor], name: str, inputs: Tensor) -> Tensor:
    mean, variance, weight, bias = (
        state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return functional.batch_norm(inputs, mean, variance, weight, bias, training=False)


def randomised(name: str) -> tuple[nn.Module, dict[str, Tensor]]:
    torch.manual_seed(0)
    network = create(name, num_classes=10).eval()
    for tensor in network.state_dict().values():
        if tensor.is_floating_point() and tensor.ndim == 1:
            tensor.uniform_(0.5, 1.5)
    return network, network.state_dict()


def test_resnet8_is_the_textbook_computation() -> None:
    network, state = randomised("resnet8")
    inputs = torch.randn(2, 3, 32, 32)
    hidden = functional.relu(batch_norm(state, "bn1", functional.conv2d(inputs, state["conv1.weight"], padding=1)))
    for stage, stride in ((1, 1), (2, 2), (3, 2)):
        block = f"layer{stage}.0"
        inner = functional.conv2d(hidden, state[f"{block}.conv1.weight"], stride=stride, padding=1)
        inner = functional.relu(batch_norm(state, f"{block}.bn1", inner))
        inner = batch_norm(state, f"{block}.bn2", functional.conv2d(inner, state[f"{block}.conv2.weight"], padding=1))
        if stage > 1:
            hidden = functional.conv2d(hidden, state[f"{block}.downsample.0.weight"], stride=stride)
            hidden = batch_norm(state, f"{block}.downsample.1", hidden)
        hidden = functional.relu(inner + hidden)
    expected = functional.linear(hidden.mean((2, 3)), state["fc.weight"], state["fc.bias"])
    torch.testing.assert_close(network(inputs), expected, rtol=1e-4, atol=1e-5)


def test_wrn_16_1_is_the_textbook_computation() -> None:
    network, state = randomised("wrn_16_1")
    inputs = torch.randn(2, 3, 32, 32)
    hidden = functional.conv2d(inputs, state["conv1.weight"], padding=1)
    for stage in (1, 2, 3):
        for number in (0, 1):
            block, stride = f"block{stage}.layer.{number}", 2 if stage > 1 and number == 0 else 1
            active = functional.relu(batch_norm(state, f"{block}.bn1", hidden))
            inner = functional.conv2d(active, state[f"{block}.conv1.weight"], stride=stride, padding=1)
            inner = functional.relu(batch_norm(state, f"{block}.bn2", inner))
            inner = functional.conv2d(inner, state[f"{block}.conv2.weight"], padding=1)
            if f"{block}.convShortcut.weight" in state:
                hidden = functional.conv2d(active, state[f"{block}.convShortcut.weight"], stride=stride)
            hidden = hidden + inner
    hidden = functional.relu(batch_norm(state, "bn1", hidden)).mean((2, 3))
    expected = functional.linear(hidden, state["fc.weight"], state["fc.bias"])
    torch.testing.assert_close(network(inputs), expected, rtol=1e-4, atol=1e-5)


def test_vgg8_is_the_textbook_computation() -> None:
    network, state = randomised("vgg8")
    hidden = inputs = torch.randn(2, 3, 32, 32)
    for block in range(5):
        if block in (1, 2, 3):
            hidden = functional.max_pool2d(hidden, 2)
        hidden = functional.conv2d(hidden, state[f"block{block}.0.weight"], state[f"block{block}.0.bias"], padding=1)
        hidden = functional.relu(batch_norm(state, f"block{block}.1", hidden))
    expected = functional.linear(hidden.mean((2, 3)), state["classifier.weight"], state["classifier.bias"])
    torch.testing.assert_close(network(inputs), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet8", "vgg8", "ShuffleV1", "MobileNetV2", "convnet_s", "wrn_16_1"])
def test_preactivations_become_the_features_once_activated(name: str) -> None:
    network = create(name, num_classes=10, in_channels=3).eval()
    assert isinstance(network, Tapped)
    preacts = list(network.preactivation_taps)
    features = observe(network, [*preacts, *(p.removesuffix("_preact") for p in preacts)])(
        torch.randn(2, 3, 32, 32)
    ).features
    for preact in preacts:
        block = features[preact.removesuffix("_preact")]
        assert features[preact].shape == block.shape
        if name not in {"MobileNetV2", "wrn_16_1"}:  # their blocks end without a ReLU
            assert torch.equal(features[preact].relu(), block)


def test_wrn_features_are_taken_before_the_last_batch_norm() -> None:
    features = observe(create("wrn_16_1", num_classes=10).eval())(torch.randn(4, 3, 32, 32)).features
    assert (features["block3"] < 0).any()


def test_channel_shuffle_interleaves_groups() -> None:
    maps = torch.arange(6.0).reshape(1, 6, 1, 1)
    assert shuffle_channels(maps, 2).flatten().tolist() == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize(("name", "low", "high"), [("convnet_s", 1_000, 10_000), ("convnet_m", 40_000, 110_000)])
def test_small_nets_are_small_and_take_8x8_images(name: str, low: int, high: int) -> None:
    network = create(name, num_classes=10, input_shape=(1, 8, 8))
    assert network(torch.randn(3, 1, 8, 8)).shape == (3, 10)
    assert low < sum(p.numel() for p in network.parameters()) < high


def test_mlp_takes_widths_and_any_shape() -> None:
    network = create("mlp", num_classes=2, input_shape=(8,), options={"widths": [5, 6, 7]})
    assert network(torch.randn(3, 8)).shape == (3, 2)
    assert list(observe(network)(torch.randn(3, 8)).features) == ["hidden1", "hidden2", "hidden3", "pooled"]


@pytest.mark.parametrize(
    ("name", "shape", "options", "message"),
    [
        ("resnet9", (3, 32, 32), {}, r"unknown name 'resnet9'; did you mean resnet"),
        ("qqq", (3, 32, 32), {}, "preceptor list models"),
        ("resnet8", (30,), {}, r"for images, and the samples have shape \(30,\); try mlp"),
        ("mlp", (30,), {"width": 3}, r"model\.width: mlp has no such key; it has widths"),
        ("resnet8", (3, 32, 32), {"widths": 3}, "it has none"),
    ],
)
def test_wrong_names_and_options_are_named(
    name: str, shape: tuple[int, ...], options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        create(name, num_classes=10, input_shape=shape, options=options)


def test_every_name_has_a_description() -> None:
    assert {entry["name"] for entry in GOLDEN} <= set(names())
    assert all(names().values())
