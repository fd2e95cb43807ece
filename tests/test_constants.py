from __future__ import annotations

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

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


class Shifted(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + constant((7.0, 8.0), torch.device("cpu"))


def test_what_is_traced_does_not_outlive_its_trace() -> None:
    exported = torch.export.export(Shifted(), (torch.zeros(3, 2),))
    assert exported.module()(torch.zeros(3, 2))[0].tolist() == [7.0, 8.0]
    with FakeTensorMode():
        constant((9.0,), torch.device("cpu"))
    for values in ((7.0, 8.0), (9.0,)):
        assert type(constant(values, torch.device("cpu"))) is Tensor
