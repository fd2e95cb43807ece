from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from preceptor.models.zoo.layers import conv3x3, depthwise3x3, init_fan_out, init_kaiming, pool, shuffle_channels


def test_channel_shuffle_interleaves_groups() -> None:
    maps = torch.arange(6.0).reshape(1, 6, 1, 1)
    assert shuffle_channels(maps, 2).flatten().tolist() == [0, 3, 1, 4, 2, 5]
    assert shuffle_channels(maps, 3).flatten().tolist() == [0, 2, 4, 1, 3, 5]
    assert torch.equal(shuffle_channels(maps, 1), maps)


def test_pool_is_the_mean_over_space_and_the_fixed_pool_at_its_size() -> None:
    maps = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(pool(maps), nn.AvgPool2d(8)(maps).flatten(1))
    torch.testing.assert_close(pool(maps[..., :5, :7]), maps[..., :5, :7].mean((2, 3)))


@pytest.mark.parametrize("init", [init_kaiming, init_fan_out])
def test_convolutions_are_drawn_by_fan_out(init: object) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(conv3x3(40, 80), nn.BatchNorm2d(80))
    init_kaiming(network) if init is init_kaiming else init_fan_out(network)
    weight = network.get_parameter("0.weight")
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 80)), rel=0.02)
    assert weight.mean().abs().item() < 1e-3
    assert torch.equal(network.get_parameter("1.weight"), torch.ones(80))
    assert torch.equal(network.get_parameter("1.bias"), torch.zeros(80))


def test_linear_layers_are_drawn_only_where_a_deviation_is_given() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(200, 100))
    before = network.get_parameter("0.weight").clone()
    init_fan_out(network)
    assert torch.equal(network.get_parameter("0.weight"), before)
    assert network.get_parameter("0.bias").count_nonzero() == 0
    init_fan_out(network, linear_std=0.01)
    assert network.get_parameter("0.weight").std().item() == pytest.approx(0.01, rel=0.02)


@pytest.mark.parametrize(("stride", "side", "is_kept"), [(1, 8, False), (2, 8, True), (1, 2, True)])
def test_depthwise_convolutions_keep_float32_just_where_bf16_is_slow(stride: int, side: int, is_kept: bool) -> None:
    torch.manual_seed(0)
    layer = depthwise3x3(6, stride)
    inputs = torch.randn(2, 6, side, side)
    exact = nn.functional.conv2d(inputs, layer.weight, stride=stride, padding=1, groups=6)
    assert layer(inputs).equal(exact)
    with torch.autocast("cpu", torch.bfloat16):
        said = layer(inputs.bfloat16() if is_kept else inputs)
    assert said.dtype == (torch.float32 if is_kept else torch.bfloat16)
    assert torch.allclose(said.float(), exact, atol=0.05)
    assert layer.double()(inputs.double()).dtype == torch.float64
    assert list(layer.state_dict()) == ["weight"]
