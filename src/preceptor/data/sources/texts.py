"""Sentences with a class, tokenized: rows of token numbers and of the attention mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from preceptor.data.dataset import Source
from preceptor.data.sources.columns import Columns, read_columns
from preceptor.data.sources.tables import class_labels
from preceptor.data.split import Arrays, Split
from preceptor.data.stratify import split_off_test
from preceptor.errors import UsageError
from preceptor.extras import import_extra
from preceptor.types import Vocabulary

__all__ = ["text"]

_SUFFIXES = (".tsv", ".csv", ".parquet")
_VALIDATION_NAMES = ("dev", "validation", "valid", "val")
_SENTENCES = ("sentence", "text", "sentence1")
_MOST_TOKENS = 2**24  # token numbers are kept as float32, which is exact for whole numbers up to here


def text(
    *,
    path: str,
    tokenizer: str,
    sentence: str | None = None,
    pair: str | None = None,
    target: str = "label",
    length: int = 128,
) -> Source:
    """Sentences with a class: a .tsv, .csv or .parquet file, or a folder of train, dev and test, as in SST-2.

    Inputs are [2, length]: token numbers and the attention mask; for pairs of sentences [3, length], with the token types.

    Args:
        path: the file, or the folder. A test file without labels, as in GLUE, is skipped; dev is the test split then.
        tokenizer: a tokenizer's folder, as the transformers library saves it.
        sentence: the column of sentences; by default sentence, text or sentence1.
        pair: the column of second sentences.
        target: the column of classes, numbers or words.
        length: tokens per row; longer sentences are truncated, shorter ones padded.
    """
    if length < 1:
        raise UsageError(f"data.length: {length} is not at least 1")
    files = _files(Path(path).expanduser())
    tables = {name: read_columns(str(file), "data.path", quoted=file.suffix != ".tsv") for name, file in files.items()}
    notes: list[str] = []
    if "test" in tables and not _has_labels(tables["test"], target):
        notes.append(f"text: {files['test'].name} has no labels and is skipped")
        del tables["test"]
    validation_name = next((name for name in _VALIDATION_NAMES if name in tables), None)
    test_name = "test" if "test" in tables else validation_name
    tokens = _Tokens(tokenizer, length)
    column = _sentence_column(tables["train"], sentence, str(files["train"]))
    names, _ = class_labels(_classes(tables["train"], target, files["train"]), str(files["train"]), target)
    splits = {}
    for name in dict.fromkeys(("train", validation_name, test_name)):
        if name is not None:
            columns, file = tables[name], files[name]
            others = None if pair is None else _column(columns, pair, file)
            _, labels = class_labels(_classes(columns, target, file), str(file), target, names)
            splits[name] = Arrays(tokens(_column(columns, column, file), others), labels)
    train: Split = splits["train"]
    if test_name is None:
        train, test = split_off_test(train)
    else:
        test = splits[test_name]
        notes += (
            [f"text: tested on {test_name}; validation is split from train"] if test_name == validation_name else []
        )
    if tokens.num_truncated:
        notes.append(f"text: {tokens.num_truncated:,} sentences are longer than {length} tokens and truncated")
    return Source(
        name=f"text:{path}",
        train=train,
        test=test,
        validation=None if validation_name in {None, test_name} else splits[str(validation_name)],
        class_names=names,
        protocol="text",
        notes=tuple(notes),
        is_cut=test_name is None,
        vocabulary=tokens.vocabulary,
        test_name=test_name or "test",
    )


class _Tokens:
    """Turns sentences into rows of token numbers; counts those that were truncated."""

    def __init__(self, place: str, length: int) -> None:
        library = import_extra("transformers", "hf", needed_by="data=text")
        folder = Path(place).expanduser()
        if not folder.is_dir():
            raise UsageError(f"data.tokenizer: {folder}: no such folder")
        try:
            self._tokenizer: Any = library.AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UsageError(f"data.tokenizer: {folder}: holds no readable tokenizer ({reason})") from error
        if self._tokenizer.pad_token_id is None or len(self._tokenizer) > _MOST_TOKENS:
            raise UsageError(f"data.tokenizer: {folder}: has no padding token")
        self.vocabulary = Vocabulary.of(self._tokenizer.get_vocab(), self._tokenizer.pad_token_id)
        self._length = length
        self.num_truncated = 0

    def __call__(self, sentences: list[str], others: list[str] | None) -> Float[Tensor, "rows kinds length"]:
        """Return [token numbers, attention mask], and the token types of pairs."""
        encoded = self._tokenizer(
            sentences,
            others,
            truncation=True,
            max_length=self._length,
            padding="max_length",
            return_token_type_ids=others is not None,
            return_tensors="np",
        )
        untruncated = self._tokenizer(sentences, others, truncation=False)["input_ids"]
        self.num_truncated += sum(len(row) > self._length for row in untruncated)
        kinds = ("input_ids", "attention_mask", *(("token_type_ids",) if others is not None else ()))
        return torch.from_numpy(np.stack([encoded[kind] for kind in kinds], axis=1)).float()


def _files(place: Path) -> dict[str, Path]:
    """Return the file of each split."""
    if place.is_file():
        return {"train": place}
    if not place.is_dir():
        raise UsageError(f"data.path: {place}: no such file or folder")
    files = {
        name: place / f"{name}{suffix}"
        for name in ("train", "test", *_VALIDATION_NAMES)
        for suffix in reversed(_SUFFIXES)
        if (place / f"{name}{suffix}").is_file()
    }
    if "train" not in files:
        raise UsageError(f"data.path: {place} holds no train.tsv, train.csv or train.parquet")
    return files


def _has_labels(columns: Columns, target: str) -> bool:
    return target in columns and not set(columns[target]) <= {"-1", "", None}


def _sentence_column(columns: Columns, sentence: str | None, path: str) -> str:
    name = sentence or next((name for name in _SENTENCES if name in columns), None)
    if name is None:
        raise UsageError(f"data.sentence: {path} has columns {', '.join(columns)}; say which holds the sentences")
    return name


def _classes(columns: Columns, target: str, file: Path) -> list[str | None]:
    return [cell or None for cell in _column(columns, target, file)]


def _column(columns: Columns, name: str, file: Path) -> list[str]:
    if name not in columns:
        raise UsageError(f"data.path: {file} has no column {name!r}; it has {', '.join(columns)}")
    return [cell or "" for cell in columns[name]]
