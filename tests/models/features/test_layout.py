from __future__ import annotations

import pytest
import torch

from preceptor.errors import UsageError
from preceptor.models import as_map
from preceptor.models.features.layout import transform_of


def apply(suffix: str, value: object) -> torch.Tensor:
    result = transform_of(suffix, f"layer:{suffix}")(value)
    assert isinstance(result, torch.Tensor)
    return result


@pytest.mark.parametrize("prefix", [0, 1, 16])
def test_tokens_on_a_square_grid_become_a_map_without_those_before_it(prefix: int) -> None:
    grid = torch.randn(2, 5, 14, 14)
    tokens = torch.cat([torch.randn(2, prefix, 5), grid.flatten(2).transpose(1, 2)], dim=1)
    assert torch.equal(as_map(tokens), grid)


def test_maps_vectors_and_other_grids_stay_as_they_are() -> None:
    for feature in (torch.randn(2, 5, 4, 4), torch.randn(2, 5), torch.randn(2, 14 * 14 + 17, 5)):
        assert as_map(feature) is feature


def test_a_number_is_a_member_of_a_tuple() -> None:
    first, second = torch.randn(3), torch.randn(3)
    assert apply("1", (first, second)) is second
    assert apply("7", first) is first


def test_a_grid_lays_out_the_last_tokens_row_by_row() -> None:
    tokens = torch.randn(2, 8, 4)  # two class tokens before 2 x 3
    grid = apply("2x3", tokens)
    assert grid.shape == (2, 4, 2, 3)
    for row in range(2):
        for column in range(3):
            assert torch.equal(grid[:, :, row, column], tokens[:, 2 + 3 * row + column])
    with pytest.raises(UsageError, match="8 tokens cannot be laid out on a 9x9 grid"):
        apply("9x9", tokens)


def test_channels_last_is_turned_and_mean_is_over_positions() -> None:
    maps = torch.randn(2, 3, 4, 5)
    assert torch.equal(apply("channels_last", maps), maps.permute(0, 3, 1, 2))
    assert torch.allclose(apply("mean", maps), maps.mean((2, 3)))
    assert torch.allclose(apply("mean", maps[:, 0]), maps[:, 0].mean(1))  # of tokens
    vectors = torch.randn(2, 3)
    assert apply("mean", vectors) is vectors


def test_an_unknown_suffix_is_refused() -> None:
    with pytest.raises(UsageError, match="feature layer:last: unknown suffix 'last'; there are: input, a number, HxW"):
        transform_of("last", "layer:last")
