"""`hf:PLACE`: classifiers of images, or of texts, of the transformers library.

PLACE is a folder with config.json (its weights, if any, are loaded), a configuration file, or a name in the hub's cache on
this machine; nothing is downloaded, and no code that these name is run. Further keys are those of the configuration;
`model.pretrained=false` leaves the weights out. The content of these files is recorded with a run and its exports as
`model.config` and `model.preprocessor`, which then replace the place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, TypeAdapter, ValidationError
from torch import nn

from preceptor.documents import parse_json
from preceptor.errors import UsageError
from preceptor.extras import fit_torchvision, import_extra
from preceptor.messages import did_you_mean, first_line
from preceptor.models.adapters.adapted import REFUSALS, wrap_network
from preceptor.models.adapters.class_names import config_names
from preceptor.models.adapters.hf_texts import check_tokenizer, fit_texts, wrap_texts
from preceptor.models.adapters.hub import check_config, offline
from preceptor.models.adapters.input_adapter import DataSpec
from preceptor.models.adapters.preprocessing import NativePreprocessing, check_outputs, image_shape, split_preprocessing
from preceptor.reading import read_text

__all__ = ["make"]

_CONFIG, _PREPROCESSOR = "config.json", "preprocessor_config.json"
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_MOST_CONFIG = 2**24  # bytes
_NUMBERS = TypeAdapter(tuple[Annotated[float, Field(allow_inf_nan=False)], ...])
_POSITIONS = ("position_embeddings", "pos_embed", "relative_position_bias_table")


@dataclass(frozen=True, slots=True)
class _Files:
    """The content of a network's files, and where they lie; folder None: the content was recorded, there are no files."""

    config: dict[str, Any]
    preprocessor: dict[str, Any] | None
    folder: Path | None = None
    weights: Path | None = None


def make(name: str, data_spec: DataSpec, options: Mapping[str, Any], *, loads_weights: bool) -> nn.Module:
    """Return a classifier of images, for which a single channel is repeated where it reads three, or of texts.

    A final layer of another width is replaced by a new one.

    Args:
        name: the place.
        data_spec: what it will be given.
        options: further keys.
        loads_weights: whether weights will be loaded into it; it then does not load its own.

    Raises:
        UsageError: for a missing place, one without a classifier of such samples, unknown keys, or samples that it cannot
            read.
    """
    title, vocabulary = f"hf:{name}", data_spec.vocabulary
    if vocabulary is None:
        image_shape(title, data_spec)
    transformers = import_extra("transformers", "hf", needed_by=title)
    fit_torchvision()
    overrides, rest = split_preprocessing(options)
    files = _recorded(title, rest) or _find(name, transformers)
    is_pretrained = bool(rest.pop("pretrained", files.weights is not None)) and files.folder is not None
    pretrained = files.folder if is_pretrained and not loads_weights else None
    rest = check_outputs(rest, "num_labels", data_spec.num_classes)
    config = _config(title, files.config, rest, transformers)
    trained_classes = int(config.num_labels) if is_pretrained else None
    names = config_names(config) if files.folder is not None and (is_pretrained or loads_weights) else ()
    config.num_labels = data_spec.num_classes
    if vocabulary is not None:
        keeps_padding = is_pretrained or "pad_token_id" in rest or files.folder is None
        fit_texts(title, config, data_spec, vocabulary, keeps_padding=keeps_padding)
        if pretrained is not None:
            check_tokenizer(title, pretrained, vocabulary, transformers)
    images, texts = transformers.AutoModelForImageClassification, transformers.AutoModelForSequenceClassification
    network, is_complete = _network(title, images if vocabulary is None else texts, config, pretrained)
    if is_pretrained and not is_complete:
        trained_classes, names = 0, ()
    if vocabulary is None:
        native = _native(network, config, files.preprocessor, trained_classes)
    else:
        network, native = wrap_texts(network, config, data_spec, trained_classes)
    recorded = {"config": json.loads(config.to_json_string(use_diff=False)), "preprocessor": files.preprocessor}
    native = replace(native, options=recorded, class_names=names)
    return wrap_network(title, network, data_spec, native, overrides, loads_weights=loads_weights)


def _network(title: str, auto: Any, config: Any, folder: Path | None) -> tuple[nn.Module, bool]:
    """Return a new network, or one with the weights in a folder, and whether no weight is missing."""
    try:
        with offline():
            if folder is None:
                return auto.from_config(config, trust_remote_code=False), True
            network, loading = auto.from_pretrained(
                folder,
                config=config,
                ignore_mismatched_sizes=True,
                local_files_only=True,
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except (*REFUSALS, OSError) as error:
        raise UsageError(f"model: {title} cannot be made: {first_line(error)}") from error
    return network, not loading["missing_keys"]


def _recorded(title: str, options: dict[str, Any]) -> _Files | None:
    """Return the content of `model.config` and `model.preprocessor`, and take them out of the options; None: not there."""
    config, preprocessor = options.pop("config", None), options.pop("preprocessor", None)
    for key, value in (("config", config), ("preprocessor", preprocessor)):
        if not isinstance(value, Mapping | None):
            raise UsageError(f"model.{key}: {value!r} is no mapping of a configuration's keys ({title})")
    return None if config is None else _Files(dict(config), preprocessor and dict(preprocessor))


def _find(name: str, transformers: Any) -> _Files:
    """Return the files at a place."""
    place = Path(name).expanduser()
    if place.is_file():
        return _Files(_read(name, place), None, place.parent)
    wanted = (_CONFIG, _PREPROCESSOR, *_WEIGHTS)
    files = {each: place / each for each in wanted if (place / each).is_file()}
    if place.is_dir() and _CONFIG not in files:
        raise UsageError(f"model: hf:{name}: the folder has no {_CONFIG}")
    if not place.is_dir():
        files = _cached(name, wanted, transformers)
    preprocessor = _read(name, files[_PREPROCESSOR]) if _PREPROCESSOR in files else None
    weights = next((files[each] for each in _WEIGHTS if each in files), None)
    return _Files(_read(name, files[_CONFIG]), preprocessor, files[_CONFIG].parent, weights)


def _cached(name: str, wanted: Sequence[str], transformers: Any) -> dict[str, Path]:
    """Return the files that the hub's cache holds, by name."""
    missing = f"model: hf:{name} is no folder or file here, and the hub's cache does not hold it; hf download {name}"
    try:
        with offline():
            paths = {
                each: transformers.utils.cached_file(
                    name, each, local_files_only=True, _raise_exceptions_for_missing_entries=False
                )
                for each in wanted
            }
    except (OSError, ValueError) as error:
        raise UsageError(missing) from error
    files = {each: Path(path) for each, path in paths.items() if path is not None}
    if _CONFIG not in files:
        raise UsageError(missing)
    return files


def _read(name: str, path: Path) -> dict[str, Any]:
    where = f"model: hf:{name}: "
    values = parse_json(read_text(path, where, most=_MOST_CONFIG), f"{where}{path.name} is no configuration")
    if not isinstance(values, dict):
        raise UsageError(f"{where}{path.name} is no configuration: it holds no keys")
    return values


def _config(title: str, values: Mapping[str, Any], options: Mapping[str, Any], transformers: Any) -> Any:
    check_config(title, {**values, **options})
    try:
        config = transformers.AutoConfig.for_model(**values)
    except (OSError, *REFUSALS) as error:
        raise UsageError(f"model: {title}: {_CONFIG} is no configuration: {first_line(error)}") from error
    known = config.to_dict()
    for key in options:
        if key not in known:
            raise UsageError(f"model.{key}: {title} has no such key{did_you_mean(key, sorted(known))}")
    return transformers.AutoConfig.for_model(**{**values, **options})


def _native(
    network: nn.Module, config: Any, preprocessor: Mapping[str, Any] | None, trained_classes: int | None
) -> NativePreprocessing:
    """Return what the configuration and the preprocessor state."""
    values = config.to_dict()
    size = _pair(values.get("image_size"))
    is_fixed = any(name.rpartition(".")[2] in _POSITIONS for name, _ in network.named_parameters())
    preprocessor = preprocessor or {}
    mean, std = (_numbers(preprocessor.get(key) or (), key) for key in ("image_mean", "image_std"))
    if len(mean) != len(std) or any(value <= 0 for value in std):
        raise UsageError(f"model: {_PREPROCESSOR}: image_mean {mean} and image_std {std} normalise nothing")
    if preprocessor.get("do_normalize") is False:
        mean, std = (0.0,), (1.0,)
    return NativePreprocessing(
        channels=int(values.get("num_channels") or 3),
        fixed_size=size if is_fixed else None,
        trained_size=_pair(preprocessor.get("crop_size") or preprocessor.get("size")) or size,
        mean=mean,
        std=std,
        trained_classes=trained_classes,
    )


def _numbers(values: Any, key: str) -> tuple[float, ...]:
    try:
        return _NUMBERS.validate_python(values)
    except ValidationError as error:
        raise UsageError(f"model: {_PREPROCESSOR}: {key}: {values!r} are no numbers, one per channel") from error


def _pair(size: Any) -> tuple[int, int] | None:
    """Return height and width of a side, a pair or a mapping."""
    if isinstance(size, Mapping):
        sides = [size[key] for key in ("height", "width") if key in size] or [size.get("shortest_edge")]
    else:
        sides = list(size) if isinstance(size, list | tuple) else [size]
    if not sides or sides[0] is None:
        return None
    return int(sides[0]), int(sides[-1])
