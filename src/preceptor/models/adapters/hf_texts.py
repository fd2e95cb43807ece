"""`hf:PLACE` for texts: what a classifier of sentences must share with the tokenizer of the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from preceptor.errors import UsageError
from preceptor.models.adapters.input_adapter import DataSpec
from preceptor.models.adapters.preprocessing import NativePreprocessing
from preceptor.models.adapters.text import TextClassifier
from preceptor.types import Vocabulary

__all__ = ["check_tokenizer", "fit_texts", "wrap_texts"]

_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "spiece.model")


def fit_texts(title: str, config: Any, data_spec: DataSpec, vocabulary: Vocabulary, *, keeps_padding: bool) -> None:
    """Check that a configuration's network can read the data's texts, and set its padding.

    Args:
        title: what the user called it.
        config: of transformers; its padding is set.
        data_spec: the texts.
        vocabulary: of the texts.
        keeps_padding: whether a padding token that it states stays.

    Raises:
        UsageError: for a larger vocabulary than its own, or longer texts than it reads.
    """
    stated = config.to_dict()
    known, longest, length = stated.get("vocab_size"), stated.get("max_position_embeddings"), data_spec.shape[1]
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
    """Check that pretrained weights share the data's tokenizer, where their folder holds a tokenizer.

    Raises:
        UsageError: when it is another one.
    """
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        return
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, TypeError):
        return  # it cannot be read, so it cannot be compared
    if Vocabulary.of(tokenizer.get_vocab(), 0).fingerprint != vocabulary.fingerprint:
        raise UsageError(f"model: {title} was trained with another tokenizer than the data's; data.tokenizer={folder}")


def wrap_texts(
    network: nn.Module, config: Any, data_spec: DataSpec, trained_classes: int | None
) -> tuple[TextClassifier, NativePreprocessing]:
    """Return a network as one that reads rows of texts, and what it states of itself.

    Args:
        network: of transformers.
        config: its configuration.
        data_spec: the texts.
        trained_classes: see `NativePreprocessing`.
    """
    has_token_types = int(config.to_dict().get("type_vocab_size") or 2) > 1
    classifier = TextClassifier(network, uses_token_types=has_token_types)
    hint = "" if data_spec.shape[0] <= len(classifier.arguments) else "is not told which sentence a token is of"
    return classifier, NativePreprocessing(trained_classes=trained_classes, hint=hint)
