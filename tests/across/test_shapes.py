"""Shapes and types are checked while the tests run: of arguments, of what is returned, and one against the other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from jaxtyping import Float, Int, TypeCheckError, jaxtyped
from torch import Tensor

from preceptor.divergences import kl
from typechecker import checked

Means = Callable[[Tensor, Tensor], Tensor]


def means(result: Callable[[Tensor], Tensor]) -> Means:
    @jaxtyped(typechecker=checked)
    def of(values: Float[Tensor, "rows classes"], labels: Int[Tensor, " rows"]) -> Float[Tensor, " classes"]:
        return result(values)

    return of


def test_right_ones_pass() -> None:
    assert means(lambda values: values.mean(0))(torch.zeros(2, 3), torch.zeros(2).long()).shape == (3,)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (torch.zeros(2), torch.zeros(2).long()),
        (torch.zeros(2, 3), torch.zeros(3).long()),
        (torch.zeros(2, 3), torch.zeros(2)),
        (torch.zeros(2, 3).long(), torch.zeros(2).long()),
    ],
)
def test_wrong_arguments(values: Tensor, labels: Tensor) -> None:
    with pytest.raises(TypeCheckError, match="checking the parameters"):
        means(lambda values: torch.zeros(3))(values, labels)


@pytest.mark.parametrize("result", [torch.zeros(2), torch.zeros(3, 1), torch.zeros(3).long()])
def test_wrong_results(result: Tensor) -> None:
    with pytest.raises(TypeCheckError, match="checking the return value"):
        means(lambda values: result)(torch.zeros(2, 3), torch.zeros(2).long())


def test_the_library_is_checked() -> None:
    with pytest.raises(TypeCheckError):
        kl(torch.zeros(2, 3), torch.zeros(2, 4))
