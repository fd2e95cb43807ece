from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from preceptor.data import Arrays, Items, from_objects
from preceptor.data.sources.stream import Stream, read_all
from preceptor.data.split import Joined, as_labels
from preceptor.errors import UsageError


@pytest.mark.parametrize("values", [[0, 2, 1], [0.0, 2.0, 1.0], np.array([0, 2, 1], np.uint8)])
def test_whole_numbers_of_any_type_are_labels(values: Any) -> None:
    labels = as_labels(np.asarray(values), "data")
    assert labels.tolist() == [0, 2, 1]
    assert labels.dtype == torch.int64


@pytest.mark.parametrize(("value", "shown"), [(-1, "-1.0"), (0.5, "0.5"), (3, "3.0"), (np.nan, "nan"), (np.inf, "inf")])
def test_the_offending_label_and_its_row_are_named(value: float, shown: str) -> None:
    with pytest.raises(UsageError, match=rf"here: label {shown} of sample 2 is not in 0\.\.2"):
        as_labels(np.array([0.0, 1.0, value]), "here", 3)


def test_infinity_is_no_label_without_a_bound_either() -> None:
    with pytest.raises(UsageError, match="label inf of sample 1"):
        as_labels(np.array([0, np.inf]), "data")


def test_counts_of_inputs_and_labels_must_agree() -> None:
    with pytest.raises(UsageError, match="3 inputs and 2 labels"):
        Arrays(torch.zeros(3, 2), torch.zeros(2, dtype=torch.int64))


def test_take_keeps_rows_labels_and_truth_together() -> None:
    split = Arrays(torch.arange(6.0)[:, None], torch.arange(6), torch.eye(6))
    subset = split.take(torch.tensor([4, 1])).take(torch.tensor([1]))
    assert subset.inputs(torch.tensor([0])).tolist() == [[1.0]]
    assert subset.labels.tolist() == [1]
    assert subset.truth is not None
    assert subset.truth.argmax(1).tolist() == [1]


class LazyImages(Dataset[Any]):
    """What torchvision's data sets look like: PIL images, `targets`, a `target_transform`."""

    def __init__(self, mode: str, target_transform: Any = None) -> None:
        self.mode, self.target_transform = mode, target_transform
        self.targets = [0, 1, 2, 0]

    def __len__(self) -> int:
        return 4

    def __getitem__(self, row: int) -> Any:
        pixels = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3) + row
        label = self.targets[row]
        image = Image.fromarray(pixels if self.mode == "RGB" else pixels[..., 0])
        return image, label if self.target_transform is None else self.target_transform(label)


def test_pil_images_become_channels_first() -> None:
    colour = Items(LazyImages("RGB")).inputs(torch.tensor([0, 2]))
    assert colour.shape == (2, 3, 5, 7)
    assert colour.dtype == torch.uint8
    assert colour[1, 1, 0, 0] == 3
    assert Items(LazyImages("L")).inputs(torch.tensor([0])).shape == (1, 1, 5, 7)


def test_targets_are_not_believed_where_a_transform_changes_them() -> None:
    assert Items(LazyImages("L")).labels.tolist() == [0, 1, 2, 0]
    assert Items(LazyImages("L", lambda label: 2 - label)).labels.tolist() == [2, 1, 0, 2]


class Ragged(Dataset[Any]):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, row: int) -> Any:
        return torch.zeros(2 + row), 0


def test_samples_of_different_shape_are_named() -> None:
    with pytest.raises(UsageError, match=r"item 1 of the Dataset has shape \(3,\), item 0 of the Dataset has \(2,\)"):
        Items(Ragged()).inputs(torch.arange(3))


class Named(Ragged):
    """Gives mappings, as data sets of other libraries do."""

    def __getitem__(self, row: int) -> Any:
        inputs, label = super().__getitem__(row)
        return {"image": inputs, "label": label}


def test_items_that_are_no_pairs_are_named() -> None:
    with pytest.raises(
        UsageError, match=r"item 0 of the Dataset is of type dict with keys 'image', 'label', expected \(input"
    ):
        Items(Named())


def test_an_item_is_named_as_its_owner_counts_it() -> None:
    subset = Items(Ragged()).take(torch.tensor([1, 0]))
    with pytest.raises(UsageError, match=r"item 0 of the Dataset has shape \(2,\), item 1 of the Dataset has \(3,\)"):
        subset.inputs(torch.tensor([0, 1]))


def test_splits_one_after_another() -> None:
    first = Arrays(torch.arange(3.0)[:, None], torch.tensor([0, 1, 2]))
    split = Joined([first, Arrays(10 + torch.arange(2.0)[:, None], torch.tensor([3, 4]), None)])
    assert split.labels.tolist() == [0, 1, 2, 3, 4]
    assert split.inputs(torch.tensor([4, 0, 3, 2])).flatten().tolist() == [11, 0, 10, 2]
    subset = split.take(torch.tensor([3, 1]))
    assert (subset.labels.tolist(), subset.inputs(torch.tensor([1, 0])).flatten().tolist()) == ([3, 1], [1, 10])
    known = Joined([Arrays(first.values, first.labels, torch.eye(3)), Arrays(first.values, first.labels, torch.eye(3))])
    assert known.truth is not None
    assert known.take(torch.tensor([4])).truth.argmax(1).tolist() == [1]  # type: ignore[union-attr]
    assert split.truth is None


class Elsewhere(Tensor):
    """A tensor of another device: it takes no operation but that it is brought to the CPU, or is indexed."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.__name__ not in {"detach", "cpu", "__get__", "__getitem__", "unbind", "__len__", "size"}:
            raise TypeError(f"{func.__name__}: can't convert cuda:0 device type tensor to numpy")
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **(kwargs or {}))
        return result.as_subclass(Tensor if func.__name__ == "cpu" else cls) if isinstance(result, Tensor) else result

    def __array__(self, *args: Any, **keys: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


class ElsewhereItems(Dataset[Any]):
    def __init__(self, inputs: Tensor, labels: Tensor) -> None:
        self.inputs, self.labels = inputs.as_subclass(Elsewhere), labels.as_subclass(Elsewhere)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor]:
        return self.inputs[item], self.labels[item]


class ElsewhereTargets(ElsewhereItems):
    @property
    def targets(self) -> Tensor:
        return self.labels


@pytest.mark.parametrize("kind", [ElsewhereItems, ElsewhereTargets])
def test_samples_of_another_device_are_brought_to_the_cpu(kind: type[ElsewhereItems]) -> None:
    inputs, labels = torch.randn(12, 3, requires_grad=True), torch.arange(12) % 3
    items = Items(kind(inputs, labels))
    assert torch.equal(items.labels, labels)
    assert torch.equal(items.inputs(torch.tensor([3, 1])), inputs[[3, 1]])
    assert type(items.inputs(torch.tensor([0]))) is Tensor
    pair = from_objects((inputs.as_subclass(Elsewhere), labels.as_subclass(Elsewhere)))
    assert len(pair.train) + len(pair.validation) + len(pair.test) == 12
    assert torch.equal(as_labels(labels.as_subclass(Elsewhere), "data"), labels)


class ElsewhereStream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        items = ElsewhereItems(torch.eye(6), torch.arange(6) % 3)
        return (items[row] for row in range(6))

    def __len__(self) -> int:
        return 6


def test_a_stream_of_another_device_is_too() -> None:
    held = read_all(Stream(ElsewhereStream()))
    assert torch.equal(held.values, torch.eye(6))
    assert torch.equal(held.labels, torch.arange(6) % 3)


class Stated(Dataset[Any]):
    """Has `targets`, which need not be the labels of its samples."""

    def __init__(self, labels: list[int], targets: Any) -> None:
        self.labels, self.targets = labels, targets

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> Any:
        return torch.full((2,), float(row)), self.labels[row]


@pytest.mark.parametrize(
    "targets", [[0, 1, 1, 0, 1, 1], [1, 0, 0, 1], [[0], [1, 2], [1], [0]], 3, ["a", "b", "b", "a"]]
)
def test_targets_are_not_believed_where_samples_have_other_labels(targets: Any) -> None:
    assert Items(Stated([0, 1, 1, 0], targets)).labels.tolist() == [0, 1, 1, 0]


def test_a_sample_whose_label_is_another_than_before_stops_the_run() -> None:
    dataset = Stated([0] * 1000, [0] * 1000)
    dataset.labels[501] = 1  # not among the few that are compared at the start
    items = Items(dataset)
    assert items.take(torch.tensor([4, 500])).inputs(torch.tensor([0, 1])).tolist() == [[4.0, 4.0], [500.0, 500.0]]
    with pytest.raises(
        UsageError, match=r"item 501 of the Dataset came with the label 1, and with 0 before or in its \.targets"
    ):
        items.take(torch.tensor([4, 501])).inputs(torch.tensor([0, 1]))


def test_swapped_samples_of_a_dataset_are_other_samples() -> None:
    class Swapped(Stated):
        def __getitem__(self, row: int) -> Any:
            return super().__getitem__({5: 6, 6: 5}.get(row, row))

    one, other = (Items(kind([0] * 20, [0] * 20)) for kind in (Stated, Swapped))
    assert one.identity_bytes() != other.identity_bytes()
    assert one.identity_bytes() == Items(Stated([0] * 20, [0] * 20)).identity_bytes()
