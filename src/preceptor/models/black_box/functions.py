"""Any function from a batch of inputs to logits, as a teacher."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from preceptor.models.black_box.base import BlackBox
from preceptor.models.features.observed import logits_of

__all__ = ["FunctionTeacher", "name_of"]


class FunctionTeacher(BlackBox):
    """A function that returns logits.

    Args:
        function: takes a batch as a module would: float32, normalised, on the run's device; returns logits [batch, classes], a
            tensor or an array.

    Examples:
        >>> FunctionTeacher(lambda inputs: inputs.numpy()[:, :2])(torch.tensor([[1.0, 2.0, 3.0]]))
        tensor([[1., 2.]])
    """

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__(f"the function {name_of(function)}")
        self._function = function

    def forward(self, inputs: Tensor) -> Tensor:
        found = self._function(inputs)
        if isinstance(found, np.ndarray):
            found = torch.from_numpy(found)
        return logits_of(found, self).to(inputs.device).float()


def name_of(function: object) -> str:
    """Return what a function is called; of any other object, its type."""
    named = function if isinstance(function, FunctionType | MethodType) else type(function)
    return named.__qualname__
