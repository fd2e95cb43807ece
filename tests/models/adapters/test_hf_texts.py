"""Classifiers of texts by the name of their configuration: what they take, what they offer, what does not go together."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from preceptor.errors import UsageError
from preceptor.models import Adapted, DataSpec, feature_names, load_weights, make, observe, random_texts, save_weights
from preceptor.types import Vocabulary

transformers = pytest.importorskip("transformers")

from sentences import WORDS, save_bert, save_tokenizer  # noqa: E402  # needs the extra

VOCABULARY = Vocabulary.of({word: number for number, word in enumerate(WORDS)}, 0)
TEXTS = DataSpec(3, (2, 12), vocabulary=VOCABULARY)
PAIRS = replace(TEXTS, shape=(3, 12))


def adapted(place: Path, samples: DataSpec = TEXTS, *, loads_weights: bool = False, **options: object) -> Adapted:
    network = make(f"hf:{place}", samples, options, loads_weights=loads_weights)
    assert isinstance(network, Adapted)
    return network.eval()


def library(model: Adapted) -> Any:
    """Return the network that transformers made."""
    return model.bare


def small(kind: str, folder: Path) -> Path:
    sizes = {"vocab_size": len(WORDS), "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16}
    configs: dict[str, Any] = {
        "bert": transformers.BertConfig(**sizes, num_hidden_layers=5),
        "roberta": transformers.RobertaConfig(**sizes, num_hidden_layers=5, type_vocab_size=1),
        "distilbert": transformers.DistilBertConfig(vocab_size=len(WORDS), dim=8, n_layers=5, n_heads=2, hidden_dim=16),
        "gpt2": transformers.GPT2Config(vocab_size=len(WORDS), n_embd=8, n_layer=5, n_head=2, n_positions=16),
    }
    configs[kind].save_pretrained(folder / kind)
    return folder / kind


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "gpt2"])
def test_features_are_the_hidden_states_of_the_library(kind: str, tmp_path: Path) -> None:
    model = adapted(small(kind, tmp_path))
    assert feature_names(model) == ("block1", "block2", "block3", "block4", "pooled")
    texts = random_texts((2, 12), VOCABULARY, 3)
    numbers, mask = texts.long().unbind(1)
    outputs = observe(model)(texts)
    with torch.no_grad():
        said = library(model)(input_ids=numbers, attention_mask=mask, output_hidden_states=True)
    torch.testing.assert_close(outputs.logits, said.logits)
    # hidden_states[0] is what enters the first layer; GPT-2 normalises the last one
    for block, layer in zip(("block1", "block2", "block3"), (1, 2, 3), strict=True):
        column = outputs.features[block]
        assert column.shape == (3, 8, 12, 1)
        torch.testing.assert_close(column[..., 0].transpose(1, 2), said.hidden_states[layer])
    assert outputs.features["pooled"].shape == (3, 8)


def test_paths_and_files_have_the_names_of_the_library(tmp_path: Path) -> None:
    model = adapted(save_bert(tmp_path / "bert", 8, 2))
    names = ["bert.encoder.layer.0", "bert.embeddings", "bert.pooler", "classifier:input"]
    found = observe(model, names)(random_texts((2, 12), VOCABULARY, 2)).features
    assert [tuple(found[name].shape) for name in names] == [(2, 8, 12, 1), (2, 8, 12, 1), (2, 8), (2, 8)]
    save_weights(model, tmp_path / "w.safetensors")
    plain = transformers.AutoModelForSequenceClassification.from_config(library(model).config)
    load_weights(plain, tmp_path / "w.safetensors")
    assert torch.equal(plain.classifier.weight, model.bare.get_parameter("classifier.weight"))


def test_padding_is_the_tokenizers_and_says_nothing(tmp_path: Path) -> None:
    """A text answers alike with more padding, also where the network finds its end by it."""
    for kind in ("bert", "roberta", "gpt2"):
        model = adapted(small(kind, tmp_path))
        short, long = torch.zeros(1, 2, 6), torch.zeros(1, 2, 12)
        for text in (short, long):
            text[0, 0, :4], text[0, 1, :4] = torch.tensor([2.0, 8.0, 9.0, 3.0]), 1.0
        with torch.no_grad():
            torch.testing.assert_close(model(short), model(long))


def test_pairs_and_networks_that_are_not_told_them(tmp_path: Path) -> None:
    pairs = random_texts((3, 12), VOCABULARY, 2)
    for kind, is_told in (("bert", True), ("roberta", False), ("distilbert", False)):
        model = adapted(small(kind, tmp_path), PAIRS)
        assert model.note == ("" if is_told else "is not told which sentence a token is of")
        other = pairs.clone()
        other[:, 2] = 0
        with torch.no_grad():
            assert torch.equal(model(pairs), model(other)) is not is_told


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with weights, and the tokenizer of its texts beside them."""
    folder = save_tokenizer(tmp_path_factory.mktemp("trained"))
    config = transformers.AutoConfig.from_pretrained(save_bert(tmp_path_factory.mktemp("config"), 8, 1, num_labels=3))
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_weights_in_the_folder_are_loaded(trained: Path, tmp_path: Path) -> None:
    model = adapted(trained)
    source = transformers.AutoModelForSequenceClassification.from_pretrained(trained)
    assert torch.equal(model.bare.get_parameter("classifier.weight"), source.classifier.weight)
    assert (model.note, model.trained_classes) == ("", 3)
    other = adapted(trained, replace(TEXTS, num_classes=2))
    assert "a new classifier of 2 outputs in place of 3" in other.note
    source.bert.save_pretrained(tmp_path / "body")
    body = adapted(tmp_path / "body")
    assert (body.note, body.trained_classes) == ("a new classifier of 3 outputs", 0)
    assert torch.equal(
        body.bare.get_parameter("bert.encoder.layer.0.output.dense.weight"),
        source.bert.encoder.layer[0].output.dense.weight,
    )


def test_weights_of_another_tokenizer_are_refused(trained: Path, tmp_path: Path) -> None:
    turned = Vocabulary.of({word: number for number, word in enumerate(reversed(WORDS))}, 0)
    with pytest.raises(UsageError, match=r"was trained with another tokenizer than the data's; data\.tokenizer="):
        adapted(trained, replace(TEXTS, vocabulary=turned))
    adapted(trained, replace(TEXTS, vocabulary=turned), pretrained=False)  # random weights know no token yet
    adapted(trained, replace(TEXTS, vocabulary=turned), loads_weights=True)  # others will be loaded


@pytest.mark.parametrize(
    ("samples", "options", "said"),
    [
        (
            TEXTS,
            {"vocab_size": 5},
            "knows 5 tokens, and the tokenizer of the data writes 20; take one that goes with it",
        ),
        (replace(TEXTS, shape=(2, 32)), {}, "reads up to 16 tokens, and texts are 32 long; data.length=16"),
        (TEXTS, {"num_labels": 5}, "model.num_labels: 5, and the data have 3 classes"),
        (TEXTS, {"resolution": 32}, "model.resolution: is for images, and the samples are texts"),
        (TEXTS, {"normalisation": "own"}, "model.normalisation: is for images, and the samples are texts"),
        (DataSpec(3, (2, 12)), {}, "is for images, and the samples have shape (2, 12)"),
        (DataSpec(3, (3, 16, 16)), {}, "cannot be made: Unrecognized configuration class"),
    ],
)
def test_what_does_not_go_together_is_named(
    samples: DataSpec, options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    place = save_bert(tmp_path / "bert", 8, 1)
    with pytest.raises(UsageError, match=re.escape(said)) as caught:
        make(f"hf:{place}", samples, options)
    assert "\n" not in str(caught.value)


def test_a_network_of_images_reads_no_texts(tmp_path: Path) -> None:
    transformers.ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2).save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=r"hf:.* cannot be made: Unrecognized configuration class"):
        make(f"hf:{tmp_path}", TEXTS)
