from __future__ import annotations

import torch
from torch import Tensor, nn

from preceptor.models import create, feature_names, observe
from preceptor.models.adapters.network_wrapper import NetworkWrapper


class Same(NetworkWrapper):
    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.network(inputs)
        return logits


def test_features_and_dotted_paths_are_those_of_the_network() -> None:
    network = create("resnet8", num_classes=10).eval()
    names = [*feature_names(network, preactivation=True), "layer1.0"]
    inputs = torch.randn(2, 3, 32, 32)
    expected = observe(network, names)(inputs).features
    found = observe(Same(Same(network, "inner"), "outer").eval(), names)(inputs).features
    assert all(torch.equal(found[name], expected[name]) for name in names)


def test_a_network_that_names_none() -> None:
    wrapped = Same(nn.Linear(2, 2), "why")
    assert wrapped.note == "why"
    assert feature_names(wrapped) == ()
    assert wrapped.works_in_place
    assert wrapped.options == {}
    assert wrapped.token_grid == ""
