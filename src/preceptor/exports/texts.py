"""Texts for `preceptor predict`: those given as they are, lines of .txt files, columns of tables; by the run's tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from preceptor.artifacts.identify import is_run
from preceptor.artifacts.run_folder import RunFolder
from preceptor.data import Tokens, read_columns, sentence_column
from preceptor.errors import UsageError
from preceptor.models import ModelMetadata

__all__ = ["Text", "TextReader", "open_reader"]

_TABLES = (".csv", ".tsv", ".parquet")
_PAIR = "sentence2"  # the column of second sentences, where the run does not say which
_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json")


@dataclass(frozen=True, slots=True)
class Text:
    """A text to predict.

    Attributes:
        name: of it in messages: itself, or its file and its place there, counted from 1.
        first: the sentence.
        second: the other sentence, of a network that reads pairs; else empty.
    """

    name: str
    first: str
    second: str = ""


@dataclass(frozen=True, slots=True)
class TextReader:
    """Reads texts as a network's run did.

    Attributes:
        tokens: the tokenizer.
        reads_pairs: whether the network reads pairs of sentences.
        sentence: the column of sentences in tables; None: sentence, text or sentence1.
        pair: that of second sentences.
    """

    tokens: Tokens
    reads_pairs: bool
    sentence: str | None = None
    pair: str = _PAIR

    def read(self, sample: str) -> list[Text]:
        """Return the texts in a file, or the text that a word is.

        Raises:
            UsageError: for a file that is missing or cannot be read, or a text that is no pair where one is read.
        """
        suffix = Path(sample).suffix.lower()
        if suffix in _TABLES:
            return list(self._rows(sample))
        if suffix == ".txt":
            lines = enumerate(_lines(sample), start=1)
            return [self._text(line, f"{sample}: line {number}") for number, line in lines if line.strip()]
        return [self._text(sample, sample)]

    def inputs(self, texts: Sequence[Text]) -> Float[Tensor, "rows kinds length"]:
        """Return texts as the network reads them."""
        return self.tokens(
            [text.first for text in texts], [text.second for text in texts] if self.reads_pairs else None
        )

    def _text(self, line: str, name: str) -> Text:
        if not self.reads_pairs:
            return Text(name, line)
        first, tab, second = line.partition("\t")
        if not tab:
            raise UsageError(f"{name}: is one sentence, and the network reads two, with a tab between them")
        return Text(name, first, second)

    def _rows(self, sample: str) -> Iterator[Text]:
        columns = read_columns(sample, "predict", quoted=not sample.lower().endswith(".tsv"))
        column = sentence_column(columns, self.sentence, sample, "predict")
        wanted = [column, *([self.pair] if self.reads_pairs else [])]
        for name in wanted:
            if name not in columns:
                raise UsageError(f"{sample}: has no column {name!r}; it has {', '.join(columns)}")
        for number, cells in enumerate(zip(*(columns[name] for name in wanted), strict=True), start=1):
            yield Text(f"{sample}: row {number}", *(cell or "" for cell in cells))


def open_reader(path: Path, metadata: ModelMetadata, tokenizer: str | Path | None = None) -> TextReader:
    """Return what reads texts for a network.

    Args:
        path: of the network: an exported file, a folder for the Hub or a run folder.
        metadata: of it.
        tokenizer: its folder; by default that of the run's data, or the network's own folder, if it holds one.

    Raises:
        UsageError: when no tokenizer is known, or it is not the one that the network was trained with.
    """
    data: Mapping[str, Any] = RunFolder(path).read_config()["data"] if path.is_dir() and is_run(path) else {}
    beside = path if path.is_dir() and any((path / name).is_file() for name in _TOKENIZERS) else None
    place = tokenizer or data.get("tokenizer") or beside
    if place is None:
        raise UsageError(f"{path}: reads texts, and does not hold their tokenizer; add --tokenizer FOLDER")
    kinds, length = metadata.input_shape
    tokens = Tokens(str(place), length, "--tokenizer")
    if tokens.vocabulary != metadata.vocabulary:
        raise UsageError(f"--tokenizer: {place} is another tokenizer than the one that {path} was trained with")
    return TextReader(tokens, kinds == 3, data.get("sentence"), data.get("pair") or _PAIR)


def _lines(sample: str) -> list[str]:
    try:
        return Path(sample).expanduser().read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else " ".join(str(error).split())
        raise UsageError(f"predict: {sample}: {reason}") from error
