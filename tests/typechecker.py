"""How annotations are checked while the tests run: by beartype, with whole numbers allowed where a float is asked for."""

from collections.abc import Callable
from typing import Any, TypeVar

from beartype import BeartypeConf, beartype

_Function = TypeVar("_Function", bound=Callable[..., object])
_check = beartype(conf=BeartypeConf(is_pep484_tower=True))


def checked(function: _Function) -> _Function:
    """Return a function that checks its annotations.

    jaxtyping asks for two: one for arguments, which may return Any, and one for arguments and what is returned, of which only
    the latter is left to check.
    """
    annotations = function.__annotations__
    if annotations.get("return", Any) is not Any:
        function.__annotations__ = {"return": annotations["return"]}
    return _check(function)
