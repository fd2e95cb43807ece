from __future__ import annotations

import pytest
import torch
from torch import nn

from preceptor.models.layers import depthwise3x3


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
