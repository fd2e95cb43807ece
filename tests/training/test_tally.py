from __future__ import annotations

import math

import pytest
import torch

from preceptor.distributed import Processes
from preceptor.training.tally import Tally

LOGITS = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 3.0], [1.0, 5.0, 0.0]])


def test_means_are_over_rows_and_of_terms_over_the_rows_they_were_applied_to() -> None:
    tally = Tally(["ce", "kd", "never"])
    tally.add(LOGITS, torch.tensor([0, 1]), torch.tensor(0.5), {"ce": torch.tensor(1.0), "kd": torch.tensor(4.0)})
    tally.add(LOGITS[:1], None, torch.tensor(2.5), {"kd": torch.tensor(8.0)})
    tally.add_seconds(2.0)
    assert tally.loss == pytest.approx((3 * 0.5 + 2.5) / 4)
    assert tally.num_labelled == 2
    assert tally.accuracy == 0.5
    assert tally.term_means == pytest.approx({"ce": 1.0, "kd": (3 * 4 + 8) / 4})
    assert tally.images_per_second == 2.0
    assert tally.num_classes == 3


def test_of_multi_label_data_every_answer_counts() -> None:
    tally = Tally(["bce"])
    tally.add(
        LOGITS - 0.5, torch.tensor([[1, 1, 0], [1, 0, 1], [0, 1, 0]]), torch.tensor(1.0), {"bce": torch.tensor(1.0)}
    )
    assert tally.accuracy == pytest.approx((1 + 1 / 3 + 2 / 3) / 3)


def test_target_distributions_are_no_classes() -> None:
    tally = Tally(["ce"])
    tally.add(LOGITS, LOGITS.softmax(1), torch.tensor(1.0), {"ce": torch.tensor(1.0)})
    assert tally.accuracy is None


def test_it_starts_empty_and_goes_on_from_its_values() -> None:
    empty = Tally(["ce"])
    assert (empty.loss, empty.accuracy, empty.term_means, empty.images_per_second) == (0.0, None, {}, 0.0)
    empty.add(LOGITS, torch.tensor([0, 2, 1]), torch.tensor(math.pi), {"ce": torch.tensor(math.e)})
    further = Tally(["ce"], empty.values)
    assert further.loss == pytest.approx(math.pi)
    assert further.accuracy == 1.0


def test_what_all_processes_had_seen_counts_once_when_several_go_on() -> None:
    tally = Tally(["ce"])
    tally.add(LOGITS, torch.tensor([0, 2, 1]), torch.tensor(1.0), {"ce": torch.tensor(1.0)})
    tally.add_seconds(3.0)
    assert tally.continued(Processes()) is tally
    other = tally.continued(Processes(rank=1, count=2))
    assert other.values.tolist() == [0.0, 3.0, *(0.0 for _ in other.values[2:])]
