from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from preceptor.errors import UsageError
from preceptor.models import FeatureNetwork, create, names, observe
from preceptor.models.zoo.create import checked_options

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "models.json").read_text())["models"]
ONE_OF_EACH = (
    *("resnet8", "resnet8x4", "ResNet50", "wrn_16_1", "vgg8", "MobileNetV2", "ShuffleV1", "ShuffleV2"),
    *("convnet_s", "convnet_m", "mlp"),
)


@pytest.mark.parametrize("entry", GOLDEN, ids=lambda entry: entry["name"])
def test_parameters_names_and_shapes_are_those_of_the_shared_checkpoints(entry: dict[str, Any]) -> None:
    with torch.device("meta"):
        network, ten = create(entry["name"], num_classes=100), create(entry["name"], num_classes=10)
    assert [[name, list(value.shape)] for name, value in network.state_dict().items()] == entry["state_dict"]
    assert sum(p.numel() for p in network.parameters()) == entry["parameters_100"]
    assert sum(p.numel() for p in ten.parameters()) == entry["parameters_10"]
    assert sum(b.numel() for b in network.buffers()) == entry["buffers_100"]


@pytest.mark.parametrize("entry", GOLDEN, ids=lambda entry: entry["name"])
def test_features_have_the_benchmarks_names_and_shapes(entry: dict[str, Any]) -> None:
    with torch.device("meta"):
        network = create(entry["name"], num_classes=100).eval()
        assert isinstance(network, FeatureNetwork)
        default = observe(network)(torch.zeros(2, 3, 32, 32))
        before = observe(network, list(network.preactivation_paths))(torch.zeros(2, 3, 32, 32)).features
    blocks = [f"block{k}" for k in range(1, len(entry["features"]) - 1)]
    assert [list(feature.shape[1:]) for feature in default.features.values()] == entry["features"]
    assert list(default.features) == ["stem", *blocks, "pooled"]
    assert default.logits.shape == (2, 100)
    assert list(before) == [f"{block}_preact" for block in blocks]
    assert [list(feature.shape[1:]) for feature in before.values()] == entry["features"][1:-1]


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("side", [8, 64])
def test_grey_images_of_other_sizes_are_taken(name: str, side: int) -> None:
    with torch.device("meta"):
        network = create(name, num_classes=7, input_shape=(1, side, side))
        assert network(torch.zeros(2, 1, side, side)).shape == (2, 7)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_both_modes_run_and_only_training_moves_the_statistics(name: str) -> None:
    network, inputs = create(name, num_classes=5, input_shape=(1, 8, 8)), torch.randn(4, 1, 8, 8)
    before = {key: value.clone() for key, value in network.named_buffers()}
    first, second = network.eval()(inputs), network(inputs[:2])
    assert torch.isfinite(first).all()
    torch.testing.assert_close(first[:2], second, rtol=1e-3, atol=1e-4)
    assert all(torch.equal(value, before[key]) for key, value in network.named_buffers())
    network.train()(inputs).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(norm.num_batches_tracked == 1 for norm in norms)
    assert bool(norms) == (name != "mlp")


@pytest.mark.parametrize(
    ("name", "shape", "options", "message"),
    [
        ("resnet9", (3, 32, 32), {}, r"unknown name 'resnet9'; did you mean resnet"),
        ("resnet50", (3, 32, 32), {}, "did you mean ResNet50 or"),
        ("VGG8", (3, 32, 32), {}, "did you mean vgg8 or"),
        ("qqq", (3, 32, 32), {}, "preceptor list models"),
        ("resnet8", (30,), {}, r"for images, and the samples have shape \(30,\); try mlp"),
        ("resnet8", (0, 8, 8), {}, r"resnet8 cannot take samples of shape \(0, 8, 8\)"),
        ("mlp", (), {}, r"mlp cannot take samples of shape \(\)"),
        ("mlp", (30,), {"width": 3}, r"model\.width: unknown key; did you mean widths\?"),
        ("mlp", (30,), {"widths": 3}, r"model\.widths: .*Sequence, got 3"),
        ("mlp", (30,), {"widths": "ab"}, r"model\.widths: .*Sequence.*, got 'ab'"),
        ("mlp", (30,), {"widths": [4, -1]}, r"model\.widths\.1: .*greater than 0, got -1"),
        ("resnet8", (3, 32, 32), {"widths": 3}, r"model\.widths: unknown key; there are none"),
        ("resnet8", (3, 32, 32), {"num_classes": 3}, r"model\.num_classes: unknown key"),
    ],
)
def test_wrong_names_shapes_and_options_are_named(
    name: str, shape: tuple[int, ...], options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        create(name, num_classes=10, input_shape=shape, options=options)


@pytest.mark.parametrize(("num_classes", "in_channels"), [(0, 3), (-2, 3), (10, 0)])
def test_sizes_below_one_are_refused(num_classes: int, in_channels: int) -> None:
    with pytest.raises(UsageError, match=r"resnet8 cannot (have -?\d classes|take samples of shape)"):
        create("resnet8", num_classes=num_classes, in_channels=in_channels)


def test_options_are_completed_by_defaults() -> None:
    assert checked_options("mlp", {}) == {"widths": (128, 128)}
    with pytest.raises(UsageError, match=r"model: unknown name 'mpl'; did you mean mlp"):
        checked_options("mpl", {})
