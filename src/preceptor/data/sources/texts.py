"""Sentences with a class, as a tokenizer writes them: rows of token numbers and of the mask that says which of them count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from preceptor.data.dataset import Source
from preceptor.data.images.images import split_off_test
from preceptor.data.sources.columns import Columns, read_columns
from preceptor.data.sources.tables import class_labels
from preceptor.data.split import Arrays
from preceptor.errors import UsageError
from preceptor.extras import import_extra
from preceptor.types import Vocabulary

__all__ = ["text"]

_SUFFIXES = (".tsv", ".csv", ".parquet")
_VALIDATION_NAMES = ("dev", "validation", "valid", "val")
_SENTENCES = ("sentence", "text", "sentence1")
_MOST_TOKENS = 2**24  # numbers of tokens travel as float32, which holds whole numbers up to here


def text(
    *,
    path: str,
    tokenizer: str,
    sentence: str | None = None,
    pair: str | None = None,
    target: str = "label",
    length: int = 128,
) -> Source:
    """Sentences with a class: a .tsv, .csv or .parquet file, or a folder of train, dev and test, as SST-2 comes.

    Inputs are [2, length]: token numbers, and 1 where a token counts; of pairs of sentences [3, length], with the token's
    sentence.

    Args:
        path: the file, or the folder. A test file without labels, as GLUE's are, is passed over for dev.
        tokenizer: a folder of the transformers library's.
        sentence: the column of sentences; by default sentence, text or sentence1.
        pair: the column of second sentences.
        target: the column of classes, numbers or words.
        length: tokens of a row; longer sentences are cut off, shorter ones padded.
    """
    if length < 1:
        raise UsageError(f"data.length: {length} is not at least 1")
    files = _files(Path(path).expanduser())
    parts = {name: read_columns(str(file), "data.path", quoted=file.suffix != ".tsv") for name, file in files.items()}
    notes: list[str] = []
    if "test" in parts and not _has_labels(parts["test"], target):
        notes.append(f"text: {files['test'].name} has no labels and is passed over")
        del parts["test"]
    held = next((name for name in _VALIDATION_NAMES if name in parts), None)
    tested = "test" if "test" in parts else held
    wanted = {name: parts[name] for name in ("train", held, tested) if name is not None}
    written = _Tokens(tokenizer, length)
    column = _sentence_column(wanted["train"], sentence, str(files["train"]))
    names, _ = class_labels(_classes(wanted["train"], target, files["train"]), str(files["train"]), target)
    splits = {}
    for name, columns in wanted.items():
        file = files[name]
        others = None if pair is None else _column(columns, pair, file)
        _, labels = class_labels(_classes(columns, target, file), str(file), target, names)
        splits[name] = Arrays(written(_column(columns, column, file), others), labels)
    if tested is None:
        train, test = split_off_test(splits["train"])
    else:
        train, test = splits["train"], splits[tested]
        notes += [f"text: tested on {tested}, and validation is split from train"] if tested == held else []
    if written.num_cut:
        notes.append(f"text: {written.num_cut:,} sentences are longer than {length} tokens and cut off there")
    return Source(
        name=f"text:{path}",
        train=train,
        test=test,
        validation=None if held in {None, tested} else splits[str(held)],
        class_names=names,
        protocol="text",
        notes=tuple(notes),
        is_cut=tested is None,
        vocabulary=written.vocabulary,
        test_name=tested or "test",
    )


class _Tokens:
    """Writes sentences as rows of numbers; counts those that had to be cut off."""

    def __init__(self, place: str, length: int) -> None:
        library = import_extra("transformers", "hf", needed_by="data=text")
        folder = Path(place).expanduser()
        if not folder.is_dir():
            raise UsageError(f"data.tokenizer: {folder}: no such folder")
        try:
            self._tokenizer: Any = library.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UsageError(f"data.tokenizer: {folder}: no tokenizer that can be read ({reason})") from error
        if self._tokenizer.pad_token_id is None or len(self._tokenizer) > _MOST_TOKENS:
            raise UsageError(f"data.tokenizer: {folder}: names no token to pad with")
        self.vocabulary = Vocabulary.of(self._tokenizer.get_vocab(), self._tokenizer.pad_token_id)
        self._length = length
        self.num_cut = 0

    def __call__(self, sentences: list[str], others: list[str] | None) -> Float[Tensor, "rows kinds length"]:
        """Return [token numbers, mask], and the sentence of each token where there are pairs."""
        given = self._tokenizer(
            sentences,
            others,
            truncation=True,
            max_length=self._length,
            padding="max_length",
            return_token_type_ids=others is not None,
            return_tensors="np",
        )
        whole = self._tokenizer(sentences, others, truncation=False)["input_ids"]
        self.num_cut += sum(len(row) > self._length for row in whole)
        kinds = ("input_ids", "attention_mask", *(("token_type_ids",) if others is not None else ()))
        return torch.from_numpy(np.stack([given[kind] for kind in kinds], axis=1)).float()


def _files(place: Path) -> dict[str, Path]:
    """Return the file of each part."""
    if place.is_file():
        return {"train": place}
    if not place.is_dir():
        raise UsageError(f"data.path: {place}: no such file or folder")
    found = {
        name: place / f"{name}{suffix}"
        for name in ("train", "test", *_VALIDATION_NAMES)
        for suffix in reversed(_SUFFIXES)
        if (place / f"{name}{suffix}").is_file()
    }
    if "train" not in found:
        raise UsageError(f"data.path: {place} holds no train.tsv, train.csv or train.parquet")
    return found


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
