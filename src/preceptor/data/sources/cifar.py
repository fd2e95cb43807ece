"""CIFAR-10 and CIFAR-100 in their published layouts (Krizhevsky 2009)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from preceptor.data.dataset import Source
from preceptor.data.sources.groups import Groups, regrouped
from preceptor.data.sources.pickles import read_pickle
from preceptor.data.sources.votes import read_votes
from preceptor.data.split import Arrays, as_labels
from preceptor.errors import UsageError
from preceptor.types import Preprocessing

__all__ = ["cifar10", "cifar100"]

_VALIDATION_SHARE = 0.02  # small, so that numbers stay comparable with the protocol's full training set


def cifar10(
    *, root: str, votes: str | None = None, train_votes: str | None = None, groups: Groups | None = None
) -> Source:
    """60,000 colour images, 32x32, 10 classes; `root` holds cifar-10-batches-py, or is it.

    Args:
        root: the folder.
        votes: an .npz of human votes on the test images (CIFAR-10H): the shares of votes are their true label distribution.
        train_votes: the same for the training images (CIFAR-10N, three votes each).
        groups: classes merged into groups, as in [[0,1,2,3,4],[5,6,7,8,9]]; every class belongs to one group.
    """
    folder = _folder(root, "cifar-10-batches-py", "batches.meta")
    names = _names(folder / "batches.meta", "label_names", 10)
    train = _read([folder / f"data_batch_{k}" for k in range(1, 6)], "labels", 10)
    test = _read([folder / "test_batch"], "labels", 10)
    source = _source(
        "cifar10",
        _voted(train, train_votes, "data.train_votes"),
        _voted(test, votes, "data.votes"),
        names,
        Preprocessing((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    )
    return regrouped(source, groups)


def cifar100(*, root: str, groups: Groups | None = None) -> Source:
    """60,000 colour images, 32x32, 100 classes; `root` holds cifar-100-python, or is it.

    Args:
        root: the folder.
        groups: classes merged into groups; every class belongs to one group.
    """
    folder = _folder(root, "cifar-100-python", "meta")
    names = _names(folder / "meta", "fine_label_names", 100)
    source = _source(
        "cifar100",
        _read([folder / "train"], "fine_labels", 100),
        _read([folder / "test"], "fine_labels", 100),
        names,
        Preprocessing((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    )
    return regrouped(source, groups)


def _source(name: str, train: Arrays, test: Arrays, names: tuple[str, ...], preprocessing: Preprocessing) -> Source:
    return Source(
        name=name,
        train=train,
        test=test,
        class_names=names,
        preprocessing=preprocessing,
        view="crop_flip",
        protocol="cifar",
        validation_share=_VALIDATION_SHARE,
    )


def _voted(split: Arrays, path: str | None, where: str) -> Arrays:
    if path is None:
        return split
    truth = read_votes(path, len(split), 10, where=where, name="CIFAR-10")
    return Arrays(split.values, split.labels, truth, split.numbers)


def _folder(root: str, layout: str, marker: str) -> Path:
    path = Path(root).expanduser()
    if not path.exists():
        raise UsageError(f"data.root: {path}: no such folder")
    for candidate in (path / layout, path):
        if (candidate / marker).exists():
            return candidate
    raise UsageError(f"data.root: {path} holds no {layout}/{marker}")


def _names(path: Path, key: str, num_classes: int) -> tuple[str, ...]:
    names = _entry(read_pickle(path), key, path)
    if not isinstance(names, list | tuple) or len(names) != num_classes:
        raise UsageError(f"data {path}: {key} is no list of {num_classes} names")
    return tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names)


def _read(paths: list[Path], label_key: str, num_classes: int) -> Arrays:
    images, labels = [], []
    for path in paths:
        content = read_pickle(path)
        pixels = _listed(content, "data", path)
        if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != 3072:
            raise UsageError(f"data {path}: pixels are {pixels.dtype} {pixels.shape}, expected uint8 (samples, 3072)")
        file_labels = as_labels(_listed(content, label_key, path), f"data {path}", num_classes)
        if len(file_labels) != len(pixels):
            raise UsageError(f"data {path}: {len(pixels)} images and {len(file_labels)} labels")
        images.append(torch.from_numpy(pixels.reshape(-1, 3, 32, 32).copy()))
        labels.append(file_labels)
    return Arrays(torch.cat(images), torch.cat(labels))


def _listed(content: dict[str, object], key: str, path: Path) -> NDArray[Any]:
    try:
        return np.asarray(_entry(content, key, path))
    except ValueError as error:
        raise UsageError(f"data {path}: {key} has rows of different lengths") from error


def _entry(content: dict[str, object], key: str, path: Path) -> object:
    if key not in content:
        raise UsageError(f"data {path}: has no {key}; it has {', '.join(content)}")
    return content[key]
