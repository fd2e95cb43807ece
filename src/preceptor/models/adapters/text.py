"""Classifiers of texts as the source `text` gives them: rows of token ids, of their mask, and of their token types."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from preceptor.errors import UsageError
from preceptor.models.features.observed import logits_of
from preceptor.types import Vocabulary

__all__ = ["TextClassifier", "random_texts", "reads_texts"]

_ARGUMENTS = ("input_ids", "attention_mask", "token_type_ids")


class TextClassifier(nn.Module):
    """Splits a batch of texts into a network's arguments `input_ids`, `attention_mask` and `token_type_ids`.

    Args:
        network: of the transformers library, such as BertForSequenceClassification; returns logits, alone, first in a
            tuple, or as an attribute `logits`. It is given the arguments that its forward pass takes.
        uses_token_types: whether it is given `token_type_ids` where the texts are pairs.

    Examples:
        >>> from types import SimpleNamespace
        >>> class Mean(nn.Module):
        ...     def forward(self, input_ids, attention_mask):
        ...         return SimpleNamespace(logits=(input_ids * attention_mask).float())
        >>> import torch
        >>> TextClassifier(Mean())(torch.tensor([[[5.0, 7.0], [1.0, 0.0]]]))
        tensor([[5., 0.]])
    """

    def __init__(self, network: nn.Module, *, uses_token_types: bool = True) -> None:
        super().__init__()
        self.network = network
        accepted = _accepted(network)
        self.arguments = tuple(
            name for name in _ARGUMENTS if name in accepted and (uses_token_types or name != _ARGUMENTS[2])
        )

    def forward(self, inputs: Float[Tensor, "rows arguments length"]) -> Float[Tensor, "rows classes"]:
        if not 2 <= inputs.shape[1] <= len(_ARGUMENTS):
            raise UsageError(f"model: texts are rows [2 or 3, length], got {tuple(inputs.shape[1:])}")
        arguments = zip(_ARGUMENTS, inputs.long().unbind(1), strict=False)
        output: Any = self.network(**{name: values for name, values in arguments if name in self.arguments})
        if isinstance(output, Tensor | tuple | list | Mapping):
            return logits_of(output, self.network)
        logits: Tensor = output.logits
        return logits


def reads_texts(network: nn.Module) -> bool:
    """Say whether a network's forward pass takes `input_ids`, as those of transformers do."""
    return _ARGUMENTS[0] in inspect.signature(network.forward).parameters


def random_texts(shape: tuple[int, ...], vocabulary: Vocabulary, rows: int) -> Float[Tensor, "rows arguments length"]:
    """Return texts of random tokens: the first of full length, the others shorter, the largest token id among them.

    Args:
        shape: of a text, (2, length) or (3, length).
        vocabulary: tokens are drawn from its upper half, as special tokens are mostly in the lower.
        rows: how many.
    """
    count, length = shape
    generator = torch.Generator().manual_seed(rows)
    tokens = torch.randint(vocabulary.size // 2, vocabulary.size, (rows, length), generator=generator)
    tokens[0, 0] = vocabulary.size - 1
    mask = (torch.arange(length) < length - torch.arange(rows)[:, None] * length // (2 * rows)).long()
    tokens = tokens * mask + vocabulary.padding * (1 - mask)
    token_types = (torch.arange(length) >= length // 2) * mask
    return torch.stack([tokens, mask, token_types][:count], 1).float()


def _accepted(network: nn.Module) -> frozenset[str]:
    """Return which of the arguments a forward pass takes; one that names none takes all."""
    accepted = frozenset(inspect.signature(network.forward).parameters) & frozenset(_ARGUMENTS)
    return accepted or frozenset(_ARGUMENTS)
