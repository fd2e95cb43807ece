"""Functions as teachers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from preceptor.errors import UsageError
from preceptor.models.black_box.functions import FunctionTeacher, name_of


def test_tensors_and_arrays_are_logits() -> None:
    inputs = torch.arange(6.0).reshape(2, 3)
    for function in (lambda x: 2 * x, lambda x: 2 * x.numpy(), lambda x: (2 * x).double(), lambda x: {"logits": 2 * x}):
        found = FunctionTeacher(function)(inputs)
        assert found.dtype == torch.float32
        assert found.equal(2 * inputs)


def test_anything_else_is_refused() -> None:
    for function, what in ((lambda x: x.tolist(), "list"), (lambda x: x[0], r"tensor \(3,\)"), (np.argmax, "int64")):
        with pytest.raises(UsageError, match=f"returned .*{what}.*, expected logits"):
            FunctionTeacher(function)(torch.ones(2, 3))


def test_names() -> None:
    assert name_of(name_of) == "name_of"
    assert name_of(nn.Linear(1, 1)) == "Linear"
    assert FunctionTeacher(name_of).name == "the function name_of"


def test_a_method_is_a_function() -> None:
    class Service:
        def ask(self, inputs: Tensor) -> Tensor:
            return inputs + 1

    teacher = FunctionTeacher(Service().ask)
    assert teacher.name.endswith("Service.ask")
    assert teacher(torch.zeros(1, 2)).tolist() == [[1.0, 1.0]]
