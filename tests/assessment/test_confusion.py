from __future__ import annotations

import pytest
import torch
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from preceptor.assessment import ClassScore, class_scores, confusion, outcomes

LOGITS = torch.randn(200, 7, generator=torch.Generator().manual_seed(0))
LABELS = torch.randint(0, 6, (200,), generator=torch.Generator().manual_seed(1))  # the last class has no samples


def test_the_matrix_is_that_of_scikit_learn_without_its_zeros() -> None:
    full = confusion_matrix(LABELS, LOGITS.argmax(1), labels=range(7))
    assert confusion(LOGITS, LABELS) == [
        (row, column, int(full[row, column])) for row in range(7) for column in range(7) if full[row, column]
    ]


def test_classes_have_the_recall_and_precision_of_scikit_learn() -> None:
    precision, recall, _, support = precision_recall_fscore_support(
        LABELS, LOGITS.argmax(1), labels=range(7), zero_division=0
    )
    found = class_scores(LOGITS, LABELS)
    assert [each.samples for each in found] == support.tolist()
    assert [each.accuracy or 0.0 for each in found] == pytest.approx(recall.tolist())
    assert [each.precision or 0.0 for each in found] == pytest.approx(precision.tolist())
    assert found[6].accuracy is None
    assert ClassScore(3, 0, 0).precision is None


def test_of_several_labels_each_class_is_predicted_above_zero() -> None:
    present = torch.tensor([[1, 0], [1, 1], [0, 1]])
    found = class_scores(torch.tensor([[1.0, 2.0], [-1.0, 0.0], [1.0, 1.0]]), present)
    assert found == (ClassScore(2, 2, 1), ClassScore(2, 2, 1))


def test_every_sample_has_one_outcome() -> None:
    def logits(*choices: int) -> torch.Tensor:
        return torch.eye(3)[list(choices)]

    labels = torch.tensor([0, 0, 0, 0, 0])
    found = outcomes(logits(0, 1, 0, 1, 1), logits(0, 0, 1, 1, 2), labels)
    assert (found.both_right, found.reference_right, found.own_right) == (1, 1, 1)
    assert (found.same_mistake, found.other_mistake) == (1, 1)
