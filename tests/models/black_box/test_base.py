"""What is no module: it has a fingerprint, no weights, and is found behind adapters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from preceptor.artifacts.fingerprints import fingerprint
from preceptor.models import SelectedClasses
from preceptor.models.black_box.base import BlackBox, black_box_in

ONE, OTHER = "ab" * 32, "cd" * 32


class Halves(BlackBox):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs / 2


def test_its_digest_is_its_fingerprint() -> None:
    one, same, other = Halves("halves", 7, ONE), Halves("halves"), Halves("halves", 7, OTHER)
    assert (one.name, one.bytes, list(one.parameters())) == ("halves", 7, [])
    assert fingerprint(one) != fingerprint(same)
    same.recognise(ONE)
    assert fingerprint(one) == fingerprint(same)
    assert fingerprint(one) != fingerprint(other)
    assert one(torch.ones(1, 2)).tolist() == [[0.5, 0.5]]


def test_it_is_found_behind_what_wraps_it() -> None:
    box = Halves("halves")
    assert black_box_in(SelectedClasses(box, [1, 0], 2)) is box
    assert black_box_in(nn.Linear(2, 2)) is None
