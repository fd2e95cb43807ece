"""What travels: batches and outputs cut into rows, with the weight that the rows have in a step."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from preceptor.types import Batch, Outputs, Progress, Step, View, Vocabulary

VIEW = View("flip", 0, 1)


def a_batch(rows: int = 6, labelled: int = 4, samples: int = 5) -> Batch:
    inputs = torch.arange(float(rows))[:, None]
    return Batch(inputs, torch.arange(labelled), torch.arange(samples), VIEW, {"strong": -inputs})


def test_rows_cut_everything_alike() -> None:
    batch = a_batch().rows(3, 6)
    assert batch.inputs.flatten().tolist() == [3, 4, 5]
    assert batch.extra_views["strong"].flatten().tolist() == [-3, -4, -5]
    assert batch.labels is not None
    assert (batch.labels.tolist(), batch.index.tolist(), batch.num_labelled) == ([3], [3, 4], 1)
    assert Batch(batch.inputs, None, batch.index, VIEW).num_labelled == 0


@pytest.mark.parametrize("step", [2, 3, 4])
def test_strides_share_out_a_batch(step: int) -> None:
    batch = a_batch()
    strides = [batch.stride(start, step) for start in range(step)]
    assert sorted(torch.cat([each.inputs for each in strides]).flatten().tolist()) == [0, 1, 2, 3, 4, 5]
    for name in ("share", "labelled_share", "sample_share"):  # their mean over the processes is that of the full batch
        assert sum(getattr(each, name) for each in strides) / step == pytest.approx(1.0)
    for each in strides:
        assert each.labels is not None
        assert each.inputs.flatten()[: each.num_labelled].tolist() == each.labels.tolist()  # labelled rows stay first


def test_a_process_without_rows_runs_one_that_counts_nothing() -> None:
    idle = a_batch(rows=1, labelled=1, samples=1).stride(1, 2)
    assert (len(idle.inputs), idle.share, idle.labelled_share, idle.sample_share) == (1, 0.0, 0.0, 0.0)


def test_outputs_cut_features_views_and_members() -> None:
    logits = torch.arange(8.0).reshape(4, 2)
    alone = Outputs(logits, {"block1": logits + 1})
    outputs = Outputs(logits, {"block1": logits}, {"strong": alone}, (alone, alone)).rows(1, 3)
    assert torch.equal(outputs.logits, logits[1:3])
    assert torch.equal(outputs.views["strong"].features["block1"], logits[1:3] + 1)
    assert [len(member.logits) for member in outputs.members] == [2, 2]


def test_a_step_of_some_rows_may_have_no_teacher() -> None:
    step = Step(a_batch(), Outputs(torch.zeros(6, 2)), None, nn.Identity(), Progress(1, 2, 0.0))
    cut = step.rows(0, 2)
    assert cut.teacher is None
    assert (len(cut.batch.inputs), len(cut.student.logits)) == (2, 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        cut.teacher = step.student  # type: ignore[misc]


def test_a_vocabulary_is_its_tokens_in_any_order() -> None:
    one = Vocabulary.of({"[PAD]": 0, "good": 1, "bad": 4}, 0)
    assert (one.size, one.padding, len(one.fingerprint)) == (5, 0, 16)
    assert one == Vocabulary.of({"bad": 4, "[PAD]": 0, "good": 1}, 0)
    assert one.fingerprint != Vocabulary.of({"[PAD]": 0, "good": 4, "bad": 1}, 0).fingerprint
