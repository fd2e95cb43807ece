"""The files of transformers: its config.json, and the image processor's or the tokenizer's, as `from_pretrained` reads them."""

from __future__ import annotations

import copy
import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import nn

from preceptor.exports.native import NativeImages
from preceptor.models import ModelMetadata
from preceptor.models.adapters.adapted import REFUSALS
from preceptor.models.adapters.hub import offline
from preceptor.types import Vocabulary

__all__ = ["TOKENIZER_FILES", "hf_config", "image_processor", "is_of_transformers", "tokenizer_files"]

TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model"),
)
_BILINEAR = 2  # of Pillow
_LEFT_OUT = ("_name_or_path", "auto_map")  # a place on this machine, and code that is not in the folder


def is_of_transformers(network: nn.Module, *, is_text: bool) -> bool:
    """Return whether a network is a classifier that transformers' Auto class makes of its configuration.

    Args:
        network: with its weights.
        is_text: whether it reads texts, or images.
    """
    if not type(network).__module__.startswith("transformers."):
        return False
    try:
        with offline():
            made = _auto(is_text=is_text).from_config(copy.deepcopy(vars(network)["config"]), trust_remote_code=False)
    except (*REFUSALS, OSError):
        return False
    shapes = [{name: value.shape for name, value in each.state_dict().items()} for each in (network, made)]
    return type(made) is type(network) and shapes[0] == shapes[1]


def hf_config(network: nn.Module, metadata: ModelMetadata) -> dict[str, Any]:
    """Return the content of transformers' config.json, with the class names.

    Args:
        network: of transformers, with one output per class.
        metadata: of the network.
    """
    config: Any = copy.deepcopy(vars(network)["config"])
    config.id2label = dict(enumerate(metadata.class_names))
    config.label2id = {name: number for number, name in config.id2label.items()}
    config.architectures = [type(network).__name__]
    config.problem_type = (
        "multi_label_classification" if metadata.task == "multilabel" else "single_label_classification"
    )
    values: dict[str, Any] = json.loads(config.to_json_string())
    return {key: value for key, value in values.items() if key not in _LEFT_OUT}


def image_processor(images: NativeImages) -> dict[str, Any]:
    """Return the content of preprocessor_config.json: scale, crop to the centre, and normalise as the run did.

    Where height and width differ, an image is scaled to them without a crop: transformers has no such crop.
    """
    (height, width), scaled = images.size, images.scaled_size
    is_square = height == width
    return {
        "image_processor_type": "CLIPImageProcessor",  # the plainest one; it goes with any network
        "do_convert_rgb": images.channels == 3,
        "do_resize": True,
        "size": {"shortest_edge": scaled[0]} if is_square else {"height": height, "width": width},
        "resample": _BILINEAR,
        "do_center_crop": is_square,
        "crop_size": {"height": height, "width": width},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(images.mean),
        "image_std": list(images.std),
    }


def tokenizer_files(
    folder: Path, vocabulary: Vocabulary, length: int, arguments: tuple[str, ...]
) -> Mapping[str, bytes]:
    """Return a tokenizer's files by name; none where there is no such tokenizer.

    Args:
        folder: of the tokenizer that the data were read with.
        vocabulary: that it must have.
        length: of a text in tokens, to which longer ones are truncated.
        arguments: that the network takes.
    """
    transformers: Any = importlib.import_module("transformers")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
        if Vocabulary.of(tokenizer.get_vocab(), vocabulary.padding) != vocabulary:
            return {}
    except (OSError, *REFUSALS):
        return {}
    tokenizer.model_max_length = length
    tokenizer.model_input_names = list(arguments)
    with TemporaryDirectory() as place:
        tokenizer.save_pretrained(place)
        files = {name: Path(place, name) for name in TOKENIZER_FILES}
        return {name: path.read_bytes() for name, path in files.items() if path.is_file()}


def _auto(*, is_text: bool) -> Any:
    transformers: Any = importlib.import_module("transformers")
    return transformers.AutoModelForSequenceClassification if is_text else transformers.AutoModelForImageClassification
