from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from preceptor.data import Source, load
from preceptor.data.sources.groups import regrouped
from preceptor.data.split import Arrays
from preceptor.errors import UsageError

FIVES = [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


def four() -> Source:
    labels = torch.tensor([0, 1, 2, 3, 3, 0])
    truth = torch.tensor([[0.5, 0.2, 0.2, 0.1]]).repeat(6, 1)
    split = Arrays(torch.arange(6.0)[:, None], labels, truth)
    return Source("four", split, split.take(torch.tensor([2, 3])), ("a", "b", "c", "d"))


def test_labels_names_and_truth_follow_the_groups() -> None:
    found = regrouped(four(), [[3, 0], [2, 1]])
    assert found.class_names == ("d+a", "c+b")
    assert found.train.labels.tolist() == [0, 1, 1, 0, 0, 0]
    assert found.test.labels.tolist() == [1, 0]
    assert found.train.truth is not None
    torch.testing.assert_close(found.train.truth, torch.tensor([[0.6, 0.4]]).repeat(6, 1))
    assert found.train.inputs(torch.tensor([4])).item() == 4
    assert "4 classes as 2" in found.notes[-1]


def test_none_leaves_the_source_alone() -> None:
    source = four()
    assert regrouped(source, None) is source


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([[0, 1, 2, 3]], "1 group; at least two"),
        ([[0, 1], [2]], "class 3 is left out; every class belongs to one group"),
        ([[0, 1], [2, 3, 0]], "class 0 is in two groups"),
        ([[0, 1], [2, 4]], r"has entries other than classes 0\.\.3"),
        ([[0, 1], [2, "d"]], r"has entries other than classes 0\.\.3"),
        ([[0, 1], []], "is no list of lists of classes"),
        ([0, 1, 2, 3], "is no list of lists of classes"),
        ("01,23", "is no list of lists of classes"),
    ],
)
def test_what_is_wrong_is_named(groups: Any, message: str) -> None:
    with pytest.raises(UsageError, match=rf"data\.groups: .*{message}"):
        regrouped(four(), groups)


def test_the_real_cifar_2x5(shared_data: Path, cifar10: Path) -> None:
    options = {"root": str(cifar10), "votes": str(shared_data / "cifar10" / "cifar10h.npz")}
    ungrouped, two = (load("cifar10", limit=500, options={**options, **more}) for more in ({}, {"groups": FIVES}))
    assert (two.num_classes, two.task) == (2, "binary")
    assert two.class_names[1] == "dog+frog+horse+ship+truck"
    assert torch.equal(two.test.labels, (ungrouped.test.labels >= 5).long())
    assert ungrouped.test.truth is not None
    assert two.test.truth is not None
    torch.testing.assert_close(two.test.truth[:, 1], ungrouped.test.truth[:, 5:].sum(1))
    assert two.fingerprint != ungrouped.fingerprint
    assert torch.bincount(two.train.labels).tolist() == [250, 250]
