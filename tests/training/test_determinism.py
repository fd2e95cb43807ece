from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.backends import cudnn

import preceptor
from preceptor.errors import RunError
from preceptor.training import choose_engine
from preceptor.training.determinism import deterministic_operations

ENGINE = choose_engine("cpu", deterministic=True)
DATA = {"name": "digits", "limit": 64, "test_limit": 16, "validation": 0.0}


class Put(nn.Module):
    """A network with an operation that has no deterministic form, on a CPU neither."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.LazyLinear(10)
        self.seen: list[bool] = []

    def forward(self, inputs: Tensor) -> Tensor:
        self.seen.append(torch.are_deterministic_algorithms_enabled())
        rows = inputs.flatten(1)
        if self.training:
            torch.zeros(4).put_(torch.tensor([1, 1]), torch.ones(2))
        logits: Tensor = self.linear(rows)
        return logits


def switches() -> tuple[bool, bool, bool, bool]:
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    return torch.are_deterministic_algorithms_enabled(), warned, cudnn.benchmark, cudnn.deterministic


def test_switches_are_set_for_a_while_and_put_back_as_they_were() -> None:
    before = switches()
    with deterministic_operations(ENGINE):
        assert switches() == (True, False, False, True)
    assert switches() == before
    with pytest.raises(KeyError), deterministic_operations(ENGINE):
        raise KeyError
    assert switches() == before
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with deterministic_operations(ENGINE):
            assert switches()[:2] == (True, False)
        assert switches()[:2] == (True, True)
        with deterministic_operations(replace(ENGINE, deterministic=False)):  # what the user has set stays
            assert switches()[:2] == (True, True)
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("chosen", [None, ":16:8"])
def test_cublas_gets_its_workspace_unless_the_user_has_chosen_one(
    chosen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {} if chosen is None else {"CUBLAS_WORKSPACE_CONFIG": chosen})
    with deterministic_operations(replace(ENGINE, device=torch.device("cuda"))):
        assert os.environ == {"CUBLAS_WORKSPACE_CONFIG": chosen or ":4096:8"}


def test_an_operation_without_a_deterministic_form_ends_the_run_in_a_line(tmp_path: Path) -> None:
    network = Put()
    network(torch.zeros(1, 1, 8, 8))
    common = {"data": DATA, "model": network, "epochs": 1, "progress": False}
    with pytest.raises(
        RunError, match=r"^deterministic: put_ has no deterministic form on cpu; .*deterministic=false$"
    ):
        preceptor.teach(**common, deterministic=True, out=tmp_path / "one")  # type: ignore[arg-type]
    assert network.seen[-1]
    preceptor.teach(**common, out=tmp_path / "other")  # type: ignore[arg-type]
    assert not network.seen[-1]


def test_it_is_recorded(tmp_path: Path) -> None:
    run = preceptor.teach(
        data=DATA, model="convnet_s", epochs=1, deterministic=True, engine="plain", out=tmp_path / "r", progress=False
    )
    assert "\ndeterministic: true\n" in (run.path / "config.yaml").read_text()
    assert str(ENGINE) == "cpu, fp32, deterministic"
