"""The student wrapper that ends in a teacher's classifier: made again from its options, weights and all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from preceptor.errors import UsageError
from preceptor.models import DataSpec, ReusedClassifier, ReuseSpec, create, load_weights, make, observe, save_weights
from preceptor.models.adapters.wrappers import wrap_as_stated

SPEC = ReuseSpec("block2", 16, 6, (2, 2), 5, bottleneck=3)
DATA = DataSpec(5, (1, 8, 8))


def wrapped() -> ReusedClassifier:
    torch.manual_seed(0)
    return ReusedClassifier(create("convnet_s", num_classes=5, input_shape=(1, 8, 8)), SPEC)


def test_its_options_make_it_again(tmp_path: Path) -> None:
    network = wrapped().eval()
    save_weights(network, tmp_path / "a.safetensors")
    again = make("convnet_s", DATA, json.loads(json.dumps(network.options)))
    assert isinstance(again, ReusedClassifier)
    assert again.spec == SPEC
    load_weights(again, tmp_path / "a.safetensors")
    inputs = torch.randn(3, 1, 8, 8)
    assert torch.equal(again.eval()(inputs), network(inputs))


def test_one_in_the_wrapper_stays_as_it_is_and_one_without_options_too() -> None:
    network, plain = wrapped(), create("convnet_s", num_classes=5, input_shape=(1, 8, 8))
    assert wrap_as_stated(network, network.options) is network
    assert wrap_as_stated(plain, {"widths": [4]}) is plain


def test_logits_are_the_classifier_on_the_mean_of_the_projected_map() -> None:
    network = wrapped().eval()
    outputs = observe(network)(torch.randn(3, 1, 8, 8))
    assert list(outputs.features) == ["stem", "block1", "block2", "projected", "pooled"]
    assert outputs.features["projected"].shape == (3, 6, 2, 2)  # pooled from 4 x 4
    pooled = outputs.features["projected"].mean((2, 3))
    expected = functional.linear(pooled, network.classifier.weight, network.classifier.bias)
    torch.testing.assert_close(outputs.logits, expected)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ("yes", r"^model\.reused_classifier: 'yes' is no mapping; method simkd writes it$"),
        ({"chanels": 16}, r"model\.reused_classifier\.chanels: unknown key; did you mean channels\?"),
        ({"bottleneck": 0}, r"^model\.reused_classifier: its sizes are at least 1, got \{"),
        ({"teacher_size": [2]}, r"^model\.reused_classifier\.teacher_size\.1: is needed and was not given$"),
        ({"feature": "block9"}, r"^feature block9: ConvNet has no such feature"),
    ],
)
def test_errors(stated: Any, message: str) -> None:
    if isinstance(stated, dict):
        stated = {**wrapped().options["reused_classifier"], **stated}
    with pytest.raises(UsageError, match=message):
        make("convnet_s", DATA, {"reused_classifier": stated})
