"""A tokenizer of the transformers library: from sentences to rows of token numbers and of the attention mask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from preceptor.data.sources.columns import Columns
from preceptor.errors import UsageError
from preceptor.extras import import_extra
from preceptor.types import Vocabulary

__all__ = ["Tokens", "sentence_column"]

_SENTENCES = ("sentence", "text", "sentence1")
_MOST_TOKENS = 2**24  # token numbers are kept as float32, which is exact for whole numbers up to here


class Tokens:
    """Turns sentences into rows of token numbers; counts those that were truncated.

    Args:
        place: the tokenizer's folder, as the transformers library saves it; nothing is downloaded, no code of it runs.
        length: tokens per row.
        where: key of the configuration, for messages.

    Raises:
        UsageError: for a folder without a readable tokenizer.
    """

    def __init__(self, place: str | Path, length: int, where: str) -> None:
        library = import_extra("transformers", "hf", needed_by=where)
        folder = Path(place).expanduser()
        if not folder.is_dir():
            raise UsageError(f"{where}: {folder}: no such folder")
        try:
            self._tokenizer: Any = library.AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # the reader of tokenizer.json raises bare ones
            reason = " ".join(str(error).split())[:200]
            raise UsageError(f"{where}: {folder}: holds no readable tokenizer ({reason})") from error
        if self._tokenizer.pad_token_id is None or len(self._tokenizer) > _MOST_TOKENS:
            raise UsageError(f"{where}: {folder}: has no padding token")
        self.vocabulary = Vocabulary.of(self._tokenizer.get_vocab(), self._tokenizer.pad_token_id)
        self._length = length
        self.num_truncated = 0

    def __call__(self, sentences: Sequence[str], others: Sequence[str] | None) -> Float[Tensor, "rows kinds length"]:
        """Return [token numbers, attention mask], and the token types of pairs."""
        texts = list(sentences)
        seconds = None if others is None else list(others)
        encoded = self._tokenizer(
            texts,
            seconds,
            truncation=True,
            max_length=self._length,
            padding="max_length",
            return_token_type_ids=seconds is not None,
            return_tensors="np",
        )
        untruncated = self._tokenizer(texts, seconds, truncation=False)["input_ids"]
        self.num_truncated += sum(len(row) > self._length for row in untruncated)
        kinds = ("input_ids", "attention_mask", *(("token_type_ids",) if seconds is not None else ()))
        return torch.from_numpy(np.stack([encoded[kind] for kind in kinds], axis=1)).float()


def sentence_column(columns: Columns, stated: str | None, path: str, where: str) -> str:
    """Return the column of sentences: the stated one, or sentence, text or sentence1.

    Args:
        columns: of a file.
        stated: by the user.
        path: of the file, for messages.
        where: key of the configuration, for messages.

    Raises:
        UsageError: when there is none of these names.
    """
    name = stated or next((name for name in _SENTENCES if name in columns), None)
    if name is None:
        raise UsageError(f"{where}: {path} has columns {', '.join(columns)}; say which holds the sentences")
    return name
