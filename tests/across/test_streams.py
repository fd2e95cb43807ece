"""Samples that come one after another, from teaching to a run that goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import IterableDataset

import preceptor
from preceptor.data import Stream
from preceptor.errors import Interrupted, UsageError

Sample = tuple[Tensor, int]
TABLE = load_digits()


class Digits(IterableDataset[Sample]):
    """Real digits, shuffled anew for each pass; asks to stop, as the user might, after a number of them."""

    def __init__(self) -> None:
        self.seed = 0
        self.left: int | None = None

    def set_epoch(self, epoch: int) -> None:
        self.seed = epoch

    def __iter__(self) -> Iterator[Sample]:
        order = torch.randperm(1500, generator=torch.Generator().manual_seed(self.seed))
        for row in order.tolist():
            if self.left is not None:
                self.left -= 1
                if self.left == 0:
                    raise KeyboardInterrupt
            yield torch.tensor(TABLE.images[row] / 16, dtype=torch.float32)[None], int(TABLE.target[row])


def data(stream: Digits, samples: int = 400) -> dict[str, object]:
    test = (TABLE.images[1500:] / 16).astype("float32")[:, None], TABLE.target[1500:]
    return {"train": Stream(stream, samples_per_epoch=samples), "test": test}


def teach(stream: Digits, out: Path, *, resume: bool = False) -> preceptor.Result:
    return preceptor.teach(
        data=data(stream),  # type: ignore[arg-type]
        model="convnet_s",
        epochs=4,
        batch_size=32,
        checkpoint_every_steps=5,
        resume=resume,
        out=out,
        progress=False,
    )


def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole = teach(Digits(), tmp_path / "whole")
    assert whole.metrics.accuracy > 0.3
    stream = Digits()
    stream.left = 64 + 64 + 700  # what is looked at first, and then into the middle of epoch 2
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        teach(stream, tmp_path / "cut")
    assert not (tmp_path / "cut" / "result.json").exists()
    resumed = teach(Digits(), tmp_path / "cut", resume=True)
    other = resumed.model.state_dict()
    assert all(value.equal(other[name]) for name, value in whole.model.state_dict().items())


def test_a_student_learns_from_a_stream_and_memories_of_samples_are_refused(tmp_path: Path) -> None:
    teacher = preceptor.teach(data="digits", model="convnet_m", epochs=5, out=tmp_path / "t", progress=False)

    class Scaled(nn.Module):
        """The teacher, told what was subtracted and divided by in its own training."""

        def __init__(self) -> None:
            super().__init__()
            self.network = teacher.model

        def forward(self, inputs: Tensor) -> Tensor:
            logits: Tensor = self.network((inputs - inputs.mean()) / inputs.std())
            return logits

    def distil(method: str) -> preceptor.Result:
        return preceptor.distill(
            data=data(Digits(), 1500),  # type: ignore[arg-type]
            teacher=Scaled(),
            model="convnet_s",
            method=method,
            epochs=4,
            out=tmp_path / method,
            progress=False,
        )

    assert distil("kd").metrics.accuracy > 0.4
    with pytest.raises(UsageError, match="crd needs samples that can be told apart, and those of a stream cannot"):
        distil("crd")
    with pytest.raises(UsageError, match="labels: a stream's samples cannot be told apart"):
        preceptor.label(data=data(Digits()), teacher=teacher, out=tmp_path / "l", progress=False)  # type: ignore[arg-type]
