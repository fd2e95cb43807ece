"""The files of transformers: no path of this machine, no code, the run's crop and the run's tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from preceptor.exports.hf_files import hf_config, image_processor, is_of_transformers, tokenizer_files
from preceptor.exports.native import NativeImages
from preceptor.models import ModelMetadata
from preceptor.types import Preprocessing, Vocabulary

transformers: Any = pytest.importorskip("transformers")

from sentences import WORDS, save_tokenizer  # noqa: E402  # needs the extra

VIT = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "patch_size": 4}
PAIR = ("input_ids", "attention_mask")


def network(**more: object) -> Any:
    return transformers.ViTForImageClassification(transformers.ViTConfig(**VIT, image_size=8, **more))


def metadata(task: Any = "multiclass") -> ModelMetadata:
    names, shape = ("cat", "dog"), (3, 8, 8)
    return ModelMetadata({"name": "hf:x"}, names, shape, "uint8", Preprocessing(channels=3), task=task)


def test_a_config_has_the_class_names_and_neither_code_nor_a_path() -> None:
    made = network()
    made.config._name_or_path = "/somewhere/here"
    made.config.auto_map = {"AutoModelForImageClassification": "canary.Net"}
    values = hf_config(made, metadata())
    assert values["architectures"] == ["ViTForImageClassification"]
    assert values["id2label"] == {"0": "cat", "1": "dog"}
    assert "somewhere" not in json.dumps(values)
    assert "canary" not in json.dumps(values)
    assert made.config.auto_map  # the network's own stays as it is
    assert values["problem_type"] == "single_label_classification"
    assert hf_config(made, metadata("multilabel"))["problem_type"] == "multi_label_classification"


def test_only_what_the_auto_class_makes_again_is_of_transformers() -> None:
    made = network()
    assert is_of_transformers(made, is_text=False)
    assert not is_of_transformers(made, is_text=True)
    made.classifier = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2))
    assert not is_of_transformers(made, is_text=False)
    assert not is_of_transformers(nn.Linear(2, 2), is_text=False)


def test_an_image_is_scaled_and_cropped_or_where_it_is_not_square_squeezed() -> None:
    square = NativeImages(3, (32, 32), (0.5,) * 3, (0.2,) * 3, 0.8, are_pixels=True)
    values = image_processor(square)
    assert (values["size"], values["crop_size"]) == ({"shortest_edge": 40}, {"height": 32, "width": 32})
    wide = image_processor(NativeImages(1, (16, 32), (0.5,), (0.2,), 0.8, are_pixels=True))
    assert (wide["size"], wide["do_center_crop"]) == ({"height": 16, "width": 32}, False)
    assert (wide["do_convert_rgb"], wide["image_mean"]) == (False, [0.5])


def test_the_tokenizer_is_the_runs_or_none(tmp_path: Path) -> None:
    folder = save_tokenizer(tmp_path / "tokenizer")
    loaded = transformers.AutoTokenizer.from_pretrained(folder)
    vocabulary = Vocabulary.of(loaded.get_vocab(), loaded.pad_token_id)
    files = tokenizer_files(folder, vocabulary, 8, PAIR)
    assert {"tokenizer.json", "tokenizer_config.json"} <= set(files)
    assert str(tmp_path).encode() not in b"".join(files.values())
    (tmp_path / "again").mkdir()
    for name, content in files.items():
        (tmp_path / "again" / name).write_bytes(content)
    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "again")
    assert again.model_max_length == 8
    assert tuple(again("the film was good")) == PAIR
    other = save_tokenizer(tmp_path / "other", [*WORDS[:4], *reversed(WORDS[4:])])
    assert tokenizer_files(other, vocabulary, 8, PAIR) == {}
    assert tokenizer_files(tmp_path / "missing", vocabulary, 8, PAIR) == {}
