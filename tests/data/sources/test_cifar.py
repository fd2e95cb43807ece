from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from preceptor.data import Data, load
from preceptor.errors import UsageError


def test_the_real_cifar100(cifar100: Path, shared_data: Path) -> None:
    data = load("cifar100", validation=0.0, options={"root": str(cifar100)})
    labels = np.load(shared_data / "cifar100" / "labels.npz", allow_pickle=False)
    assert torch.equal(data.train.labels, torch.from_numpy(labels["y_train"].astype(np.int64)))
    assert torch.equal(data.test.labels, torch.from_numpy(labels["y_test"].astype(np.int64)))
    assert data.class_names == tuple(labels["fine_names"].tolist())
    assert (data.input_shape, data.view, data.protocol) == ((3, 32, 32), "crop_flip", "cifar")
    pixels = data.train.inputs(torch.arange(50_000))
    for channel in range(3):
        counts = torch.bincount(pixels[:, channel].flatten(), minlength=256).double()
        values = torch.arange(256).double() / 255
        mean = (counts * values).sum() / counts.sum()
        std = ((counts * (values - mean) ** 2).sum() / counts.sum()).sqrt()
        assert data.normalisation.mean[channel] == pytest.approx(mean.item(), abs=1e-3)
        assert data.normalisation.std[channel] == pytest.approx(std.item(), abs=1e-3)
    inside = load("cifar100", limit=500, options={"root": str(cifar100 / "cifar-100-python")})
    assert torch.bincount(inside.validation.labels).tolist() == [10] * 100
    assert torch.bincount(inside.train.labels).tolist() == [5] * 100


def small(root: Path, **changes: Any) -> Path:
    """A CIFAR-100 in miniature, as Python 3 would save it; a change replaces one entry of train or meta."""
    folder = root / "cifar-100-python"
    folder.mkdir(exist_ok=True)
    part = {"data": np.arange(200, dtype=np.uint8)[:, None].repeat(3072, 1), "fine_labels": list(range(100)) * 2}
    meta = {"fine_label_names": [f"class {k}" for k in range(100)]}
    for name, record in (("train", part), ("test", part), ("meta", meta)):
        changed = {key: changes.get(key, value) if name != "test" else value for key, value in record.items()}
        (folder / name).write_bytes(pickle.dumps(changed, 2))
    return root


def read(root: Path) -> Data:
    return load("cifar100", validation=0.0, options={"root": str(root)})


def test_what_python_3_saved(tmp_path: Path) -> None:
    data = read(small(tmp_path))
    assert (len(data.train), data.num_classes, data.class_names[7]) == (200, 100, "class 7")
    assert data.train.inputs(torch.tensor([9])).flatten().tolist() == [9] * 3072


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"data": np.zeros((200, 3071), np.uint8)},
            r"pixels are uint8 \(200, 3071\), expected uint8 \(samples, 3072\)",
        ),
        ({"data": np.zeros((200, 3072), np.float32)}, r"pixels are float32 \(200, 3072\)"),
        ({"data": np.zeros((199, 3072), np.uint8)}, "199 images and 200 labels"),
        ({"fine_labels": [0] * 199 + [100]}, r"label 100 of sample 199 is not in 0\.\.99"),
        ({"fine_labels": [[1], [2, 3]]}, "fine_labels has rows of different lengths"),
        ({"fine_label_names": ["a"] * 20}, "fine_label_names is no list of 100 names"),
        ({"fine_label_names": "abc"}, "fine_label_names is no list of 100 names"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(small(tmp_path, **changes))


def test_missing_files_say_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gone: no such folder"):
        read(tmp_path / "gone")
    with pytest.raises(UsageError, match="holds no cifar-100-python/meta"):
        read(tmp_path)
    small(tmp_path)
    (tmp_path / "cifar-100-python" / "test").unlink()
    with pytest.raises(UsageError, match="cifar-100-python/test: no such file"):
        read(tmp_path)


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    train = small(tmp_path) / "cifar-100-python" / "train"
    train.write_bytes(train.read_bytes()[:1000])
    with pytest.raises(UsageError, match="train: damaged or truncated"):
        read(tmp_path)
