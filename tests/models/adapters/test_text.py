from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from preceptor.errors import UsageError
from preceptor.models import TextClassifier, observe


class Pooled(nn.Module):
    """The mean embedding of the tokens that count."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 3)
        self.sentence = nn.Embedding(2, 3)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> SimpleNamespace:
        vectors = self.embedding(input_ids)
        if token_type_ids is not None:
            vectors = vectors + self.sentence(token_type_ids)
        mask = attention_mask[..., None]
        return SimpleNamespace(logits=(vectors * mask).sum(1) / mask.sum(1))


def test_each_kind_of_row_goes_where_it_belongs() -> None:
    model = TextClassifier(Pooled())
    texts = torch.tensor([[[4.0, 7.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]])
    table, sentence = model.network.embedding.weight, model.network.sentence.weight  # type: ignore[union-attr]
    torch.testing.assert_close(model(texts[:, :2])[0], (table[4] + table[7]) / 2)  # type: ignore[index]
    expected = (table[4] + table[7] + sentence[0] + sentence[1]) / 2  # type: ignore[index]
    torch.testing.assert_close(model(texts)[0], expected)


def test_features_inside_are_named_by_path() -> None:
    outputs = observe(TextClassifier(Pooled()), ["network.embedding"])(torch.ones(2, 2, 5))
    assert outputs.features["network.embedding"].shape == (2, 5, 3)
    assert outputs.logits.shape == (2, 3)


def test_other_rows_are_refused() -> None:
    with pytest.raises(UsageError, match=r"texts are rows \[2 or 3, length\], got \(1, 8\)"):
        TextClassifier(Pooled())(torch.zeros(4, 1, 8))
