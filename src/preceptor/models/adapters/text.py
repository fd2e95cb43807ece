"""Classifiers for texts, as the source `text` writes them: rows of token numbers, of their mask, and of their sentence."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from preceptor.errors import UsageError
from preceptor.models.features.taps import logits_of
from preceptor.types import Vocabulary

__all__ = ["TextClassifier", "random_texts", "reads_texts"]

_KINDS = ("input_ids", "attention_mask", "token_type_ids")


class TextClassifier(nn.Module):
    """Gives a network that wants `input_ids` and `attention_mask` (and `token_type_ids`) what a batch of texts holds.

    Args:
        network: of the transformers library, such as BertForSequenceClassification; returns logits, alone, first in a
            tuple, or as `logits` of what it returns. What its forward pass does not take it is not given.
        tells_sentences: whether it is given `token_type_ids` where the texts are pairs.

    Example:
        >>> from types import SimpleNamespace
        >>> class Mean(nn.Module):
        ...     def forward(self, input_ids, attention_mask):
        ...         return SimpleNamespace(logits=(input_ids * attention_mask).float())
        >>> import torch
        >>> TextClassifier(Mean())(torch.tensor([[[5.0, 7.0], [1.0, 0.0]]]))
        tensor([[5., 0.]])
    """

    def __init__(self, network: nn.Module, *, tells_sentences: bool = True) -> None:
        super().__init__()
        self.network = network
        taken = _taken(network)
        self.kinds = tuple(kind for kind in _KINDS if kind in taken and (tells_sentences or kind != _KINDS[2]))

    def forward(self, inputs: Float[Tensor, "rows kinds length"]) -> Float[Tensor, "rows classes"]:
        if not 2 <= inputs.shape[1] <= len(_KINDS):
            raise UsageError(f"model: texts are rows [2 or 3, length], got {tuple(inputs.shape[1:])}")
        given = zip(_KINDS, inputs.long().unbind(1), strict=False)
        answer: Any = self.network(**{kind: numbers for kind, numbers in given if kind in self.kinds})
        if isinstance(answer, Tensor | tuple | list | Mapping):
            return logits_of(answer, self.network)
        logits: Tensor = answer.logits
        return logits


def reads_texts(network: nn.Module) -> bool:
    """Say whether a network's forward pass takes `input_ids`, as those of transformers do."""
    return _KINDS[0] in inspect.signature(network.forward).parameters


def random_texts(shape: tuple[int, ...], vocabulary: Vocabulary, rows: int) -> Float[Tensor, "rows kinds length"]:
    """Return texts of random tokens, the first as long as texts can be, the others shorter, the largest number among them.

    Args:
        shape: of a text, (2, length) or (3, length).
        vocabulary: whose higher half is drawn from: special tokens are mostly in the lower.
        rows: how many.
    """
    kinds, length = shape
    generator = torch.Generator().manual_seed(rows)
    numbers = torch.randint(vocabulary.size // 2, vocabulary.size, (rows, length), generator=generator)
    numbers[0, 0] = vocabulary.size - 1
    mask = (torch.arange(length) < length - torch.arange(rows)[:, None] * length // (2 * rows)).long()
    numbers = numbers * mask + vocabulary.padding * (1 - mask)
    sentence = (torch.arange(length) >= length // 2) * mask
    return torch.stack([numbers, mask, sentence][:kinds], 1).float()


def _taken(network: nn.Module) -> frozenset[str]:
    """Return which kinds of numbers a forward pass takes; one that names none takes all."""
    taken = frozenset(inspect.signature(network.forward).parameters) & frozenset(_KINDS)
    return taken or frozenset(_KINDS)
