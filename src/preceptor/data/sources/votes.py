"""Votes of many people on the class of an image, as an estimate of the true label distribution."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from preceptor.data.sources.npz_files import read_npz
from preceptor.errors import UsageError

__all__ = ["read_votes"]


def read_votes(path: str, samples: int, num_classes: int, *, where: str, name: str) -> Float[Tensor, "samples classes"]:
    """Return each sample's share of votes per class, float32, in the order of the file.

    Two layouts are read: CIFAR-10H (Peterson, Battleday, Griffiths, Russakovsky, ICCV 2019), with `counts` or `probs`
    [samples, classes]; and CIFAR-N (Wei et al., ICLR 2022), with one label array per vote, `random_label1`, `random_label2`, ...

    Args:
        path: an .npz file.
        samples: how many there must be.
        num_classes: votes must be below it.
        where: the configuration key, for messages.
        name: of the data set, with which the label arrays' names may begin.

    Raises:
        UsageError: when the file cannot be read, holds neither layout, or does not fit the data.
    """
    file = Path(path).expanduser()
    arrays = read_npz(file, where)
    one_vote = re.compile(rf"({re.escape(name)}_)?random_label\d+")
    votes = [array for key, array in arrays.items() if one_vote.fullmatch(key)]
    if "counts" in arrays or "probs" in arrays:
        shares = arrays["counts" if "counts" in arrays else "probs"]
    elif votes:
        shares = _counted(votes, num_classes, f"{where}: {file}")
    else:
        raise UsageError(f"{where}: {file}: has no counts, probs or random_label1, ...; it has {', '.join(arrays)}")
    if shares.shape != (samples, num_classes):
        raise UsageError(f"{where}: {file}: votes have shape {shares.shape}, the data need {(samples, num_classes)}")
    exact = shares.astype(np.float64)
    total = exact.sum(1, keepdims=True)
    bad = ~(np.isfinite(exact).all(1) & (exact >= 0).all(1) & (total[:, 0] > 0))
    if bad.any():
        raise UsageError(
            f"{where}: {file}: votes of sample {int(np.argmax(bad))} are no votes: {exact[np.argmax(bad)]}"
        )
    return torch.from_numpy(exact / total).float()


def _counted(votes: list[NDArray[Any]], num_classes: int, where: str) -> NDArray[np.int64]:
    stacked = np.stack(votes) if len({vote.shape for vote in votes}) == 1 else np.empty((0, 0))
    if stacked.ndim != 2 or stacked.size == 0 or stacked.dtype.kind not in "iu":
        raise UsageError(f"{where}: its votes are no lists of labels of one length")
    if stacked.min() < 0 or stacked.max() >= num_classes:
        raise UsageError(f"{where}: votes {stacked.min()}..{stacked.max()} are not all in 0..{num_classes - 1}")
    counts = np.zeros((stacked.shape[1], num_classes), np.int64)
    for vote in stacked:
        counts[np.arange(len(vote)), vote] += 1
    return counts
