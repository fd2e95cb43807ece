from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from preceptor.assessment import distance_to_truth
from preceptor.data import load
from preceptor.data.sources.votes import read_votes
from preceptor.errors import UsageError


def saved(folder: Path, **arrays: Any) -> str:
    np.savez(folder / "votes.npz", **arrays)
    return str(folder / "votes.npz")


def read(path: str, samples: int = 3) -> torch.Tensor:
    return read_votes(path, samples, 4, where="data.votes", name="CIFAR-10")


def test_counts_become_shares(tmp_path: Path) -> None:
    counts = np.array([[4, 0, 0, 0], [1, 1, 2, 0], [0, 0, 1, 3]], np.uint8)
    expected = torch.tensor([[1, 0, 0, 0], [0.25, 0.25, 0.5, 0], [0, 0, 0.25, 0.75]])
    assert read(saved(tmp_path, counts=counts)).equal(expected)
    assert read(saved(tmp_path, probs=counts / counts.sum(1, keepdims=True))).equal(expected)


def test_single_votes_are_counted_and_those_of_other_data_sets_are_not(tmp_path: Path) -> None:
    votes = {
        "CIFAR-10_random_label1": np.array([0, 1, 2], np.uint8),
        "CIFAR-10_random_label2": np.array([0, 2, 2], np.uint8),
        "CIFAR-10_worse_label": np.array([3, 3, 3], np.uint8),
        "CIFAR-100_random_label1": np.array([3, 3, 3], np.uint8),
    }
    expected = torch.tensor([[1, 0, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 1, 0]])
    assert read(saved(tmp_path, **votes)).equal(expected)
    bare = {key.removeprefix("CIFAR-10_"): value for key, value in list(votes.items())[:2]}
    assert read(saved(tmp_path, **bare)).equal(expected)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"counts": np.ones((2, 4))}, r"votes have shape \(2, 4\), the data need \(3, 4\)"),
        ({"counts": np.zeros((3, 4))}, r"votes of sample 0 are no votes"),
        ({"counts": np.array([[1, 0, 0, 0], [2, -1, 0, 0], [1, 0, 0, 0]])}, "votes of sample 1 are no votes"),
        ({"random_label1": np.array([0, 1, 4])}, r"votes 0\.\.4 are not all in 0\.\.3"),
        ({"random_label1": np.array([0.0, 1.0, 2.0])}, "its votes are no lists of labels of one length"),
        (
            {"random_label1": np.array([0, 1, 2]), "random_label2": np.array([0, 1])},
            "its votes are no lists of labels of one length",
        ),
        ({"labels": np.array([0, 1, 2])}, "has no counts, probs or random_label1, ...; it has labels"),
    ],
)
def test_what_are_no_votes(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read(saved(tmp_path, **arrays))
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.votes: /nowhere: no such file"):
        read("/nowhere")
    (tmp_path / "text.npz").write_text("votes")
    with pytest.raises(UsageError, match=r"text\.npz: cannot be read"):
        read(str(tmp_path / "text.npz"))


def test_the_real_votes_on_cifar10(shared_data: Path, cifar10: Path) -> None:
    options = {
        "root": str(cifar10),
        "votes": str(shared_data / "cifar10" / "cifar10h.npz"),
        "train_votes": str(shared_data / "cifar_n.npz"),
    }
    data = load("cifar10", limit=1000, options=options)
    assert data.test.truth is not None
    assert data.train.truth is not None
    assert data.validation.truth is not None
    agreement = (data.test.truth.argmax(1) == data.test.labels).double().mean()
    assert float(agreement) == pytest.approx(0.9921, abs=5e-4)
    thirds = (3 * data.train.truth).round()
    torch.testing.assert_close(thirds / 3, data.train.truth, rtol=0, atol=1e-6)
    ends = distance_to_truth(data.test.truth.clamp_min(1e-12).log(), data.test.truth)
    assert ends.mse == pytest.approx(0, abs=1e-9)
    assert 0.9 < ends.bayes_accuracy < 0.99
