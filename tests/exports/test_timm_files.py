"""timm's config.json makes the network again, with the crop that this library reads."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import Any

import pytest
from torch import nn

from preceptor.exports.native import NativeImages
from preceptor.exports.timm_files import is_of_timm, remakes, timm_config
from preceptor.extras import import_extra, import_torchvision

if find_spec("timm") is None:
    pytest.skip("needs the extra vision", allow_module_level=True)
import_torchvision(needed_by="tests")
timm = import_extra("timm", "vision", needed_by="tests")

SMALL = {"embed_dim": 16, "depth": 1, "num_heads": 2, "patch_size": 8}
NAMES = ("cat", "dog", "bird")


def images(size: int = 32, centre: float = 1.0, channels: int = 3) -> NativeImages:
    return NativeImages(channels, (size, size), (0.5,) * channels, (0.2,) * channels, centre, are_pixels=True)


def network(**options: object) -> nn.Module:
    made: nn.Module = timm.create_model("vit_tiny_patch16_224", num_classes=3, **SMALL, **options)
    return made


def test_keys_that_are_not_the_constructors_stay_out_of_it() -> None:
    stated = {"name": "timm:vit_tiny_patch16_224", "logits": None, "pretrained": True, "resolution": 32, "img_size": 32}
    section: dict[str, Any] = {**stated, "pretrained_cfg_overlay": {"file": "x"}, "drop_path_rate": 0.1, **SMALL}
    config = timm_config(network(img_size=32), images(), NAMES, section)
    assert config["model_args"] == {"img_size": 32, "drop_path_rate": 0.1, **SMALL, "in_chans": 3}
    assert (config["architecture"], config["label_names"]) == ("vit_tiny_patch16_224", list(NAMES))
    assert not {"url", "file", "hf_hub_id", "source"} & set(config["pretrained_cfg"])


@pytest.mark.parametrize("options", [{"img_size": 32}, {"img_size": 48, "dynamic_img_size": True}])
def test_a_config_makes_the_network_again(options: dict[str, Any]) -> None:
    made = network(**options)
    config = timm_config(made, images(), NAMES, {**SMALL, **options})
    assert is_of_timm(made)
    assert remakes(made, config)
    assert remakes(made, timm_config(made, images(), NAMES, None))  # as timm has noted down itself


def test_a_network_that_was_changed_is_not_made_again() -> None:
    made: Any = network(img_size=32)
    made.head = nn.Sequential(nn.Linear(16, 8), nn.Linear(8, 3))
    assert not remakes(made, timm_config(made, images(), NAMES, None))
    assert not is_of_timm(nn.Linear(4, 3))


@pytest.mark.parametrize("side", [8, 32, 96, 224, 384])
@pytest.mark.parametrize("centre", [1.0, 0.95, 0.9, 0.875, 0.8, 0.6])
def test_timm_rounds_down_and_scales_to_the_same_size(side: int, centre: float) -> None:
    asked = images(side, centre)
    config = timm_config(network(img_size=32), asked, NAMES, {})
    assert math.floor(side / config["pretrained_cfg"]["crop_pct"]) == asked.scaled_size[0]
