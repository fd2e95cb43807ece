"""Shapes and types are checked while the tests run; torch keeps to one thread so that two workers share two cores."""

from __future__ import annotations

import os
from pathlib import Path

from jaxtyping import install_import_hook

os.environ.setdefault("OMP_NUM_THREADS", "1")
rooms = ("assessment", "data", "divergences", "models", "objectives")
install_import_hook([f"preceptor.{room}" for room in rooms], "typechecker.checked")

import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)

REPOSITORY = Path(__file__).resolve().parents[1]


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
