from __future__ import annotations

import torch

from preceptor.constants import constant


def test_it_is_copied_to_a_device_once_for_each_type_and_can_be_saved_for_a_backward_pass() -> None:
    with torch.inference_mode():
        first = constant((0.25, 3.0), torch.device("cpu"))
    assert constant((0.25, 3.0), torch.device("cpu")) is first
    double = constant((0.25, 3.0), torch.device("cpu"), torch.float64)
    assert double.dtype == torch.float64
    weight = torch.ones(2, requires_grad=True)
    (weight * first).sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert weight.grad.tolist() == [0.25, 3.0]
