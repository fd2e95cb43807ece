"""What methods need of a teacher: one that gives logits alone is refused in one line where they need more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import preceptor
from preceptor.errors import UsageError
from preceptor.models import FunctionTeacher
from preceptor.runner.objective_checks import feature_shapes, find_black_boxes
from preceptor.training import Engine
from preceptor.types import Outputs

DATA: dict[str, Any] = {"name": "digits", "limit": 60, "test_limit": 20}
BOX = FunctionTeacher(lambda inputs: inputs.flatten(1)[:, :10])


def distil(out: Path, **keys: Any) -> preceptor.Result:
    short: dict[str, Any] = {"model": "convnet_s", "epochs": 1, "batch_size": 30, "device": "cpu", "progress": False}
    return preceptor.distill(data=DATA, teacher=BOX, out=out, **{**short, **keys})


@pytest.mark.parametrize("method", ["at", "fitnet", "crd", "simkd", "srrl", "ofd"])
def test_methods_that_look_at_features_need_a_module(method: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gives logits only, and this method needs a PyTorch module") as caught:
        distil(tmp_path / "s", method=method)
    assert str(caught.value).startswith("the teacher the function <lambda> gives")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "s").exists()


def test_methods_that_read_the_teachers_classifier_say_so(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="method wkd_l reads the classifier of a teacher network, and the run has none"
    ):
        distil(tmp_path / "s", method="wkd_l")


def test_methods_with_further_views_ask_it_for_them(tmp_path: Path) -> None:
    assert distil(tmp_path / "s", method="mlkd").metrics.samples == 20


def test_black_boxes_among_teachers() -> None:
    assert find_black_boxes([torch.nn.Linear(2, 2), BOX], Engine(torch.device("cpu"))) == [BOX]
    with pytest.raises(UsageError, match=r"sharding: teacher shards weights, and the teacher .* has none"):
        find_black_boxes([BOX], Engine(torch.device("cpu"), sharding="teacher"))


def test_shapes_of_features() -> None:
    assert feature_shapes(None) == {}
    assert feature_shapes(Outputs(torch.zeros(2, 3), {"a": torch.zeros(2, 4, 5)})) == {"a": (4, 5)}


def test_other_numbers_of_classes_are_refused(tmp_path: Path) -> None:
    teacher = FunctionTeacher(lambda inputs: inputs.flatten(1)[:, :9])
    with pytest.raises(UsageError, match="teacher has 9 classes, data digits has 10"):
        preceptor.distill(data=DATA, teacher=teacher, model="convnet_s", out=tmp_path / "s", progress=False)


def test_multilabel_data_need_a_method_that_is_defined_for_them(tmp_path: Path) -> None:
    data = (np.random.default_rng(0).normal(size=(60, 4)), np.tile([[0, 1, 1], [1, 0, 1]], (30, 1)))
    with pytest.raises(UsageError, match="ldrld: is not made for multi-label data; there are"):
        preceptor.distill(
            data=data, teacher=lambda x: x[:, :3], model="mlp", method="ldrld", out=tmp_path / "s", progress=False
        )
