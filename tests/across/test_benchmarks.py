"""The scripts of benchmarks/ fit the library, and what docs/arithmetic.md says was measured is in their records."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_finds_what_it_imports(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    for other in SCRIPTS:
        monkeypatch.delitem(sys.modules, other, raising=False)
    assert callable(runpy.run_path(str(ROOT / "benchmarks" / f"{name}.py"))["main"])


def test_the_page_says_what_decoding_was_measured_to_cost() -> None:
    page = (ROOT / "docs" / "arithmetic.md").read_text()
    record = json.loads((ROOT / "benchmarks" / "results" / "size_arithmetic.json").read_text())
    flags = record["flags"]
    for height, cost in record["decoding"].items():
        ms, size = cost["ms"], f"{int(height) * 4 // 3} x {height}"
        assert f"{ms:.2f} ms of a core (IQR {cost['iqr']:.2f}), {1e3 / ms:.0f} images/s" in page
        for name, samples in (("ImageNet-1k", 1_281_167), ("ImageNet-21k", 14_197_122)):
            core_hours = flags["epochs"] * samples * ms / 1e3 / 3600
            hours = [core_hours / (flags["cores"] * gpus / flags["machine"]) for gpus in flags["gpus"]]
            assert f"| {name}: decoding {size} | {' | '.join(f'{each:.2f}' for each in hours)} |" in page
        hours = [1e9 * ms / 1e3 / 3600 / (flags["cores"] * gpus / flags["machine"]) for gpus in (8, 64)]
        assert f"| decoding {size} | {' | '.join(f'{each:.1f}' for each in hours)} |" in page
