from __future__ import annotations

import torch

from preceptor.models.zoo.small import ConvNet
from preceptor.objectives.branches import StudentBranch


def make() -> StudentBranch:
    torch.manual_seed(0)
    return StudentBranch(ConvNet([2, 4], 1, num_classes=3, in_channels=1), "blocks.0", (2, 8, 8), channels=5)


def test_it_runs_on_the_other_networks_map_alone() -> None:
    branch, entering = make().eval(), torch.randn(6, 5, 16, 16)
    logits = branch(entering, torch.randn(6, 1, 8, 8))
    assert logits.shape == (6, 3)
    assert torch.equal(logits, branch(entering, torch.randn(6, 1, 8, 8)))
    assert not torch.equal(logits, branch(entering + 1, torch.randn(6, 1, 8, 8)))


def test_the_layers_before_are_frozen() -> None:
    branch = make().freeze_before(torch.randn(2, 5, 16, 16), torch.randn(2, 1, 8, 8))
    trained = {name for name, parameter in branch.named_parameters() if parameter.requires_grad}
    assert {name.split(".")[0] for name in trained} == {"connector", "network"}
    assert not any(name.startswith(("network.stem", "network.blocks.0")) for name in trained)
    assert any(name.startswith("network.blocks.1") for name in trained)
    assert branch.training
    assert all(parameter.grad is None for parameter in branch.parameters())
