"""The examples run as they stand, and come to something."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
NEEDS = {"lightning_module.py": "lightning", "transformers_trainer.py": "transformers"}


@pytest.mark.parametrize(
    "name", ["own_loop.py", "lightning_module.py", "transformers_trainer.py", "your_own_method.py"]
)
def test_an_example_learns(name: str, tmp_path: Path) -> None:
    needed = NEEDS.get(name)
    if needed is not None and importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    # lightning and transformers import torchvision where it is installed, also one that does not fit this torch
    first = "import_torchvision(needed_by='the test')" if needed and importlib.util.find_spec("torchvision") else "None"
    program = f"import runpy; from preceptor.extras import import_torchvision; {first}; runpy.run_path({str(EXAMPLES / name)!r})"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    found = re.search(r"(?:test accuracy|student) (0\.\d+)", done.stdout)
    assert found is not None, done.stdout
    assert float(found[1]) > 0.7
