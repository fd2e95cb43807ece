from __future__ import annotations

import pytest
import torch

from preceptor.objectives.tensor_checks import (
    check_channels,
    check_classes,
    check_embeddings,
    check_levels,
    check_logits,
    check_maps,
    check_neighbours,
    check_rows,
    check_shapes,
    check_targets,
)

LOGITS, MAP, LABELS = torch.zeros(4, 10), torch.zeros(4, 3, 5, 5), torch.arange(4)


def test_what_fits_passes() -> None:
    check_logits(LOGITS, LOGITS.half())
    check_classes(LABELS, LOGITS)
    check_targets(LABELS, LOGITS)
    check_targets(LOGITS, LOGITS)
    check_levels([MAP], (MAP[:, :1, :2],))  # other channels and sizes
    check_neighbours([MAP, MAP], [MAP, MAP[:, :, :1]])
    check_maps(MAP, MAP[:, :1])
    check_embeddings(LOGITS, LOGITS[:, :2])
    check_channels(MAP, MAP[:, :, :1], "here")
    check_rows(MAP, LOGITS, "both")


def test_logits_are_floats_of_one_shape() -> None:
    with pytest.raises(ValueError, match=r"^student_logits and teacher_logits: shapes \(4, 10\) and \(4, 5\) differ$"):
        check_logits(LOGITS, LOGITS[:, :5])
    with pytest.raises(
        ValueError, match=r"^teacher_logits: a tensor \[4, 10\] of int64, expected floats \[batch, classes"
    ):
        check_logits(LOGITS, LOGITS.long())
    with pytest.raises(ValueError, match=r"^student_logits: a tensor \[10\] of float32"):
        check_logits(LOGITS[0], LOGITS[0])


@pytest.mark.parametrize("labels", [LABELS.float(), LABELS.int(), LABELS[:3], LABELS[:, None], LABELS > 1])
def test_labels_are_one_class_per_row(labels: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"^labels: a tensor .*, expected classes as int64 \[4\]$"):
        check_classes(labels, LOGITS)


def test_or_one_distribution_per_row() -> None:
    with pytest.raises(ValueError, match=r"^labels: a tensor \[4\] of float32, expected distributions \[4, 10\]"):
        check_targets(LABELS.float(), LOGITS)
    with pytest.raises(ValueError, match=r"^labels: a tensor \[4, 10\] of int64, expected classes"):
        check_targets(LOGITS.long(), LOGITS)


def test_maps_of_several_levels_come_in_lists() -> None:
    with pytest.raises(ValueError, match=r"^student_maps: a tensor \[4, 3, 5, 5\] of float32, expected a list of maps"):
        check_levels(MAP, MAP)
    with pytest.raises(ValueError, match=r"^student_maps and teacher_maps: 1 and 2 levels"):
        check_levels([MAP], [MAP, MAP])
    with pytest.raises(ValueError, match=r"^teacher_maps\[1\]: a tensor \[4, 10\]"):
        check_levels([MAP, MAP], [MAP, LOGITS])
    with pytest.raises(ValueError, match=r"^student_maps\[0\] and teacher_maps\[0\]: batches of 4 and 2"):
        check_levels([MAP], [MAP[:2]])
    with pytest.raises(ValueError, match=r"channels \[3, 1\] and \[3, 3\]; equal, at least two"):
        check_neighbours([MAP, MAP[:, :1]], [MAP, MAP])


def test_single_features_are_named() -> None:
    with pytest.raises(
        ValueError, match=r"^teacher_map: a tensor \[4, 10\] of float32, expected floats \[batch, channels"
    ):
        check_maps(MAP, LOGITS)
    with pytest.raises(ValueError, match=r"^student_map and teacher_map: 3 and 1 channels \(here\)$"):
        check_channels(MAP, MAP[:, :1], "here")
    with pytest.raises(ValueError, match=r"^student_embedding and teacher_embedding: batches of 4 and 3"):
        check_embeddings(LOGITS, LOGITS[:3])
    with pytest.raises(ValueError, match=r"^both: batches of 4 and 3"):
        check_rows(MAP, LOGITS[:3], "both")
    with pytest.raises(ValueError, match=r"^both: shapes \(4, 10\) and \(3, 10\) differ here"):
        check_shapes(LOGITS, LOGITS[:3], "both", " here")
