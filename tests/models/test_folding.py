from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from preceptor.models import create, folded, observe

ZOO = ["resnet20", "resnet8x4", "wrn_16_1", "vgg8", "MobileNetV2", "ShuffleV1", "ShuffleV2", "ResNet50", "convnet_s"]


def trained(model: nn.Module) -> nn.Module:
    """With statistics and scales of its own."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
    return model.eval().requires_grad_(False)


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, _BatchNorm) for module in model.modules())


@pytest.mark.parametrize("name", ZOO)
def test_outputs_and_features_stay_and_the_network_is_not_changed(name: str) -> None:
    torch.manual_seed(0)
    network = observe(trained(create(name, num_classes=10)))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    inputs = torch.randn(6, 3, 32, 32)
    fast = folded(network, inputs[:2])
    assert norms(fast) < norms(network) or norms(network) == 0
    ours, theirs = fast(inputs), network(inputs)
    pairs = [(ours.logits, theirs.logits), *zip(ours.features.values(), theirs.features.values(), strict=True)]
    assert all(float((a - b).abs().max()) < 1e-4 * float(b.abs().max()) for a, b in pairs)
    assert all(value.equal(before[key]) for key, value in network.state_dict().items())
    assert not any(parameter.requires_grad for parameter in fast.parameters())


class Twice(nn.Module):
    """Its convolution's output is read by the norm and by an addition; another convolution runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.read_twice, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
        self.runs_twice, self.other_norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.foldable, self.folded_norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, inputs: Tensor) -> Tensor:
        maps = self.read_twice(inputs)
        maps = maps + self.norm(maps)
        maps = self.other_norm(self.runs_twice(self.runs_twice(maps)))
        logits: Tensor = self.folded_norm(self.foldable(maps)).mean((2, 3))
        return logits


def test_only_a_norm_that_alone_reads_a_convolution_is_folded() -> None:
    torch.manual_seed(0)
    network, inputs = observe(trained(Twice()), ()), torch.randn(4, 3, 5, 5)
    fast = folded(network, inputs[:2])
    assert isinstance(fast.model.get_submodule("norm"), nn.BatchNorm2d)
    assert isinstance(fast.model.get_submodule("other_norm"), nn.BatchNorm2d)
    assert isinstance(fast.model.get_submodule("folded_norm"), nn.Identity)
    torch.testing.assert_close(fast(inputs).logits, network(inputs).logits)
    tapped = observe(network.model, ["foldable"])  # what somebody looks at stays
    assert isinstance(folded(tapped, inputs).model.get_submodule("folded_norm"), nn.BatchNorm2d)


def test_weights_are_cast_once_and_give_what_autocast_gives() -> None:
    torch.manual_seed(0)
    network, inputs = observe(trained(create("resnet20", num_classes=10)), ()), torch.randn(8, 3, 32, 32)
    half = folded(network, inputs[:2], half=torch.bfloat16)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    exact = network(inputs).logits
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours, plain = half(inputs).logits.float(), network(inputs).logits.float()
    assert float((ours - exact).abs().max()) < 2 * float((plain - exact).abs().max())


class Outside(nn.Module):
    """Reads a weight outside autocast."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return inputs.float() @ self.layer.weight.T


def test_a_network_that_cannot_be_folded_runs_as_it_is() -> None:
    outside = observe(Outside().eval(), ())
    assert folded(outside, torch.randn(2, 4), half=torch.bfloat16) is outside
    deaf = observe(nn.Sequential(nn.Linear(4, 2)), ())
    assert folded(deaf, torch.zeros(2, 5)) is deaf  # it fails on these inputs; the run itself will say so
