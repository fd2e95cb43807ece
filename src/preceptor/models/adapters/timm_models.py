"""`timm:NAME`: networks of the timm library.

`model.pretrained=true` loads its weights; further keys are those of `timm.create_model` and the network's constructor.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from contextlib import nullcontext
from statistics import fmean
from typing import Any

from torch import nn

from preceptor.errors import UsageError
from preceptor.extras import import_extra, import_torchvision
from preceptor.messages import did_you_mean, first_line
from preceptor.models.adapters.adapted import REFUSALS, wrap_network
from preceptor.models.adapters.class_names import timm_names
from preceptor.models.adapters.hub import offline
from preceptor.models.adapters.input_adapter import DataSpec
from preceptor.models.adapters.preprocessing import NativePreprocessing, check_outputs, image_shape, split_preprocessing

__all__ = ["make"]


def make(name: str, data_spec: DataSpec, options: Mapping[str, Any], *, loads_weights: bool) -> nn.Module:
    """Return a network by its name in timm.

    The network is made for the data's channels (`in_chans`); a pretrained one is given a single channel three times.

    Args:
        name: in timm, with or without the tag of its weights.
        data_spec: what it will be given.
        options: further keys.
        loads_weights: whether weights will be loaded into it; it then does not load its own.

    Raises:
        UsageError: for an unknown name, invalid keys, missing weights, or samples that it cannot read.
    """
    title = f"timm:{name}"
    channels = image_shape(title, data_spec)[0]
    import_torchvision(needed_by=title)
    timm = import_extra("timm", "vision", needed_by=title)
    overrides, rest = split_preprocessing(check_outputs(options, "num_classes", data_spec.num_classes))
    is_pretrained = bool(rest.pop("pretrained", False))
    if "checkpoint_path" in rest:
        raise UsageError(
            f"model.checkpoint_path: {title} takes weights from start_from=FILE, which runs no code of the file"
        )
    if ":" not in name and not timm.is_model(name):
        near = did_you_mean(name, timm.list_models(), otherwise="timm.list_models() names them")
        raise UsageError(f"model: timm has no {name!r}{near}")
    rest.setdefault("in_chans", 3 if is_pretrained and channels == 1 else channels)
    downloads = is_pretrained and not loads_weights
    is_offline = downloads and not _reaches_hub()
    try:
        with offline() if is_offline else nullcontext():
            network: nn.Module = timm.create_model(
                name, pretrained=downloads, num_classes=data_spec.num_classes, **rest
            )
    except (*REFUSALS, OSError) as error:
        if is_offline and isinstance(error, OSError):
            raise UsageError(
                f"model.pretrained: the weights of {title} are not on this machine, and the Hugging Face hub, where they are, "
                "cannot be reached"
            ) from error
        keys = ", ".join(f"{key}={value}" for key, value in {"pretrained": is_pretrained, **rest}.items())
        raise UsageError(f"model: {title} cannot be made with {keys}: {first_line(error)}") from error
    stated: Mapping[str, Any] = network.pretrained_cfg  # type: ignore[assignment]
    mean, std = (tuple(float(value) for value in stated.get(key) or ()) for key in ("mean", "std"))
    if len(mean) > 1 and rest["in_chans"] == 1:
        mean, std = (fmean(mean),), (fmean(std),)
    trained = tuple(stated.get("input_size") or ())[1:]
    native = NativePreprocessing(
        channels=int(rest["in_chans"]),
        fixed_size=_fixed_size(network, timm.layers.PatchEmbed, trained if stated.get("fixed_input_size") else ()),
        trained_size=(trained[0], trained[1]) if trained else None,
        mean=mean,
        std=std,
        trained_classes=int(stated.get("num_classes") or 0) if is_pretrained else None,
        class_names=timm_names(stated, stated.get("num_classes")) if is_pretrained else (),
    )
    return wrap_network(title, network, data_spec, native, overrides, loads_weights=loads_weights)


def _reaches_hub() -> bool:
    """Try once, where the hub's own client tries ten times, for a minute."""
    constants, utils = (importlib.import_module(f"huggingface_hub.{name}") for name in ("constants", "utils"))
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        utils.get_session().head(constants.ENDPOINT, timeout=5)
    except Exception:  # whatever its HTTP client raises
        return False
    return True


def _fixed_size(network: nn.Module, patches: type[Any], stated: tuple[int, ...]) -> tuple[int, int] | None:
    """Return the height and width that the network's patch embedding requires, or else what it states as fixed."""
    for module in network.modules():
        if isinstance(module, patches):
            size = module.img_size if module.strict_img_size else None
            return None if size is None else (int(size[0]), int(size[1]))
    return (stated[0], stated[1]) if stated else None
