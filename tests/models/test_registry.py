from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from preceptor.errors import UsageError
from preceptor.models import create, hyperparameters, names
from preceptor.models.registry import ZOO

SMALL = {"mlp", "convnet_s", "convnet_m"}  # made for 8x8 images


def test_every_name_has_a_description() -> None:
    golden = json.loads((Path(__file__).parents[1] / "golden" / "models.json").read_text())["models"]
    assert {entry["name"] for entry in golden} <= set(names())
    assert all(names().values())


@pytest.mark.parametrize("name", ZOO)
def test_the_stated_number_of_parameters_is_that_of_the_network(name: str) -> None:
    with torch.device("meta"):
        network = create(name, num_classes=100, input_shape=(1, 8, 8) if name in SMALL else (3, 32, 32))
    assert ZOO[name].parameters == sum(parameter.numel() for parameter in network.parameters())


def test_hyperparameters_are_what_neither_the_data_nor_the_name_decides() -> None:
    assert {name: hyperparameters(name) for name in ("mlp", "convnet_s", "wrn_16_2")} == {
        "mlp": {"widths": (128, 128)},
        "convnet_s": {},
        "wrn_16_2": {},
    }
    with pytest.raises(UsageError, match="unknown name 'resnet9'"):
        hyperparameters("resnet9")
