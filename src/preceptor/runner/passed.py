"""Networks that were passed from Python: left as they were, and never teacher and student at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn

from preceptor.errors import UsageError

__all__ = ["check_apart", "frozen_note", "left_as_passed"]


Passed = nn.Module | Sequence[nn.Module] | None


@contextmanager
def left_as_passed(passed: Passed) -> Iterator[None]:
    """Restore at the end which modules are in training mode and which parameters take gradients."""
    networks = _networks(passed)
    modes = [(module, module.training) for network in networks for module in network.modules()]
    flags = [(parameter, parameter.requires_grad) for network in networks for parameter in network.parameters()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, takes_gradient in flags:
            parameter.requires_grad_(takes_gradient)


def check_apart(teacher: Passed, student: nn.Module | None) -> None:
    """Check that a teacher and a student are two networks.

    Raises:
        UsageError: when they share parameters.
    """
    if student is None:
        return
    own = {id(parameter) for parameter in student.parameters()}
    if any(each is student or own & {id(p) for p in each.parameters()} for each in _networks(teacher)):
        raise UsageError("teacher: shares its parameters with the student; pass copy.deepcopy(teacher) as one of them")


def _networks(passed: Passed) -> list[nn.Module]:
    return [] if passed is None else [passed] if isinstance(passed, nn.Module) else list(passed)


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
