"""timm's config.json: with it, `timm.create_model("local-dir:FOLDER", pretrained=True)` opens a folder."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from preceptor.exports.native import NativeImages
from preceptor.models.adapters.adapted import REFUSALS

__all__ = ["is_of_timm", "remakes", "timm_config"]

# keys of a model section that are not the constructor's: ours, and those that say where weights are or how they run
_NO_ARGUMENTS = {
    *("name", "logits", "normalisation", "resolution", "num_classes", "in_chans"),
    *("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "pretrained_strict", "checkpoint_path", "cache_dir"),
    *("scriptable", "exportable", "no_jit", "device", "dtype"),
}
_OF_THE_ARCHITECTURE = ("first_conv", "classifier", "pool_size", "fixed_input_size")  # keys of pretrained_cfg


def is_of_timm(network: nn.Module) -> bool:
    """Return whether a network was made by `timm.create_model`, so that it states its architecture."""
    stated = vars(network).get("pretrained_cfg")
    return type(network).__module__.startswith("timm.") and isinstance(stated, Mapping) and "architecture" in stated


def timm_config(
    network: nn.Module, images: NativeImages, class_names: Sequence[str], options: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the content of timm's config.json.

    Args:
        network: of timm, with one output per class.
        images: how it takes images.
        class_names: one per output, in order.
        options: of its model section; None: those that timm has noted down on it.
    """
    made_of = vars(network).get("_model_args", {}) if options is None else options
    arguments = {key: value for key, value in made_of.items() if key not in _NO_ARGUMENTS}
    stated: Mapping[str, Any] = vars(network)["pretrained_cfg"]
    own = {key: stated[key] for key in _OF_THE_ARCHITECTURE if key in stated}
    if arguments.get("dynamic_img_size") or arguments.get("strict_img_size") is False:
        own["fixed_input_size"] = False  # or timm would make its position embeddings for another size
    return {
        "architecture": stated["architecture"],
        "num_classes": len(class_names),
        "num_features": vars(network).get("num_features"),
        "label_names": list(class_names),
        "model_args": {**arguments, "in_chans": images.channels},
        "pretrained_cfg": {
            **own,
            "custom_load": False,
            "num_classes": len(class_names),
            "input_size": [images.channels, *images.size],
            "mean": list(images.mean),
            "std": list(images.std),
            "interpolation": "bilinear",
            "crop_pct": _crop_share(images),
            "crop_mode": "center",
        },
    }


def remakes(network: nn.Module, config: Mapping[str, Any]) -> bool:
    """Return whether timm makes a network of the same weights, by name and shape, of a config.json."""
    timm: Any = importlib.import_module("timm")
    try:
        made = timm.create_model(
            config["architecture"], pretrained_cfg=config["pretrained_cfg"], **config["model_args"]
        )
    except REFUSALS:
        return False
    shapes = [{name: value.shape for name, value in each.state_dict().items()} for each in (network, made)]
    return type(made) is type(network) and shapes[0] == shapes[1]


def _crop_share(images: NativeImages) -> float:
    """Return the share that timm, which rounds down, scales to the same size by."""
    side, scaled = images.size[0], images.scaled_size[0]
    return images.centre if math.floor(side / images.centre) == scaled else side / (scaled + 0.5)
