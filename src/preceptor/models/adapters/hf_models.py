"""`hf:PLACE`: classifiers of images, or of texts, of the transformers library.

PLACE is a folder with config.json (and weights, which are loaded where they are there), a configuration file, or a name
that the hub's cache on this machine holds; nothing is downloaded. Further keys are those of the configuration;
`model.pretrained=false` leaves the weights out. What stands in these files is kept with a run and with what it exports, as
`model.config` and `model.preprocessor`, which are read instead of the place.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from preceptor.errors import UsageError
from preceptor.extras import fit_torchvision, import_extra
from preceptor.models.adapters.adapted import (
    REFUSALS,
    NativePreprocessing,
    adapt,
    first_line,
    images_of,
    split_preprocessing,
)
from preceptor.models.adapters.hf_texts import check_tokenizer, fit_texts, of_texts
from preceptor.models.adapters.input_adapter import DataSpec

__all__ = ["make"]

_CONFIG, _PREPROCESSOR = "config.json", "preprocessor_config.json"
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_POSITIONS = ("position_embeddings", "pos_embed", "relative_position_bias_table")


@dataclass(frozen=True, slots=True)
class _Place:
    """What the files of a network state, and where they lie; without a folder they are only told of."""

    config: dict[str, Any]
    preprocessor: dict[str, Any] | None
    folder: Path | None = None
    weights: Path | None = None


def make(name: str, samples: DataSpec, options: Mapping[str, Any], *, loads_weights: bool) -> nn.Module:
    """Return a classifier of images, whose single channel is repeated where it reads more, or of texts.

    A classifier of another width is replaced by a new one.

    Args:
        name: the place.
        samples: what it will be given.
        options: further keys.
        loads_weights: whether weights will be loaded into it, so that it need not load its own.

    Raises:
        UsageError: when there is nothing at that place, nothing that classifies such samples, for keys that its
            configuration does not have, or samples that it cannot read.
    """
    title, vocabulary = f"hf:{name}", samples.vocabulary
    if vocabulary is None:
        images_of(title, samples)
    transformers = import_extra("transformers", "hf", needed_by=title)
    fit_torchvision()
    overrides, rest = split_preprocessing(options)
    place = _stated(title, rest) or _find(name, transformers)
    is_pretrained = bool(rest.pop("pretrained", place.weights is not None)) and place.folder is not None
    loads = is_pretrained and not loads_weights
    if rest.get("num_labels") not in {None, samples.num_classes}:
        raise UsageError(f"model.num_labels: {rest['num_labels']}, and the data have {samples.num_classes} classes")
    config = _config(title, place.config, rest, transformers)
    trained_classes = int(config.num_labels) if is_pretrained else None
    config.num_labels = samples.num_classes
    if vocabulary is not None:
        keeps_padding = is_pretrained or "pad_token_id" in rest or place.folder is None
        fit_texts(title, config, samples, vocabulary, keeps_padding=keeps_padding)
        if loads and place.folder is not None:
            check_tokenizer(title, place.folder, vocabulary, transformers)
    images, texts = transformers.AutoModelForImageClassification, transformers.AutoModelForSequenceClassification
    network, is_complete = _made(
        title, images if vocabulary is None else texts, config, place.folder if loads else None
    )
    if is_pretrained and not is_complete:
        trained_classes = 0
    if vocabulary is None:
        own = _own(network, config, place.preprocessor, trained_classes)
    else:
        network, own = of_texts(network, config, samples, trained_classes)
    stated = {"config": json.loads(config.to_json_string(use_diff=False)), "preprocessor": place.preprocessor}
    return adapt(title, network, samples, replace(own, options=stated), overrides, loads_weights=loads_weights)


def _made(title: str, auto: Any, config: Any, weights: Path | None) -> tuple[nn.Module, bool]:
    """Return a new network, or one with the weights in a folder, and whether they are all of it."""
    try:
        if weights is None:
            return auto.from_config(config), True
        network, found = auto.from_pretrained(
            weights,
            config=config,
            ignore_mismatched_sizes=True,
            local_files_only=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (*REFUSALS, OSError) as error:
        raise UsageError(f"model: {title} cannot be made: {first_line(error)}") from error
    return network, not found["missing_keys"]


def _stated(title: str, options: dict[str, Any]) -> _Place | None:
    """Return what `model.config` and `model.preprocessor` state, and take them out of the options; None: they do not."""
    config, preprocessor = options.pop("config", None), options.pop("preprocessor", None)
    for key, value in (("config", config), ("preprocessor", preprocessor)):
        if not isinstance(value, Mapping | None):
            raise UsageError(f"model.{key}: {value!r} is not what stands in a configuration of {title}")
    return None if config is None else _Place(dict(config), preprocessor and dict(preprocessor))


def _find(name: str, transformers: Any) -> _Place:
    """Return what there is at a place."""
    place = Path(name).expanduser()
    if place.is_file():
        return _Place(_read(name, place), None, place.parent)
    wanted = (_CONFIG, _PREPROCESSOR, *_WEIGHTS)
    files = {each: place / each for each in wanted if (place / each).is_file()}
    if place.is_dir() and _CONFIG not in files:
        raise UsageError(f"model: hf:{name}: the folder has no {_CONFIG}")
    if not place.is_dir():
        files = _cached(name, wanted, transformers)
    preprocessor = _read(name, files[_PREPROCESSOR]) if _PREPROCESSOR in files else None
    weights = next((files[each] for each in _WEIGHTS if each in files), None)
    return _Place(_read(name, files[_CONFIG]), preprocessor, files[_CONFIG].parent, weights)


def _cached(name: str, wanted: Sequence[str], transformers: Any) -> dict[str, Path]:
    """Return the files that the hub's cache holds, by name."""
    missing = f"model: hf:{name} is no folder or file here, and the hub's cache does not hold it; hf download {name}"
    try:
        found = {
            each: transformers.utils.cached_file(
                name, each, local_files_only=True, _raise_exceptions_for_missing_entries=False
            )
            for each in wanted
        }
    except (OSError, ValueError) as error:
        raise UsageError(missing) from error
    files = {each: Path(path) for each, path in found.items() if path is not None}
    if _CONFIG not in files:
        raise UsageError(missing)
    return files


def _read(name: str, path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, *REFUSALS) as error:
        raise UsageError(f"model: hf:{name}: {path.name} is no configuration: {first_line(error)}") from error


def _config(title: str, values: Mapping[str, Any], options: Mapping[str, Any], transformers: Any) -> Any:
    try:
        config = transformers.AutoConfig.for_model(**values)
    except (OSError, *REFUSALS) as error:
        raise UsageError(f"model: {title}: {_CONFIG} is no configuration: {first_line(error)}") from error
    known = config.to_dict()
    for key in options:
        if key not in known:
            near = ", ".join(difflib.get_close_matches(key, known, n=3, cutoff=0.4)) or ", ".join(sorted(known))
            raise UsageError(f"model.{key}: {title} has no such key; near: {near}")
    return transformers.AutoConfig.for_model(**{**values, **options})


def _own(
    network: nn.Module, config: Any, preprocessor: Mapping[str, Any] | None, trained_classes: int | None
) -> NativePreprocessing:
    """Return what the configuration and the preprocessor's file state."""
    stated = config.to_dict()
    size = _pair(stated.get("image_size"))
    is_fixed = any(name.rpartition(".")[2] in _POSITIONS for name, _ in network.named_parameters())
    reading = preprocessor or {}
    mean, std = (tuple(float(value) for value in reading.get(key) or ()) for key in ("image_mean", "image_std"))
    if reading.get("do_normalize") is False:
        mean, std = (0.0,), (1.0,)
    return NativePreprocessing(
        channels=int(stated.get("num_channels") or 3),
        fixed_size=size if is_fixed else None,
        trained_size=_pair(reading.get("crop_size") or reading.get("size")) or size,
        mean=mean,
        std=std,
        trained_classes=trained_classes,
    )


def _pair(size: Any) -> tuple[int, int] | None:
    """Return height and width of a side, a pair or a mapping."""
    if isinstance(size, Mapping):
        sides = [size[key] for key in ("height", "width") if key in size] or [size.get("shortest_edge")]
    else:
        sides = list(size) if isinstance(size, list | tuple) else [size]
    if not sides or sides[0] is None:
        return None
    return int(sides[0]), int(sides[-1])
