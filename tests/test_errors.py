"""What ends a run early."""

from __future__ import annotations

import pytest

from preceptor.errors import Interrupted, PreceptorError, RunError, UsageError


@pytest.mark.parametrize(("kind", "base", "status"), [(UsageError, ValueError, 2), (RunError, RuntimeError, 1)])
def test_each_is_a_builtin_error_with_an_exit_status(
    kind: type[PreceptorError], base: type[Exception], status: int
) -> None:
    with pytest.raises(base, match=r"^epochs: 0$") as caught:
        raise kind("epochs: 0")
    assert isinstance(caught.value, PreceptorError)
    assert caught.value.exit_code == status


def test_an_interruption_has_the_status_of_its_signal() -> None:
    assert Interrupted("interrupted: saved", 130).exit_code == 130
