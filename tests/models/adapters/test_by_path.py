from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from preceptor.errors import UsageError
from preceptor.models import Adapted, DataSpec, feature_names, make, random_texts
from preceptor.types import Vocabulary

TEXTS = DataSpec(2, (2, 6), vocabulary=Vocabulary(9, 0, "of a test"))
DIGITS = DataSpec(10, (1, 8, 8), (0.3,), (0.4,))
SOURCE = '''
from torch import nn

def network(num_classes, in_channels, width=4):
    """The classes and channels are the data's."""
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3, 2, 1), nn.ReLU(), nn.Conv2d(width, 2 * width, 3, 2, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * width, num_classes),
    )

class Flat(nn.Sequential):
    def __init__(self, input_shape, num_classes):
        super().__init__(nn.Flatten(), nn.Linear(input_shape[0] * input_shape[1] * input_shape[2], num_classes))

class Nets:
    small = staticmethod(network)

def seven():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 7))

def anything(**kwargs):
    return network(10, 1, **kwargs)

class Words(nn.Module):
    """Reads the rows of texts as they come."""

    def __init__(self, num_classes, vocabulary_size=9):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, 4)
        self.head = nn.Linear(4, num_classes)

    def forward(self, inputs):
        return self.head(self.embedding(inputs[:, 0].long()).mean(1))

class Named(Words):
    """Is told what is what."""

    def forward(self, input_ids, attention_mask):
        return self.head((self.embedding(input_ids) * attention_mask[..., None]).sum(1)), "what else it says"

def fails(num_classes):
    raise ValueError("no such weather")

def number():
    return 3

settings = 5
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_networks.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)  # and not on the path: the working directory is looked in
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_networks", raising=False)
    return "my_networks"


@pytest.mark.parametrize("name", ["network", "Flat", "Nets.small"])
def test_a_callable_is_given_what_its_signature_has(name: str, module: str) -> None:
    model = make(f"{module}:{name}", DIGITS)
    assert isinstance(model, Adapted)
    assert model(torch.randn(2, 1, 8, 8)).shape == (2, 10)
    assert model.note == ""


def test_further_keys_and_features(module: str) -> None:
    model = make(f"{module}:network", DIGITS, {"width": 6, "resolution": 16})
    assert isinstance(model, Adapted)
    assert model.note == "resized 8 -> 16"
    assert model.network.state_dict()["0.weight"].shape == (6, 1, 3, 3)
    assert feature_names(model) == ("block1", "block2", "pooled")
    assert make(f"{module}:anything", DIGITS, {"width": 2})(torch.zeros(1, 1, 8, 8)).shape == (1, 10)


@pytest.mark.parametrize("name", ["Words", "Named"])
def test_a_network_that_reads_token_numbers(name: str, module: str) -> None:
    model = make(f"{module}:{name}", TEXTS)
    assert isinstance(model, Adapted)
    assert model.bare.get_parameter("embedding.weight").shape == (9, 4)
    texts = random_texts((2, 6), Vocabulary(9, 0, ""), 3)
    assert model(texts).shape == (3, 2)
    assert feature_names(model) == ("pooled",)


def test_numbers_that_are_no_texts_are_tried_as_the_data_hold_them(module: str) -> None:
    samples = DataSpec(2, (2, 6))  # token numbers in an array, say: nobody says how many there are
    with pytest.raises(UsageError, match=r"cannot read samples of shape \(2, 6\) \(.*\)$"):
        make(f"{module}:Words", samples)
    model = make(f"{module}:Words", replace(samples, example=torch.ones(2, 6)))
    assert feature_names(model) == ("pooled",)
    unseen = make(f"{module}:Words", samples, loads_weights=True)  # its run has shown that it reads them
    assert unseen(torch.ones(3, 2, 6)).shape == (3, 2)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("no_such_package:make", {}, "cannot import no_such_package"),
        ("my_networks:missing", {}, "my_networks has no 'missing'; there are: network, Flat"),
        ("my_networks:settings", {}, "is a int, expected a callable"),
        ("my_networks:network", {"widht": 3}, "model.widht: my_networks:network has no such key; did you mean width?"),
        ("my_networks:fails", {}, "my_networks:fails(num_classes=10) failed: ValueError: no such weather"),
        ("my_networks:number", {}, "returned a int, expected a torch.nn.Module"),
        ("my_networks:seven", {"resolution": 9}, "cannot read samples of shape (1, 8, 8)"),
        (":make", {}, "':make' names no network"),
    ],
)
def test_what_cannot_be_is_refused(name: str, options: dict[str, object], said: str, module: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        make(name, DIGITS, options)
