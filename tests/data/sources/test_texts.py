from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import torch

import preceptor
from preceptor.data import load
from preceptor.errors import UsageError
from preceptor.extras import import_torchvision
from preceptor.models import TextClassifier
from preceptor.types import Vocabulary

transformers = pytest.importorskip("transformers")

from sentences import WORDS, reviews, save_tokenizer, write  # noqa: E402  # needs the extra


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def sst(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sst")
    write(root / "train.tsv", reviews(300, 0))
    write(root / "dev.tsv", reviews(80, 1))
    write(root / "test.tsv", [("0", "the film was good")], ("index", "sentence"))
    return root


def test_sentences_become_numbers_and_a_mask(tokenizer: Path, tmp_path: Path) -> None:
    rows = [("the film was good", "1"), ("null", "0"), ('dull "', "0"), ("the book was the book was bad", "0")]
    write(tmp_path / "train.tsv", rows)
    write(tmp_path / "test.tsv", rows[:2])
    data = load(f"text:{tmp_path}", options={"tokenizer": str(tokenizer), "length": 6}, validation=0)
    place = {word: number for number, word in enumerate(WORDS)}
    inputs = data.train.inputs(torch.arange(4))
    assert inputs.shape == (4, 2, 6)
    assert inputs[0, 0].tolist() == [2, place["the"], place["film"], place["was"], place["good"], 3]
    assert inputs[1].tolist() == [[2, place["null"], 3, 0, 0, 0], [1, 1, 1, 0, 0, 0]]
    assert inputs[2, 0].tolist() == [2, place["dull"], 1, 3, 0, 0]  # a quotation mark is a character like others
    assert data.train.labels.tolist() == [1, 0, 0, 0]
    assert any("1 sentences are longer than 6 tokens" in note for note in data.notes)
    assert data.vocabulary == Vocabulary.of(place, 0)
    assert data.vocabulary.size == len(WORDS)


def test_pairs_say_which_sentence_a_token_is_of(tokenizer: Path, tmp_path: Path) -> None:
    with (tmp_path / "pairs.csv").open("w") as opened:
        opened.write("sentence1,sentence2,label\n" + "film,good plot,yes\n" * 6 + "film,bad,no\n" * 6)
    options = {"tokenizer": str(tokenizer), "length": 8, "pair": "sentence2"}
    data = load(f"text:{tmp_path / 'pairs.csv'}", options=options, validation=0)
    assert data.class_names == ("no", "yes")
    (row,) = data.train.inputs(torch.tensor([0]))
    assert row[1:].tolist() == [[1, 1, 1, 1, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1, 0, 0]]
    assert len(data.test) == 2


def test_a_test_file_without_labels_is_skipped(sst: Path, tokenizer: Path) -> None:
    data = load(f"text:{sst}", options={"tokenizer": str(tokenizer), "length": 8})
    assert (len(data.train), len(data.validation), len(data.test)) == (270, 30, 80)
    assert any("test.tsv has no labels and is skipped" in note for note in data.notes)
    assert any("tested on dev" in note for note in data.notes)


def bert(width: int, layers: int) -> TextClassifier:
    with contextlib.suppress(
        UsageError
    ):  # transformers does without torchvision, but not with one that cannot be imported
        import_torchvision(needed_by="a test")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * width,
        max_position_embeddings=16,
        num_labels=2,
    )
    return TextClassifier(transformers.BertForSequenceClassification(config))


def test_a_small_student_of_a_larger_teacher(sst: Path, tokenizer: Path, tmp_path: Path) -> None:
    section = {"name": f"text:{sst}", "tokenizer": str(tokenizer), "length": 8}
    teacher = preceptor.teach(
        data=section, model=bert(32, 2), epochs=5, optim={"lr": 2e-3}, out=tmp_path / "t", progress=False
    )
    assert teacher.metrics.accuracy > 0.9
    preceptor.label(data=section, teacher=teacher, out=tmp_path / "l", progress=False)
    student = preceptor.distill(
        data=section,
        labels=tmp_path / "l",
        model=bert(8, 1),
        epochs=10,
        optim={"lr": 5e-3},
        out=tmp_path / "s",
        progress=False,
    )
    assert student.metrics.accuracy > 0.8


def test_what_is_wrong_is_named(sst: Path, tokenizer: Path, tmp_path: Path) -> None:
    good = {"tokenizer": str(tokenizer), "length": 8}
    for place, options, message in (
        (sst, {"tokenizer": str(tmp_path / "gone")}, r"data\.tokenizer: .*gone: no such folder"),
        (sst, {"tokenizer": str(tmp_path)}, r"data\.tokenizer: .*: holds no readable tokenizer"),
        (sst, {"length": 0}, r"data\.length: 0 is not at least 1"),
        (sst, {"sentence": "words"}, r"train\.tsv has no column 'words'; it has sentence, label"),
        (sst, {"target": "kind"}, r"train\.tsv has no column 'kind'"),
        (tmp_path / "gone", {}, r"gone: no such file or folder"),
        (tmp_path, {}, r"holds no train\.tsv, train\.csv or train\.parquet"),
        (
            write(tmp_path / "a.tsv", [("x", "0")], ("words", "label")),
            {},
            r"data\.sentence: .* has columns words, label",
        ),
    ):
        with pytest.raises(UsageError, match=message):
            load(f"text:{place}", options={**good, **options})
