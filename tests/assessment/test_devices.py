"""Tensors of another device: here a kind of tensor that takes no operation but that it is brought to the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from preceptor import assessment
from preceptor.assessment import scores

TAKEN = {"detach", "cpu", "__get__"}


class Elsewhere(Tensor):
    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.__name__ not in TAKEN:
            raise RuntimeError(f"{func.__name__}: expected all tensors to be on the same device")
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **(kwargs or {}))
        return result.as_subclass(Tensor if func.__name__ == "cpu" else cls) if isinstance(result, Tensor) else result


def test_the_other_device_is_one() -> None:
    with pytest.raises(RuntimeError, match="on the same device"):
        torch.zeros(2).as_subclass(Elsewhere) + torch.zeros(2)


LOGITS, OTHER = torch.randn(40, 7, generator=torch.Generator().manual_seed(0)).split([40, 0])[0], torch.ones(40, 7)
LABELS = torch.arange(40) % 7
TRUTH = torch.softmax(LOGITS, 1)
PAIR, TWO = LOGITS[:, :2], LABELS % 2
MANY = (LOGITS > 0).long()

CALLS: dict[str, tuple[Callable[..., Any], tuple[Tensor, ...]]] = {
    **{
        name: (getattr(scores, name), (LOGITS, LABELS))
        for name in ("accuracy", "macro_accuracy", "nll", "brier_score", "brier_decomposition")
    },
    "entropy": (scores.entropy, (LOGITS,)),
    "sharpness": (scores.sharpness, (LOGITS,)),
    **{
        name: (getattr(assessment, name), (LOGITS, LABELS))
        for name in (
            "reliability",
            "expected_calibration_error",
            "maximum_calibration_error",
            "classwise_calibration_error",
            "fit_temperature",
        )
    },
    "measure": (assessment.measure, (LOGITS, LABELS, TRUTH)),
    "measure, two classes": (assessment.measure, (PAIR, TWO)),
    "measure, several labels": (assessment.measure, (LOGITS, MANY)),
    "measure_binary": (assessment.measure_binary, (PAIR, TWO)),
    "measure_multilabel": (assessment.measure_multilabel, (LOGITS, MANY)),
    "profile": (assessment.profile, (LOGITS, LABELS, TRUTH)),
    "compare": (assessment.compare, (LOGITS, OTHER, LABELS)),
    "distance_to_truth": (assessment.distance_to_truth, (LOGITS, TRUTH)),
}


@pytest.mark.parametrize("name", CALLS)
def test_each_measure_takes_tensors_of_any_device_and_with_gradients(name: str) -> None:
    function, tensors = CALLS[name]
    expected = function(*tensors)
    assert function(*(each.as_subclass(Elsewhere) for each in tensors)) == expected
    assert function(tensors[0].as_subclass(Elsewhere), *tensors[1:]) == expected
    assert function(tensors[0].clone().requires_grad_(), *tensors[1:]) == expected
