"""Names whose modules are imported when they are first used, so that help, lists and wrong keys need no torch."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.abc import SourceLoader
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import Any, Generic, TypeVar

__all__ = ["LazyImport", "lazy_names"]

_Object = TypeVar("_Object")


@dataclass(frozen=True, slots=True)
class LazyImport(Generic[_Object]):
    """A class or function of this package, imported by `load`; its docs and defaults are read from its file's text.

    Attributes:
        place: "package.module:name".
    """

    place: str

    def load(self) -> _Object:
        """Return the object, its module imported."""
        found: _Object = resolve_name(self.place)
        return found

    def is_class_of(self, instance: object) -> bool:
        """Return whether an object is an instance of this very class, without an import."""
        kind = type(instance)
        return f"{kind.__module__}:{kind.__qualname__}" == self.place

    def doc(self) -> str:
        """Return the docstring."""
        return ast.get_docstring(self._definition()) or ""

    def module_doc(self) -> str:
        """Return the docstring of the file."""
        return ast.get_docstring(_tree(self.place.partition(":")[0])) or ""

    def defaults(self) -> dict[str, Any]:
        """Return the named parameters with their defaults, in order; `inspect.Parameter.empty` for a required one.

        Examples:
            >>> LazyImport("preceptor.objectives.distill.kd:KD").defaults()
            {'temperature': 4.0, 'divergence': 'kl', 'alpha': 0.8, 'beta': 0.3, 'row_weights': 'equal'}
        """
        definition = self._definition()
        return _parameters(definition) if isinstance(definition, ast.FunctionDef) else self._of_class(definition)

    def _definition(self) -> ast.FunctionDef | ast.ClassDef:
        module, _, name = self.place.partition(":")
        kinds = ast.FunctionDef | ast.ClassDef
        return next(node for node in _tree(module).body if isinstance(node, kinds) and node.name == name)

    def _of_class(self, definition: ast.ClassDef) -> dict[str, Any]:
        """Return a constructor's parameters: its own, a data class's fields after those of its bases, or a base's."""
        for node in definition.body:
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                return dict(list(_parameters(node).items())[1:])
        inherited: dict[str, Any] = {}
        for base in definition.bases:
            if (place := self._place_of(ast.unparse(base))) is not None:
                inherited |= LazyImport(place).defaults()  # type: ignore[var-annotated]
        if any("dataclass" in ast.unparse(decorator) for decorator in definition.decorator_list):
            inherited |= dict(_fields(definition))
        return inherited

    def _place_of(self, name: str) -> str | None:
        """Return the place of a class that this one's file names; None of one outside the package."""
        module = self.place.partition(":")[0]
        for node in _tree(module).body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return f"{module}:{name}"
            if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
                return f"{node.module}:{name}" if str(node.module).startswith("preceptor.") else None
        return None


def lazy_names(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a package's `__getattr__` and `__dir__`: names of its block `if TYPE_CHECKING:`, imported when first used.

    Args:
        package: its `__name__`.
    """

    def get(name: str) -> Any:
        module = _homes(package).get(name)
        if module is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(import_module(module), name)
        setattr(sys.modules[package], name, found)
        return found

    def list_names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *_homes(package)})

    return get, list_names


@cache
def _homes(package: str) -> dict[str, str]:
    blocks = [node for node in _tree(package).body if isinstance(node, ast.If)]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


@cache
def _tree(module: str) -> ast.Module:
    spec = find_spec(module)
    assert spec is not None
    assert isinstance(spec.loader, SourceLoader)
    return ast.parse(spec.loader.get_source(module) or "")


def _parameters(function: ast.FunctionDef) -> dict[str, Any]:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    without = len(positional) - len(arguments.defaults)
    defaults = [*[None] * without, *arguments.defaults, *arguments.kw_defaults]
    return {each.arg: _value(node) for each, node in zip([*positional, *arguments.kwonlyargs], defaults, strict=True)}


def _fields(definition: ast.ClassDef) -> Iterator[tuple[str, Any]]:
    for node in definition.body:
        if isinstance(node, ast.AnnAssign) and "ClassVar" not in ast.unparse(node.annotation):
            yield ast.unparse(node.target), _value(node.value)


def _value(node: ast.expr | None) -> Any:
    """Return a default: any expression of literals, such as 10 / 240."""
    if node is None:
        return inspect.Parameter.empty
    return eval(compile(ast.Expression(node), "<default>", "eval"), {"__builtins__": {}})
