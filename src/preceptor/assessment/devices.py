"""Measures are computed on the CPU, in float64, wherever the tensors come from."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from torch import Tensor

__all__ = ["on_cpu"]

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def on_cpu(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Return a function that is given its tensors on the CPU, without gradients."""

    @wraps(function)
    def moved(*args: _Arguments.args, **keys: _Arguments.kwargs) -> _Result:
        return function(*map(_moved, args), **{name: _moved(value) for name, value in keys.items()})  # type: ignore[arg-type]

    return moved


def _moved(value: Any) -> Any:
    return value.detach().cpu() if isinstance(value, Tensor) else value
