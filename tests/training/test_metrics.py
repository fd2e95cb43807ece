from __future__ import annotations

import math

import pytest
import torch

from preceptor.distributed import Processes
from preceptor.training.metrics import RunningMetrics

LOGITS = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 3.0], [1.0, 5.0, 0.0]])


def test_means_are_over_rows_and_of_terms_over_the_rows_they_were_applied_to() -> None:
    metrics = RunningMetrics(["ce", "kd", "never"])
    both = {"ce": torch.tensor(1.0), "kd": torch.tensor(4.0)}
    metrics.add(LOGITS, torch.tensor([0, 1]), torch.tensor(0.5), both, {"ce": 0.1, "kd": 0.1, "never": 1.0})
    metrics.add(LOGITS[:1], None, torch.tensor(2.5), {"kd": torch.tensor(8.0)}, {"kd": 0.3125})
    metrics.add_seconds(2.0)
    assert metrics.loss == pytest.approx((3 * 0.5 + 2.5) / 4)
    assert metrics.num_labelled == 2
    assert metrics.accuracy == 0.5
    assert metrics.term_means == pytest.approx({"ce": 1.0, "kd": (3 * 4 + 8) / 4})
    assert metrics.weighted_means == pytest.approx({"ce": 3 * 0.1 / 4, "kd": (3 * 0.4 + 2.5) / 4, "never": 0.0})
    assert sum(metrics.weighted_means.values()) == pytest.approx(metrics.loss)
    assert metrics.images_per_second == 2.0
    assert metrics.num_classes == 3


def test_of_multi_label_data_every_answer_counts() -> None:
    metrics = RunningMetrics(["bce"])
    present = torch.tensor([[1, 1, 0], [1, 0, 1], [0, 1, 0]])
    metrics.add(LOGITS - 0.5, present, torch.tensor(1.0), {"bce": torch.tensor(1.0)}, {"bce": 1.0})
    assert metrics.accuracy == pytest.approx((1 + 1 / 3 + 2 / 3) / 3)


def test_target_distributions_are_no_classes() -> None:
    metrics = RunningMetrics(["ce"])
    metrics.add(LOGITS, LOGITS.softmax(1), torch.tensor(1.0), {"ce": torch.tensor(1.0)}, {"ce": 1.0})
    assert metrics.accuracy is None


def test_it_starts_empty_and_goes_on_from_its_values() -> None:
    empty = RunningMetrics(["ce"])
    assert (empty.loss, empty.accuracy, empty.term_means, empty.images_per_second) == (0.0, None, {}, 0.0)
    empty.add(LOGITS, torch.tensor([0, 2, 1]), torch.tensor(math.pi), {"ce": torch.tensor(math.e)}, {"ce": 0.0})
    continued = RunningMetrics(["ce"], empty.values)
    assert continued.loss == pytest.approx(math.pi)
    assert continued.accuracy == 1.0
    assert continued.weighted_means == {"ce": 0.0}


def test_a_term_of_weight_0_adds_nothing_even_where_it_is_infinite() -> None:
    metrics = RunningMetrics(["ce", "kd"])
    found = {"ce": torch.tensor(1.0), "kd": torch.tensor(math.inf)}
    metrics.add(LOGITS, None, torch.tensor(1.0), found, {"ce": 1.0, "kd": 0.0})
    assert metrics.weighted_means == {"ce": 1.0, "kd": 0.0}


def test_what_all_processes_had_seen_counts_once_when_several_go_on() -> None:
    metrics = RunningMetrics(["ce"])
    metrics.add(LOGITS, torch.tensor([0, 2, 1]), torch.tensor(1.0), {"ce": torch.tensor(1.0)}, {"ce": 1.0})
    metrics.add_seconds(3.0)
    assert metrics.continued(Processes()) is metrics
    other = metrics.continued(Processes(rank=1, world_size=2))
    assert other.values.tolist() == [0.0, 3.0, *(0.0 for _ in other.values[2:])]
