from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from preceptor.data import Arrays, Data, LoaderSettings, Normalisation, Stream, StreamLoader, from_objects
from preceptor.data.augment.views import VIEWS
from preceptor.errors import UsageError

Sample = tuple[Tensor, int]


class Counted(IterableDataset[Sample]):
    """Images of one shade, in an order that changes from pass to pass."""

    def __init__(self, number: int, *, yielded: int | None = None) -> None:
        self.number, self.yielded, self.number_of_pass = number, yielded, 0

    def set_epoch(self, epoch: int) -> None:
        self.number_of_pass = epoch

    def __len__(self) -> int:
        return self.number

    def __iter__(self) -> Iterator[Sample]:
        for place in range(self.number if self.yielded is None else self.yielded):
            row = (place * 7 + 3 * self.number_of_pass) % self.number
            yield torch.full((3, 8, 8), row, dtype=torch.uint8), row % 3


class Endless(IterableDataset[Sample]):
    def __iter__(self) -> Iterator[Sample]:
        return ((torch.tensor([float(k)]), k % 2) for k in count())


class Short(IterableDataset[Sample]):
    def __iter__(self) -> Iterator[Sample]:
        return ((torch.tensor([float(k)]), k % 2) for k in range(5))


def loader_of(stream: Stream, *, workers: int = 0, view: str = "none", batch_size: int = 4) -> StreamLoader:
    return StreamLoader(
        stream,
        LoaderSettings(
            batch_size=batch_size,
            view=view,
            normalisation=Normalisation(),
            seed=5,
            device=torch.device("cpu"),
            workers=workers,
        ),
        3,
    )


def values(loader: StreamLoader, epoch: int, start: int = 0) -> list[list[int]]:
    return [batch.inputs.flatten(1)[:, 0].long().tolist() for batch in loader.batches(epoch, start=start)]


def test_an_epoch_is_a_pass_and_each_pass_is_told_its_number() -> None:
    loader = loader_of(Stream(Counted(10)))
    assert loader.num_batches == 3
    for epoch in (1, 2):
        batches = list(loader.batches(epoch))
        rows = [(place * 7 + 3 * (epoch - 1)) % 10 for place in range(10)]
        assert [len(batch.inputs) for batch in batches] == [4, 4, 2]
        shades = torch.cat([batch.inputs[:, 0, 0, 0] for batch in batches]) * 255
        assert shades.round().int().tolist() == rows
        assert torch.cat([batch.index for batch in batches]).tolist() == list(range(10))
        assert torch.cat([batch.labels for batch in batches if batch.labels is not None]).tolist() == [
            r % 3 for r in rows
        ]


def test_an_epoch_of_a_set_length_continues_where_the_last_one_ended() -> None:
    loader = loader_of(Stream(Endless(), samples_per_epoch=6))
    assert values(loader, 1) == [[0, 1, 2, 3], [4, 5]]
    assert values(loader, 2) == [[6, 7, 8, 9], [10, 11]]
    assert values(loader, 5) == [[24, 25, 26, 27], [28, 29]]  # not the next one: begun anew and skipped
    assert values(loader, 5, start=1) == [[28, 29]]
    again = loader_of(Stream(Short(), samples_per_epoch=4), batch_size=3)
    assert [values(again, epoch) for epoch in (1, 2, 3)] == [[[0, 1, 2], [3]], [[4, 0, 1], [2]], [[3, 4, 0], [1]]]


@pytest.mark.parametrize("workers", [0, 2])
def test_any_batch_can_be_the_first_and_views_are_keyed_by_place(workers: int) -> None:
    full = list(loader_of(Stream(Counted(22)), view="crop_flip").batches(3))
    tail = list(loader_of(Stream(Counted(22)), view="crop_flip", workers=workers).batches(3, start=2))
    assert len(tail) == len(full) - 2
    for one, other in zip(full[2:], tail, strict=True):
        assert one.inputs.equal(other.inputs)
        assert one.index.equal(other.index)
    raw = torch.stack([torch.full((3, 8, 8), (place * 7 + 6) % 22, dtype=torch.uint8) for place in range(4)])
    assert full[0].inputs.equal(VIEWS["crop_flip"](raw, 5, 3, torch.arange(4)).float() / 255)


def data_of(train: Stream | Counted) -> Data:
    return from_objects({"train": train, "test": Counted(30)}, validation=0)


def test_a_stream_beside_a_test_part_that_is_read_into_memory() -> None:
    data = data_of(Counted(30))
    assert isinstance(data.train, Stream)
    assert isinstance(data.test, Arrays)
    assert (len(data.train), len(data.validation), len(data.test), data.num_classes) == (30, 0, 30, 3)
    assert data.input_shape == (3, 8, 8)
    assert any("stream: 30 samples make an epoch" in note for note in data.notes)
    assert data_of(Counted(30)).fingerprint == data.fingerprint != data_of(Counted(31)).fingerprint


def test_what_a_stream_cannot_do_is_said() -> None:
    with pytest.raises(
        UsageError, match=r"Endless has no length; pass preceptor\.data\.Stream\(dataset, samples_per_epoch"
    ):
        from_objects({"train": Endless(), "test": Counted(3)})
    with pytest.raises(UsageError, match="a stream has no test split"):
        from_objects(Counted(30))
    with pytest.raises(UsageError, match=r"data\.validation: 0\.5 needs samples .* this is a stream"):
        from_objects({"train": Counted(30), "test": Counted(3)}, validation=0.5)
    with pytest.raises(UsageError, match=r"data\.limit: 5 needs samples .* this is a stream"):
        from_objects({"train": Counted(30), "test": Counted(3)}, limit=5)
    stream = Stream(Counted(100))
    assert stream.inputs(torch.tensor([0, 63])).shape == (2, 3, 8, 8)
    with pytest.raises(UsageError, match="row 64 of a stream cannot be read by its number"):
        stream.inputs(torch.tensor([64]))
    with pytest.raises(UsageError, match="cannot be cut"):
        stream.take(torch.tensor([0]))
    with pytest.raises(UsageError, match="samples_per_epoch 0 is not at least 1"):
        Stream(Endless(), samples_per_epoch=0)


class Bare(IterableDataset[Tensor]):
    def __len__(self) -> int:
        return 4

    def __iter__(self) -> Iterator[Tensor]:
        return iter(torch.zeros(4, 2))


class Uneven(IterableDataset[Sample]):
    def __len__(self) -> int:
        return 4

    def __iter__(self) -> Iterator[Sample]:
        return ((torch.zeros(2 + k // 3), 0) for k in range(4))


@pytest.mark.parametrize("workers", [0, 1])
def test_streams_that_break_their_word_are_named_in_one_line(workers: int) -> None:
    with pytest.raises(UsageError, match=r"sample 0 of the stream is of type Tensor, expected \(input, label\)"):
        Stream(Bare())
    with pytest.raises(UsageError, match=r"sample 3 of the stream has shape \(3,\), sample 0 of the stream has \(2,\)"):
        Stream(Uneven())
    short = Stream(Counted(80, yielded=70))
    with pytest.raises(UsageError, match=r"gave 70 samples, its length says 80") as caught:
        list(loader_of(short, workers=workers).batches(1))
    assert "\n" not in str(caught.value)
    two = StreamLoader(
        Stream(Counted(9)),
        LoaderSettings(
            batch_size=4,
            view="none",
            normalisation=Normalisation(),
            seed=0,
            device=torch.device("cpu"),
            workers=workers,
        ),
        2,
    )
    with pytest.raises(UsageError, match="gave label 2, the data have 2 classes"):
        list(two.batches(1))
