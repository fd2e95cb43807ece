"""Networks that were passed from Python: left as they were, and never teacher and student at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from preceptor.errors import UsageError

__all__ = ["check_apart", "frozen_note", "left_as_passed"]


@contextmanager
def left_as_passed(*networks: nn.Module | None) -> Iterator[None]:
    """Restore at the end which modules are in training mode and which parameters take gradients."""
    passed = [network for network in networks if network is not None]
    modes = [(module, module.training) for network in passed for module in network.modules()]
    flags = [(parameter, parameter.requires_grad) for network in passed for parameter in network.parameters()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, takes_gradient in flags:
            parameter.requires_grad_(takes_gradient)


def check_apart(teacher: nn.Module | None, student: nn.Module | None) -> None:
    """Check that a teacher and a student are two networks.

    Raises:
        UsageError: when they share parameters.
    """
    if teacher is None or student is None:
        return
    shared = {id(parameter) for parameter in teacher.parameters()} & {id(each) for each in student.parameters()}
    if shared or teacher is student:
        raise UsageError("teacher: shares its parameters with the student; pass copy.deepcopy(teacher) as one of them")


def frozen_note(student: nn.Module) -> tuple[str, ...]:
    """Return a line on the student's frozen parameters, where there are any.

    Raises:
        UsageError: when all are.
    """
    parameters = list(student.parameters())
    frozen = [parameter for parameter in parameters if not parameter.requires_grad]
    if parameters and len(frozen) == len(parameters):
        raise UsageError("model: all its parameters are frozen (requires_grad=False); nothing is left to train")
    counted = sum(parameter.numel() for parameter in frozen)
    total = sum(parameter.numel() for parameter in parameters)
    return (f"model: {counted:,} of {total:,} parameters are frozen (requires_grad=False)",) if frozen else ()
