"""What is read of a file's text is what Python sees after the import."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest

import preceptor
from preceptor import data, models, training
from preceptor.lazy import LazyImport
from preceptor.models.registry import ZOO
from preceptor.objectives import distill, teacher
from preceptor.signature import default_hyperparameters

LAZY: dict[str, LazyImport[Any]] = {
    **{name: entry.source for name, entry in {**distill.METHODS, **teacher.OBJECTIVES}.items()},
    **{name: entry.source for name, entry in ZOO.items()},
    **data.SOURCES,
    **data.POLICIES,
}
PACKAGES = (preceptor, data, models, training, distill, teacher)


@pytest.mark.parametrize("name", LAZY)
def test_docs_and_defaults_are_those_of_the_object(name: str) -> None:
    lazy = LAZY[name]
    loaded = lazy.load()
    assert lazy.doc() == inspect.getdoc(loaded)
    assert lazy.module_doc() == inspect.getdoc(inspect.getmodule(loaded))
    assert list(lazy.defaults().items()) == list(default_hyperparameters(loaded).items())


def test_a_required_parameter_has_no_default() -> None:
    assert data.SOURCES["cifar10"].defaults()["root"] is inspect.Parameter.empty


def test_an_instance_of_the_class_is_known_without_its_import() -> None:
    assert distill.METHODS["kd"].source.is_class_of(distill.KD())
    assert not distill.METHODS["dkd"].source.is_class_of(distill.KD())


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_the_names_of_a_package_are_there_and_listed(package: Any) -> None:
    assert set(package.__all__) <= set(dir(package))
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'nothing'"):
        package.nothing  # noqa: B018


def test_a_module_of_a_lazy_package_is_imported_by_its_name() -> None:
    assert importlib.import_module("preceptor.training.loop").fit is training.fit
