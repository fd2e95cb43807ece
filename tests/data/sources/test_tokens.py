"""Sentences as token numbers, and the column that holds them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from preceptor.data.sources.tokens import Tokens, sentence_column
from preceptor.errors import UsageError

pytest.importorskip("transformers")

from sentences import WORDS, save_tokenizer  # needs the extra


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def test_numbers_mask_and_types(folder: Path) -> None:
    tokens = Tokens(folder, 6, "data.tokenizer")
    good = WORDS.index("good")
    assert tokens(["good"], None).tolist() == [[[2, good, 3, 0, 0, 0], [1, 1, 1, 0, 0, 0]]]
    assert tokens(["good"], ["good"]).tolist()[0][2] == [0, 0, 0, 1, 1, 0]
    assert tokens.num_truncated == 0
    assert tokens(["the film was good the film was good", "bad"], None).shape == (2, 2, 6)
    assert tokens.num_truncated == 1


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--tokenizer: .*: holds no readable tokenizer \("):
        Tokens(tmp_path, 6, "--tokenizer")
    with pytest.raises(UsageError, match=r"^--tokenizer: .*none: no such folder$"):
        Tokens(tmp_path / "none", 6, "--tokenizer")


def test_a_damaged_tokenizer_is_one_line(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "damaged"
    shutil.copytree(folder, place)
    values = json.loads((place / "tokenizer.json").read_text())
    (place / "tokenizer.json").write_text(json.dumps({**values, "post_processor": {}}))
    with pytest.raises(UsageError, match=r"damaged: holds no readable tokenizer \(data did not match"):
        Tokens(place, 6, "data.tokenizer")


def test_which_column_holds_sentences() -> None:
    columns = {"id": ["1"], "text": ["good"], "comment": ["bad"]}
    assert sentence_column(columns, None, "a.csv", "data.sentence") == "text"
    assert sentence_column(columns, "comment", "a.csv", "data.sentence") == "comment"
    with pytest.raises(UsageError, match=r"^data\.sentence: a\.csv has columns id; say which holds the sentences$"):
        sentence_column({"id": ["1"]}, None, "a.csv", "data.sentence")
