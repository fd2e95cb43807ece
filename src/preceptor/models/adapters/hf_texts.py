"""`hf:PLACE` for texts: what a classifier of sentences must have in common with the tokenizer that wrote the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from preceptor.errors import UsageError
from preceptor.models.adapters.adapted import NativePreprocessing
from preceptor.models.adapters.input_adapter import DataSpec
from preceptor.models.adapters.text import TextClassifier
from preceptor.types import Vocabulary

__all__ = ["check_tokenizer", "fit_texts", "of_texts"]

_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "spiece.model")


def fit_texts(title: str, config: Any, samples: DataSpec, vocabulary: Vocabulary, *, keeps_padding: bool) -> None:
    """Check that what a configuration describes can read some texts, and tell it what fills up the short ones.

    Args:
        title: what the user called it.
        config: of transformers; its padding is set.
        samples: the texts.
        vocabulary: of the texts.
        keeps_padding: whether the padding that it states, if it states any, stays.

    Raises:
        UsageError: for texts with more tokens than it knows, or longer ones than it reads.
    """
    stated = config.to_dict()
    known, longest, length = stated.get("vocab_size"), stated.get("max_position_embeddings"), samples.shape[1]
    if known is not None and known < vocabulary.size:
        raise UsageError(
            f"model: {title} knows {known:,} tokens, and the tokenizer of the data writes {vocabulary.size:,}; take one that "
            f"goes with it (data.tokenizer), or a new network (model.vocab_size={vocabulary.size})"
        )
    if longest is not None and longest < length:
        raise UsageError(
            f"model: {title} reads up to {longest} tokens, and texts are {length} long; data.length={longest}"
        )
    if not keeps_padding or stated.get("pad_token_id") is None:
        config.pad_token_id = vocabulary.padding


def check_tokenizer(title: str, folder: Path, vocabulary: Vocabulary, transformers: Any) -> None:
    """Check that weights were trained on texts of the data's tokenizer, where the tokenizer lies beside them.

    Raises:
        UsageError: when a number stands for another token there.
    """
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        return
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError):
        return  # nothing is known of it
    if Vocabulary.of(tokenizer.get_vocab(), 0).fingerprint != vocabulary.fingerprint:
        raise UsageError(f"model: {title} was trained with another tokenizer than the data's; data.tokenizer={folder}")


def of_texts(
    network: nn.Module, config: Any, samples: DataSpec, trained_classes: int | None
) -> tuple[TextClassifier, NativePreprocessing]:
    """Return a network as one that is given texts, and what is to be known of it.

    Args:
        network: of transformers.
        config: its own.
        samples: the texts.
        trained_classes: see `NativePreprocessing`.
    """
    has_place = int(config.to_dict().get("type_vocab_size") or 2) > 1
    reader = TextClassifier(network, tells_sentences=has_place)
    is_told = samples.shape[0] <= len(reader.kinds)
    hint = "" if is_told else "is not told which sentence a token is of"
    return reader, NativePreprocessing(trained_classes=trained_classes, hint=hint)
