"""A classifier of the transformers library for sentences, as the source `text` writes them."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from preceptor.errors import UsageError

__all__ = ["TextClassifier"]

_KINDS = ("input_ids", "attention_mask", "token_type_ids")


class TextClassifier(nn.Module):
    """Gives a network that wants `input_ids` and `attention_mask` (and `token_type_ids`) what a batch of texts holds.

    Args:
        network: of the transformers library, such as BertForSequenceClassification; returns an object with `logits`.

    Example:
        >>> from types import SimpleNamespace
        >>> class Mean(nn.Module):
        ...     def forward(self, input_ids, attention_mask):
        ...         return SimpleNamespace(logits=(input_ids * attention_mask).float())
        >>> import torch
        >>> TextClassifier(Mean())(torch.tensor([[[5.0, 7.0], [1.0, 0.0]]]))
        tensor([[5., 0.]])
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Float[Tensor, "rows kinds length"]) -> Float[Tensor, "rows classes"]:
        if not 2 <= inputs.shape[1] <= len(_KINDS):
            raise UsageError(f"model: texts are rows [2 or 3, length], got {tuple(inputs.shape[1:])}")
        kinds = inputs.long().unbind(1)
        answer: Any = self.network(**dict(zip(_KINDS, kinds, strict=False)))
        logits: Tensor = answer.logits
        return logits
