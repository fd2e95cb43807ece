from __future__ import annotations

import pytest
import torch

from preceptor.errors import UsageError
from preceptor.objectives.features import block_pairs, blocks, maps_of, need
from preceptor.types import Outputs

_NAMES = ["stem", "block1", "block1_preact", "block2", "pooled"]


def test_blocks_are_those_by_name_after_their_last_relu() -> None:
    assert blocks(_NAMES) == ["block1", "block2"]


def test_pairs_start_from_the_front_and_end_with_the_shorter() -> None:
    three = ["stem", "block1", "block2", "block3", "pooled"]
    assert block_pairs(three, _NAMES, None, "at") == (("block1", "block1"), ("block2", "block2"))
    assert block_pairs(_NAMES, three, None, "at") == (("block1", "block1"), ("block2", "block2"))


def test_given_pairs_are_taken_as_they_are() -> None:
    assert block_pairs([], [], {"layer1.0": "body.3"}, "at") == (("layer1.0", "body.3"),)


@pytest.mark.parametrize(
    ("student", "teacher", "message"),
    [
        ([], _NAMES, r"method at needs feature maps, and the student offers none; name them with method\.pairs"),
        (_NAMES, ["pooled"], r"method at needs feature maps, and the teacher offers pooled; name them"),
    ],
)
def test_nothing_to_pair_is_said(student: list[str], teacher: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        block_pairs(student, teacher, None, "at")


def test_a_feature_that_is_needed() -> None:
    assert need("pooled", _NAMES, "student", "rkd") == "pooled"
    assert need("layer1.0", [], "student", "rkd") == "layer1.0"
    with pytest.raises(UsageError, match="method rkd needs feature pooled of the teacher, which offers stem, block1"):
        need("pooled", ["stem", "block1"], "teacher", "rkd")


def test_maps_have_four_axes() -> None:
    outputs = Outputs(torch.zeros(2, 3), {"block1": torch.zeros(2, 4, 8, 8), "pooled": torch.zeros(2, 4)})
    (only,) = maps_of(outputs, ["block1"], "student", "at")
    assert only is outputs.features["block1"]
    with pytest.raises(UsageError, match=r"method at needs maps, and feature pooled of the student has shape \(2, 4\)"):
        maps_of(outputs, ["pooled"], "student", "at")
    with pytest.raises(UsageError, match="method at learns from a teacher, and the run has none"):
        maps_of(None, ["block1"], "teacher", "at")
