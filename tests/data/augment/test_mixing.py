from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from preceptor.data.augment.mixing import box_weights, counter_rng, draw_weights, lerp_rows, patch_weights

GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "mixpatch").glob("*.npz"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_mixpatch_is_that_of_its_authors(path: Path) -> None:
    with np.load(path, allow_pickle=False) as stored:
        images, partner = torch.from_numpy(stored["images"]), torch.from_numpy(stored["permutation"])
        size = json.loads(str(stored["kwargs"]))["patch_size"]
        weights = patch_weights(torch.from_numpy(stored["weights"]), size, *images.shape[-2:])
        torch.testing.assert_close(lerp_rows(images, partner, weights), torch.from_numpy(stored["mixed"]))


def test_there_are_golden_mixtures() -> None:
    assert len(GOLDEN) == 2


def test_mixing_is_a_weighted_mean_with_the_partner() -> None:
    values, partner = torch.randn(3, 2, 4), torch.tensor([2, 0, 1])
    weight = torch.tensor([0.0, 0.25, 1.0])[:, None, None]
    mixed = lerp_rows(values, partner, weight)
    for row in range(3):
        own = float(weight[row])
        torch.testing.assert_close(mixed[row], own * values[row] + (1 - own) * values[int(partner[row])])
    torch.testing.assert_close(lerp_rows(values, partner, torch.tensor(1.0)), values)
    torch.testing.assert_close(lerp_rows(values, partner, torch.tensor(0.3)).mean(0), values.mean(0))


def test_draws_are_a_function_of_seed_epoch_and_number() -> None:
    first = {(s, e, n): counter_rng(s, e, n).random() for s in (0, 1, 2**31 - 1) for e in (1, 2) for n in (0, 1, 5000)}
    assert len(set(first.values())) == 18
    assert first[1, 2, 5000] == counter_rng(1, 2, 5000).random()


def test_consecutive_batches_do_not_share_numbers() -> None:
    one, other = (set(counter_rng(0, 1, number).random(10_000).tolist()) for number in (0, 1))
    assert not one & other


@pytest.mark.parametrize("alpha", [0.1, 1.0, 4.0])
def test_weights_are_beta_distributed(alpha: float) -> None:
    drawn = draw_weights(counter_rng(0, 1, 0), alpha, 20_000).double()
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert abs(float(drawn.mean()) - 0.5) < 0.01
    assert float(drawn.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)


def test_a_box_lies_inside_and_is_cut_off_at_the_border() -> None:
    areas = []
    for number in range(300):
        weights = box_weights(counter_rng(0, 1, number), 0.75, 32, 24)
        assert weights.shape == (1, 1, 32, 24)
        inside = (weights[0, 0] == 0).nonzero()
        assert len(inside)
        (top, left), (bottom, right) = inside.min(0).values.tolist(), inside.max(0).values.tolist()
        assert len(inside) == (bottom - top + 1) * (right - left + 1)
        assert bottom - top + 1 <= 16
        assert right - left + 1 <= 12
        areas.append(len(inside))
    assert max(areas) == 16 * 12
    assert min(areas) < 16 * 12


def test_no_box_where_the_image_keeps_everything() -> None:
    assert box_weights(counter_rng(0, 1, 0), 1.0, 8, 8).eq(1).all()


def test_patches_stand_row_by_row() -> None:
    weights = patch_weights([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 2, 4, 6)[0, 0]
    assert weights[0].tolist() == pytest.approx([0.1, 0.1, 0.2, 0.2, 0.3, 0.3])
    assert weights[3].tolist() == pytest.approx([0.4, 0.4, 0.5, 0.5, 0.6, 0.6])


def test_a_patch_size_that_divides_no_side_and_a_wrong_number_of_weights() -> None:
    with pytest.raises(ValueError, match="patch_size: 3 does not divide images of 8 x 6"):
        patch_weights([0.5], 3, 8, 6)
    with pytest.raises(ValueError, match="weights: 3 for 2 x 2 patches"):
        patch_weights([0.5] * 3, 4, 8, 8)
