"""The student wrapper that widens a map and brings it back: made again from its options, weights and all."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch

from preceptor.errors import UsageError
from preceptor.models import (
    DataSpec,
    ExpandedMap,
    ExpandSpec,
    create,
    feature_path,
    load_weights,
    make,
    observe,
    save_weights,
)

DATA = DataSpec(5, (1, 8, 8))


def wrapped() -> ExpandedMap:
    torch.manual_seed(0)
    network = create("convnet_s", num_classes=5, input_shape=(1, 8, 8))
    return ExpandedMap(network, ExpandSpec(feature_path(network, "block2"), 16, 24))


def test_its_options_make_it_again(tmp_path: Path) -> None:
    network = wrapped().eval()
    save_weights(network, tmp_path / "a.safetensors")
    again = make("convnet_s", DATA, json.loads(json.dumps(network.options)))
    assert isinstance(again, ExpandedMap)
    assert again.spec == network.spec
    load_weights(again, tmp_path / "a.safetensors")
    inputs = torch.randn(3, 1, 8, 8)
    assert torch.equal(again.eval()(inputs), network(inputs))


def test_the_map_goes_on_with_what_is_added_to_it() -> None:
    network = wrapped().eval()
    inputs = torch.randn(3, 1, 8, 8)
    plain = observe(create("convnet_s", num_classes=5, input_shape=(1, 8, 8)))
    plain.model.load_state_dict(network.backbone.state_dict())
    before = plain.eval()(inputs).features["block2"]
    outputs = observe(network)(inputs)
    assert list(outputs.features) == ["stem", "block1", "block2", "pooled", "expanded"]
    torch.testing.assert_close(outputs.features["expanded"], network.expand(before))
    torch.testing.assert_close(outputs.features["block2"], before + network.contract(network.expand(before)))


def test_a_copy_uses_its_own_layers() -> None:
    network = wrapped().eval()
    twin = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in network.expand.parameters():
            parameter.zero_()
    inputs = torch.randn(2, 1, 8, 8)
    assert not torch.equal(twin(inputs), network(inputs))
    twin(inputs).sum().backward()
    assert all(each.grad is not None for each in twin.expand.parameters())
    assert all(each.grad is None for each in network.parameters())


def test_errors() -> None:
    network = create("convnet_s", num_classes=5, input_shape=(1, 8, 8))
    with pytest.raises(UsageError, match=r"model\.expanded_map\.module: ConvNet has no module 'block9'"):
        ExpandedMap(network, ExpandSpec("block9", 16, 24))
    with pytest.raises(UsageError, match=r"feature pooled: .*:input is no module's output as it is"):
        feature_path(network, "pooled")
