from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from preceptor.errors import UsageError
from preceptor.models import as_map
from preceptor.objectives.base import BuildContext, Taps
from preceptor.objectives.features import (
    Pairing,
    blocks,
    maps_of,
    match,
    need,
    pooled_features,
    pooled_taps,
    pooled_widths,
)
from preceptor.types import Batch, Outputs, Progress, Step, View
from vectors import offer

_NAMES = offer("stem", "block1", "block1_preact", "block2", "pooled")
_VGG = [(128, 16, 16), (256, 8, 8), (512, 4, 4), (512, 4, 4)]
_MOBILE = [(12, 16, 16), (16, 8, 8), (48, 4, 4), (160, 2, 2)]
_SHUFFLE = [(240, 16, 16), (480, 8, 8), (960, 4, 4)]
_RESNET = [(64, 32, 32), (128, 16, 16), (256, 8, 8)]


def test_blocks_are_those_by_name_after_their_last_relu_or_before_it() -> None:
    assert list(blocks(_NAMES)) == ["block1", "block2"]
    assert list(blocks(_NAMES, preact=True)) == ["block1_preact"]


def test_lists_of_equal_length_are_paired_one_to_one() -> None:
    assert match(_SHUFFLE, _RESNET) == [(0, 0), (1, 1), (2, 2)]


def test_other_lists_are_paired_by_resolution_whichever_is_longer() -> None:
    assert match(_SHUFFLE, [(64, 32, 32), *_VGG]) == [(0, 1), (1, 2), (2, 4)]
    assert match([(64, 32, 32), *_VGG], _SHUFFLE) == [(1, 0), (2, 1), (4, 2)]
    assert match(_MOBILE, [(64, 32, 32), *_VGG]) == [(0, 1), (1, 2), (2, 3), (3, 4)]


def test_a_match_is_the_best_of_all_in_order() -> None:
    student, teacher = [(1, 24, 12), (1, 6, 6)], [(1, 32, 32), (1, 14, 7), (1, 12, 12), (1, 3, 9)]

    def cost(pairs: list[tuple[int, int]]) -> float:
        gaps = [
            torch.log2(torch.tensor([a / b for a, b in zip(student[s][1:], teacher[t][1:], strict=True)]))
            for s, t in pairs
        ]
        return float(sum(gap.abs().sum() for gap in gaps))

    every = [list(enumerate(places)) for places in itertools.combinations(range(4), 2)]
    assert cost(match(student, teacher)) == pytest.approx(min(cost(pairs) for pairs in every))


def test_pairs_and_what_is_left_out_are_named() -> None:
    pairing = Pairing("at")
    three = offer("stem", "block1", "block2", "block3", "pooled")
    assert pairing.taps(three, _NAMES) == Taps(("block2", "block3"), ("block1", "block2"))
    note = "pairs block2 -> block1, block3 -> block2 (student -> teacher); left out: student's block1"
    assert pairing.notes() == (note,)


def test_the_users_pairs_are_taken_as_they_are() -> None:
    assert Pairing("at", {"layer1.0": "body.3"}).taps({}, {}) == Taps(("layer1.0",), ("body.3",))


def test_which_maps() -> None:
    two, three = offer("stem", "block1", "block2"), offer("stem", "block1", "block2", "block3")
    assert Pairing("sp", which="last").taps(two, three) == Taps(("block2",), ("block3",))
    assert Pairing("fitnet", which="second").taps(two, three) == Taps(("block2",), ("block2",))
    assert Pairing("ofd", which="from_the_end").taps(two, three) == Taps(("block1", "block2"), ("block2", "block3"))
    assert Pairing("fsp", stem=True).taps(two, two) == Taps(("stem", "block1", "block2"), ("stem", "block1", "block2"))
    before = Pairing("ab", student_preact=True, teacher_preact=True)
    assert before.taps(_NAMES, _NAMES) == Taps(("block1_preact",), ("block1_preact",))


@pytest.mark.parametrize(
    ("student", "teacher", "message"),
    [
        ({}, _NAMES, r"method at needs feature maps, and the student offers none; name them with method\.pairs"),
        (_NAMES, offer("pooled"), r"method at needs feature maps, and the teacher offers pooled; name them"),
    ],
)
def test_nothing_to_pair_is_said(
    student: dict[str, tuple[int, ...]], teacher: dict[str, tuple[int, ...]], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        Pairing("at").taps(student, teacher)


def test_a_feature_that_is_needed() -> None:
    assert need("pooled", _NAMES, "student", "rkd") == "pooled"
    assert need("layer1.0", [], "student", "rkd") == "layer1.0"
    with pytest.raises(UsageError, match="method rkd needs feature pooled of the teacher, which offers stem, block1"):
        need("pooled", ["stem", "block1"], "teacher", "rkd")


def test_tokens_are_laid_out_on_their_grid_without_what_precedes_it() -> None:
    grid = torch.randn(2, 3, 4, 4)
    tokens = torch.cat([torch.zeros(2, 1, 3), grid.flatten(2).transpose(1, 2)], dim=1)
    assert torch.equal(as_map(tokens), grid)
    assert as_map(grid) is grid


def test_maps_have_four_axes() -> None:
    outputs = Outputs(torch.zeros(2, 3), {"block1": torch.zeros(2, 4, 8, 8), "pooled": torch.zeros(2, 4)})
    (only,) = maps_of(outputs, ["block1"], "student", "at")
    assert only is outputs.features["block1"]
    with pytest.raises(UsageError, match=r"method at needs maps, and feature pooled of the student has shape \(2, 4\)"):
        maps_of(outputs, ["pooled"], "student", "at")
    with pytest.raises(UsageError, match="method at learns from a teacher, and the run has none"):
        maps_of(None, ["block1"], "teacher", "at")


def test_shapes_are_of_one_sample() -> None:
    pairing = Pairing("at", {"a": "b"})
    pairing.taps({}, {})
    student = Outputs(torch.zeros(2, 3), {"a": torch.zeros(2, 4, 8, 8)})
    teacher = Outputs(torch.zeros(2, 3), {"b": torch.zeros(2, 16, 5)})
    assert pairing.shapes(BuildContext(10, 3, student, teacher)) == [((4, 8, 8), (5, 4, 4))]


def test_tokens_on_no_square_grid_are_refused_with_the_way_out() -> None:
    oblong = torch.zeros(2, 1 + 7 * 14, 8)  # nearest square: 81, which is not what they lie on
    assert as_map(oblong) is oblong
    outputs = Outputs(torch.zeros(2, 3), {"blocks.1": oblong})
    with pytest.raises(UsageError, match=r"shape \(2, 99, 8\); say on which grid its tokens lie: blocks\.1:HxW"):
        maps_of(outputs, ["blocks.1"], "student", "at")
    assert need("pooler:mean", [], "student", "rkd") == "pooler:mean"


def test_one_pair_has_no_neighbours() -> None:
    pairing = Pairing("fsp", {"a": "b"}, neighbours=True)
    with pytest.raises(
        UsageError, match=r"method fsp compares neighbouring maps, not a -> b alone; name two in method"
    ):
        pairing.taps({}, {})
    assert Pairing("fsp", {"a": "b", "c": "d"}, neighbours=True).taps({}, {}) == Taps(("a", "c"), ("b", "d"))


def test_pooled_features_of_both_networks() -> None:
    assert pooled_taps(_NAMES, _NAMES, "rkd") == Taps(("pooled",), ("pooled",))
    with pytest.raises(UsageError, match="method rkd needs feature pooled of the teacher, which offers stem"):
        pooled_taps(_NAMES, offer("stem"), "rkd")
    student, teacher = (Outputs(torch.zeros(2, 3), {"pooled": torch.ones(2, width)}) for width in (4, 7))
    assert pooled_widths(BuildContext(10, 3, student, teacher)) == (4, 7)
    batch = Batch(torch.zeros(2, 3), None, torch.arange(2), View("none", 0, 1))
    step = Step(batch, student, teacher, nn.Identity(), Progress(1, 4, 0.0))
    mine, its = pooled_features(step)
    assert mine is student.features["pooled"]
    assert its is teacher.features["pooled"]
