"""Sentences with a class, tokenized: rows of token numbers and of the attention mask."""

from __future__ import annotations

from pathlib import Path

from preceptor.data.dataset import Source
from preceptor.data.sources.columns import Columns, read_columns
from preceptor.data.sources.tables import class_labels
from preceptor.data.sources.tokens import Tokens, sentence_column
from preceptor.data.split import Arrays, Split
from preceptor.data.stratify import split_off_test
from preceptor.errors import UsageError

__all__ = ["text"]

_SUFFIXES = (".tsv", ".csv", ".parquet")
_VALIDATION_NAMES = ("dev", "validation", "valid", "val")


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
    tokens = Tokens(tokenizer, length, "data.tokenizer")
    column = sentence_column(tables["train"], sentence, str(files["train"]), "data.sentence")
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


def _classes(columns: Columns, target: str, file: Path) -> list[str | None]:
    return [cell or None for cell in _column(columns, target, file)]


def _column(columns: Columns, name: str, file: Path) -> list[str]:
    if name not in columns:
        raise UsageError(f"data.path: {file} has no column {name!r}; it has {', '.join(columns)}")
    return [cell or "" for cell in columns[name]]
