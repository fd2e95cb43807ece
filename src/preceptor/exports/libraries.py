"""Which library besides this one opens an exported network, and the files that it expects in a folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from torch import nn

from preceptor.exports.hf_files import (
    TOKENIZER_FILES,
    hf_config,
    image_processor,
    is_of_transformers,
    tokenizer_files,
)
from preceptor.exports.native import NativeImages, native_images
from preceptor.exports.timm_files import is_of_timm, remakes, timm_config
from preceptor.models import Adapted, ModelMetadata, TextClassifier

__all__ = ["LIBRARY_FILES", "Library", "LibraryFiles", "library_files"]

Library = Literal["preceptor", "timm", "transformers", "torchvision", "huggingface_hub"]

_MODES = {1: "L", 3: "RGB"}  # of Pillow
_NO_ARGUMENTS = ("name", "logits", "normalisation", "resolution", "weights")  # of torchvision's constructors

_TIMM_NETWORK = """import timm

theirs = timm.create_model("local-dir:FOLDER", pretrained=True).eval()"""
_TIMM = """import timm
from PIL import Image

theirs = timm.create_model("local-dir:FOLDER", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(theirs))
their_logits = theirs(transform(Image.open("image.png").convert("{mode}"))[None])"""
_HF_NETWORK = """import transformers

theirs = transformers.AutoModelForImageClassification.from_pretrained("FOLDER")"""
_HF_IMAGES = """import transformers

found = transformers.pipeline("image-classification", model="FOLDER")("image.png")"""
_HF_GREY = """import transformers
from PIL import Image

theirs = transformers.AutoModelForImageClassification.from_pretrained("FOLDER")
processor = transformers.AutoImageProcessor.from_pretrained("FOLDER")
their_logits = theirs(**processor(Image.open("image.png").convert("L"), return_tensors="pt")).logits"""
_HF_TEXTS = """import transformers

found = transformers.pipeline("text-classification", model="FOLDER")("a sentence", truncation=True)"""
_TORCHVISION = """import safetensors.torch
import torchvision

theirs = torchvision.models.get_model({arguments}).eval()
theirs.load_state_dict(safetensors.torch.load_file("FOLDER/model.safetensors"))"""

_CONFIG, _PROCESSOR = "config.json", "preprocessor_config.json"
LIBRARY_FILES = (_CONFIG, _PROCESSOR, *TOKENIZER_FILES)  # the names of all files that stand here for another library


@dataclass(frozen=True, slots=True)
class LibraryFiles:
    """What another library needs beside the weights.

    Attributes:
        library: that opens the folder; of torchvision, whose networks are made by name; huggingface_hub: by a class of the user's
            with its mixin; preceptor: no other.
        files: their content by name.
        lines: of Python that open the folder with that library alone.
        notes: what it cannot be given, and why.
    """

    library: Library = "preceptor"
    files: Mapping[str, bytes] = field(default_factory=dict)
    lines: str = ""
    notes: tuple[str, ...] = ()


def library_files(network: nn.Module, metadata: ModelMetadata, outputs: int, tokenizer: str | None) -> LibraryFiles:
    """Return the library that opens a network under its own names, and its files.

    Args:
        network: with its weights.
        metadata: of the network.
        outputs: width of its output; a library that reads class names needs one each.
        tokenizer: the folder of the tokenizer that the run's texts were read with, where it says.
    """
    bare = network.bare if isinstance(network, Adapted) else network
    bare = bare.network if isinstance(bare, TextClassifier) else bare
    if (of_mixin := _of_mixin(bare)) is not None:
        return of_mixin
    if outputs != len(metadata.class_names):
        return LibraryFiles()
    if metadata.vocabulary is not None:
        return _of_texts(network, bare, metadata, tokenizer) or LibraryFiles()
    images = native_images(network, metadata)
    if images is None:
        return LibraryFiles()
    return (
        _of_timm(bare, metadata, images)
        or _of_images(bare, metadata, images)
        or (_of_torchvision(metadata) if isinstance(network, Adapted) else None)  # in no wrapper of a student
        or LibraryFiles()
    )


def _of_mixin(bare: nn.Module) -> LibraryFiles | None:
    """Return what `from_pretrained` of a class with huggingface_hub's mixin reads: the arguments it was made with."""
    hub: Any = sys.modules.get("huggingface_hub")  # whoever made the network has imported it
    if hub is None or not isinstance(bare, hub.PyTorchModelHubMixin):
        return None
    network: Any = bare
    with TemporaryDirectory() as place:
        network.save_pretrained(place)
        config = Path(place, _CONFIG)
        files = {_CONFIG: config.read_bytes()} if config.is_file() else {}
    name = type(bare).__name__
    return LibraryFiles("huggingface_hub", files, f'theirs = {name}.from_pretrained("FOLDER")  # your class {name}')


def _of_timm(bare: nn.Module, metadata: ModelMetadata, images: NativeImages) -> LibraryFiles | None:
    if not is_of_timm(bare):
        return None
    is_named = str(metadata.model["name"]).startswith("timm:")
    config = timm_config(bare, images, metadata.class_names, metadata.model if is_named else None)
    if not is_named and not remakes(bare, config):
        return None
    lines = _TIMM.format(mode=_MODES.get(images.channels)) if images.are_pixels else _TIMM_NETWORK
    return LibraryFiles("timm", {_CONFIG: _json(config)}, lines)


def _of_images(bare: nn.Module, metadata: ModelMetadata, images: NativeImages) -> LibraryFiles | None:
    if not is_of_transformers(bare, is_text=False):
        return None
    config_file = {_CONFIG: _json(hf_config(bare, metadata))}
    if not images.are_pixels:
        return LibraryFiles("transformers", config_file, _HF_NETWORK)
    lines = _HF_IMAGES if images.channels == 3 else _HF_GREY
    return LibraryFiles("transformers", {**config_file, _PROCESSOR: _json(image_processor(images))}, lines)


def _of_texts(
    network: nn.Module, bare: nn.Module, metadata: ModelMetadata, tokenizer: str | None
) -> LibraryFiles | None:
    if not is_of_transformers(bare, is_text=True):
        return None
    config_file, found = {_CONFIG: _json(hf_config(bare, metadata))}, _tokenizer(network, metadata, tokenizer)
    if found:
        return LibraryFiles("transformers", {**config_file, **found}, _HF_TEXTS)
    return LibraryFiles("transformers", config_file, notes=(_no_tokenizer(tokenizer),))


def _of_torchvision(metadata: ModelMetadata) -> LibraryFiles | None:
    """Return lines that make the network by its name: torchvision has no folders."""
    kind, _, name = str(metadata.model["name"]).partition(":")
    if kind != "torchvision":
        return None
    options = {key: value for key, value in metadata.model.items() if key not in _NO_ARGUMENTS and value is not None}
    arguments = {"num_classes": len(metadata.class_names), **options}
    written = ", ".join((repr(name), *(f"{key}={value!r}" for key, value in arguments.items())))
    return LibraryFiles("torchvision", lines=_TORCHVISION.format(arguments=written))


def _tokenizer(network: nn.Module, metadata: ModelMetadata, tokenizer: str | None) -> Mapping[str, bytes]:
    classifier = network.network if isinstance(network, Adapted) else network
    if tokenizer is None or metadata.vocabulary is None or not isinstance(classifier, TextClassifier):
        return {}
    folder, length = Path(tokenizer).expanduser(), metadata.input_shape[1]
    return tokenizer_files(folder, metadata.vocabulary, length, classifier.arguments)


def _no_tokenizer(tokenizer: str | None) -> str:
    where = "the run names none" if tokenizer is None else f"{tokenizer} is not the one of the run any more"
    return f"hub-folder: no tokenizer beside the network ({where}); pipeline() needs one there"


def _json(values: Mapping[str, Any]) -> bytes:
    return (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode()
