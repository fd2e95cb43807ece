"""Networks with further heads in training."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from preceptor.models import DataSpec, create, heads_in_training
from preceptor.models.adapters.adapted import wrap_network
from preceptor.models.adapters.preprocessing import NativePreprocessing, PreprocessingOverrides


class Heads(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten())
        self.heads = nn.ModuleList([nn.LazyLinear(10), nn.LazyLinear(10), nn.LazyLinear(5)])

    def forward(self, inputs: Tensor) -> Any:
        one, two, narrow = (head(self.body(inputs)) for head in self.heads)
        if not self.training:
            return one
        returned = {
            "tuple": (one, two, narrow),
            "list": [one, two],
            "mapping": {"logits": one, "aux_logits": two},
            "features": (one, narrow, inputs, "hidden"),
            "alone": one,
            "error": None,
        }
        return returned[self.kind]


@pytest.mark.parametrize(
    ("kind", "count"), [("tuple", 2), ("list", 2), ("mapping", 2), ("features", 1), ("alone", 1), ("error", 1)]
)
@pytest.mark.parametrize("is_adapted", [False, True])
def test_outputs_like_the_logits_are_counted_and_nothing_changes(kind: str, count: int, is_adapted: bool) -> None:
    samples = DataSpec(10, (3, 8, 8))
    inputs = torch.randn(2, 3, 8, 8)
    network: nn.Module = Heads(kind)
    network.eval()(inputs)  # lazy layers
    if is_adapted:
        network = wrap_network(
            "mine", network, samples, NativePreprocessing(), PreprocessingOverrides(), loads_weights=False
        )
    body = next(module for module in network.modules() if isinstance(module, nn.Dropout))
    network.train()
    body.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modes = {name: module.training for name, module in network.named_modules()}
    torch.manual_seed(3)
    assert heads_in_training(network, inputs) == count
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(after, torch.rand(1))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert modes == {name: module.training for name, module in network.named_modules()}
    assert not network._forward_hooks


def test_a_network_of_the_zoo_has_one() -> None:
    random.seed(0)
    assert heads_in_training(create("resnet8", num_classes=10).double(), torch.randn(2, 3, 32, 32)) == 1
