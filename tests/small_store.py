"""A small label store: every (view, row, class) has its own logit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from preceptor.labels import Encoding, LabelSource, Manifest

SAMPLES = 25
SOURCE = LabelSource(("a1b2",), "d4d4", SAMPLES, "flip", 7, Encoding(6), "fp32")
WANTED = Manifest(SOURCE, {"data": "digits", "teacher": "runs/t"}, views=2, rows_per_shard=10)

Requests = Iterable[tuple[int, Tensor]]


def logits(view: int, rows: Tensor) -> Tensor:
    return 100.0 * view + rows[:, None] + torch.arange(6) / 8


def predict(requests: Requests) -> Iterator[Tensor]:
    return (logits(view, rows) for view, rows in requests)
