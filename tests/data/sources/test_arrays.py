from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import preceptor.data
from preceptor.data import from_objects, load
from preceptor.errors import UsageError

X = np.random.default_rng(0).normal(3, 2, (100, 4)).astype(np.float32)
Y = np.arange(100) % 5


def saved(folder: Path, **arrays: Any) -> str:
    np.savez(folder / "a.npz", **arrays)
    return f"npz:{folder / 'a.npz'}"


def test_vectors_are_normalised_by_their_training_part(tmp_path: Path) -> None:
    data = load(saved(tmp_path, x_train=X, y_train=Y, x_test=X, y_test=Y), validation=0.0)
    shown = data.normalisation(data.train.inputs(torch.arange(100)))
    torch.testing.assert_close(shown.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(shown.std(0), torch.ones(4), atol=1e-5, rtol=0)
    assert (data.protocol, data.input_shape, data.num_classes) == ("vectors", (4,), 5)


def test_without_a_test_split_a_fifth_is_split_off_and_said(tmp_path: Path) -> None:
    data = load(saved(tmp_path, x=X, y=Y))
    assert torch.bincount(data.test.labels).tolist() == [4] * 5
    assert any(note.startswith("test: 20 of 100 samples") for note in data.notes)


@pytest.mark.parametrize("shape", [(30, 6, 5, 3), (30, 3, 6, 5)])
def test_channels_first_and_last(tmp_path: Path, shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    data = load(saved(tmp_path, x_train=images, y_train=Y[:30], x_test=images, y_test=Y[:30]), validation=0.0)
    expected = images if shape[1] == 3 else images.transpose(0, 3, 1, 2)
    assert torch.equal(data.train.inputs(torch.arange(30)), torch.from_numpy(expected.copy()))


def test_truth_is_carried_and_gives_the_number_of_classes(tmp_path: Path) -> None:
    truth = np.full((100, 7), 1 / 7)
    data = load(saved(tmp_path, x=X, y=Y, p=truth))
    assert data.num_classes == 7
    assert data.test.truth is not None
    assert data.test.truth.shape == (20, 7)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "needs x, y or x_train, y_train, x_test, y_test; it has x"),
        ({"x": X, "y": Y[:7]}, "100 inputs and 7 labels"),
        ({"x": X, "y": Y - 1}, "label -1 of sample 0"),
        ({"x": X, "y": Y + 0.5}, "label 0.5 of sample 0"),
        ({"x": X[:0], "y": Y[:0]}, "0 training and 0 test samples"),
        ({"x": np.where(X[3, 1] == X, np.nan, X), "y": Y}, "inputs of sample 3 are not finite"),
        (
            {"x": X, "y": Y, "p": np.ones((3, 5)) / 5},
            r"p is float64 \(3, 5\), expected one distribution for each of 100",
        ),
        ({"x": X, "y": Y, "p": np.ones((100, 5))}, "p of sample 0 is no distribution: it sums to 5"),
        ({"x": X, "y": Y, "p": np.ones((100, 2)) / 2}, "p has 2 classes, the labels and the other splits 5"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(saved(tmp_path, **arrays))


def test_objects_are_refused_and_not_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load(saved(tmp_path, x=np.array([{}], dtype=object), y=Y))


def test_damaged_and_missing_files_are_named(tmp_path: Path) -> None:
    name = saved(tmp_path, x=X, y=Y)
    file = tmp_path / "a.npz"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(UsageError, match=r"a\.npz: cannot be read"):
        load(name)
    with pytest.raises(UsageError, match=r"b\.npz: no such file"):
        load(f"npz:{tmp_path / 'b.npz'}")
    with pytest.raises(UsageError, match="one array has no labels"):
        load(f"npz:{tmp_path / 'b.npy'}")


def test_tensors_with_gradients_are_read() -> None:
    data = from_objects((torch.from_numpy(X).requires_grad_(), torch.from_numpy(Y)))
    assert data.input_shape == (4,)


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter([(torch.zeros(2), 0)])


@pytest.mark.parametrize(
    "samples",
    [{"train": 7, "test": (X, Y)}, Stream(), {"train": (X, Y)}, {"train": (X, Y), "test": (X, Y), "extra": 1}],
)
def test_other_objects_are_refused(samples: Any) -> None:
    with pytest.raises(
        UsageError,
        match=r"cannot use an object of type int|a stream has no test split|it takes train, test and validation",
    ):
        from_objects(samples)


def test_pulsars(shared_data: Path) -> None:
    data = load(f"npz:{shared_data / 'htru2.npz'}")
    assert (data.num_classes, data.input_shape) == (2, (8,))
    assert sum(len(split) for split in (data.train, data.validation, data.test)) == 17_898
    for split in (data.train, data.validation, data.test):
        assert split.labels.double().mean().item() == pytest.approx(0.0916, abs=1e-3)


def test_float_images_with_the_colours_last_are_turned_and_normalised_by_channel() -> None:
    images = np.random.default_rng(0).normal(size=(40, 6, 5, 3)) * np.array([1.0, 2.0, 3.0]) + 20
    data = from_objects((images.astype(np.float32), np.arange(40) % 2))
    assert data.input_shape == (3, 6, 5)
    assert data.normalisation.std is not None
    np.testing.assert_allclose(data.normalisation.std, [1, 2, 3], rtol=0.15)


def test_classes_without_training_samples_are_said() -> None:
    data = from_objects((np.random.default_rng(0).normal(size=(60, 3)), 1 + np.arange(60) % 3))
    assert "labels: of 4 classes, no training sample has 0" in data.notes


def test_a_limit_says_how_many_classes_it_loses() -> None:
    data = from_objects((np.random.default_rng(0).normal(size=(80, 3)), np.arange(80) % 4), limit=1)
    assert any(note.endswith("training samples, stratified; 3 of 4 classes have none") for note in data.notes)


def photographs(mean: float, std: float) -> np.ndarray:
    pixels = np.random.default_rng(0).uniform(size=(40, 3, 6, 5))
    return ((pixels - mean) / std).astype(np.float32)


@pytest.mark.parametrize(
    ("inputs", "is_normalised"),
    [
        (photographs(0.45, 0.22), False),  # as published weights expect them
        (photographs(0.5, 0.5), False),  # in [-1, 1]
        (photographs(0, 1), True),  # in [0, 1]
        (photographs(0, 1 / 255), True),
        (photographs(0.45, 0.22)[:, :, 0, 0], True),  # columns are standardised
        (1000 * photographs(0.45, 0.22), True),  # centred, not scaled
        ((255 * photographs(0, 1)).astype(np.uint8), True),
    ],
)
def test_only_what_is_not_normalised_already_is_normalised(inputs: np.ndarray, is_normalised: bool) -> None:
    pair = (inputs, np.arange(40) % 2)
    assert bool(from_objects(pair).normalisation.mean) is is_normalised
    for wanted in (True, False):
        assert bool(from_objects(pair, normalise=wanted).normalisation.mean) is wanted


def test_the_note_on_floats_names_the_key(tmp_path: Path) -> None:
    name = saved(tmp_path, x=photographs(0.5, 0.5), y=np.arange(40) % 2, extra=np.zeros(3))
    data = load(name)
    assert (
        "inputs are used as they are (floats in [-1, 0.999], normalised already); data.normalise=true changes that"
        in data.notes
    )
    assert "npz: not used: extra" in data.notes
    assert load(name, options={"normalise": True}).normalisation.mean


@pytest.mark.parametrize("wrap", [lambda loader: {"train": loader, "test": (X, Y)}, preceptor.data.Stream])
def test_a_data_loader_is_refused_with_what_to_pass(wrap: Any) -> None:
    loader = DataLoader(TensorDataset(torch.zeros(8, 2), torch.arange(8) % 2), batch_size=4)
    with pytest.raises(UsageError, match=r"a DataLoader makes batches of its own; pass what it reads, loader\.dataset"):
        from_objects(wrap(loader))
