from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from preceptor.errors import UsageError
from preceptor.extras import import_extra, import_torchvision

CHECK = """
import sys, warnings
import torch
from preceptor.extras import import_torchvision
with warnings.catch_warnings(record=True) as heard:
    warnings.simplefilter("always")
    vision = import_torchvision(needed_by="a test")
    again = import_torchvision(needed_by="a test")
assert vision is again
said = [str(one.message) for one in heard if "torchvision's compiled operators" in str(one.message)]
assert len(said) == 1, said
network = vision.models.squeezenet1_1(num_classes=7).eval()
assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 7)
from torchvision.transforms import v2
assert v2.Resize([4, 4])(torch.zeros(3, 8, 8)).shape == (3, 4, 4)
import timm
assert timm.create_model("resnet10t", num_classes=3).num_classes == 3
"""


def fails_here() -> bool:
    """Whether torchvision cannot be imported as it is."""
    tried = subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True, text=True, check=False)
    return "operator torchvision::nms does not exist" in tried.stderr


@pytest.mark.skipif(find_spec("timm") is None, reason="needs the extra vision")
def test_torchvision_is_usable_where_its_operators_are_missing_and_says_so_once() -> None:
    """Where torchvision fits, its compiled library would define the operators a second time: so only where it fails."""
    if not fails_here():
        pytest.skip("torchvision's compiled operators fit this torch")
    subprocess.run([sys.executable, "-c", CHECK], check=True)


def test_any_other_failure_of_torchvision_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "torchvision":
                raise RuntimeError("the library is for another processor")

    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(RuntimeError, match="another processor"):
        import_torchvision(needed_by="a test")


def test_a_missing_package_names_its_extra() -> None:
    with pytest.raises(UsageError, match=r"timm:x needs no_such_package, .*pip install preceptor\[vision\]"):
        import_extra("no_such_package", "vision", needed_by="timm:x")
    assert import_extra("torch", "none", needed_by="a test") is torch


def test_a_package_that_itself_misses_one_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_installed.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        import_extra("half_installed", "vision", needed_by="a test")
