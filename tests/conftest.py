"""Shapes and types are checked while the tests run; torch keeps to one thread so that two workers share two cores."""

from __future__ import annotations

import gc
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

from jaxtyping import install_import_hook

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["PRECEPTOR_REPORT"] = "0"  # a page takes a second: tests of it ask for it
rooms = ("assessment", "data", "divergences", "models", "objectives")
install_import_hook([f"preceptor.{room}" for room in rooms], "typechecker.checked")

import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is collected stays until the end: the garbage collector need not look at it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def one_table_of_onnx_operators() -> Iterator[None]:
    """Torch makes the same table anew for each export, which takes half a second."""
    if importlib.util.find_spec("onnxscript") is None:
        yield
        return
    registry = import_module("torch.onnx._internal.exporter._registration").ONNXRegistry
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "from_torchlib", staticmethod(cache(registry.from_torchlib)))
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_waits_for_the_disk() -> Iterator[None]:
    """No test outlives a power cut; processes of their own wait as they do at a user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of reference numbers."""
    return REPOSITORY / "tests" / "golden"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The packed real data sets, which are no part of the project."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.exists():
        pytest.skip(f"real CIFAR data are not here ({folder.name} missing beside the repository)")
    return folder


@pytest.fixture(scope="session")
def cifar10(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the real CIFAR-10, unpacked."""
    return _unpacked("cifar10", shared_data, tmp_path_factory)


@pytest.fixture(scope="session")
def cifar100(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the real CIFAR-100, unpacked."""
    return _unpacked("cifar100", shared_data, tmp_path_factory)


def _unpacked(name: str, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp(name)
    subprocess.run([sys.executable, str(shared_data / "unpack.py"), str(root), "--only", name], check=True)
    return root
