from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from preceptor.errors import UsageError
from preceptor.extras import import_extra, import_torchvision, with_torchvision
from started import run

CHECK = """
import sys
import torch
assert "torchvision" not in sys.modules
from preceptor.extras import import_torchvision
vision = import_torchvision(needed_by="a test")
assert vision is import_torchvision(needed_by="a test")
network = vision.models.squeezenet1_1(num_classes=7).eval()
assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 7)
from torchvision.transforms import v2
assert v2.Resize([4, 4])(torch.zeros(3, 8, 8)).shape == (3, 4, 4)
import timm
assert timm.create_model("resnet10t", num_classes=3).num_classes == 3
"""

BERT = """
from transformers import BertConfig, BertForSequenceClassification

def network(num_classes, vocabulary_size):
    sizes = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    return BertForSequenceClassification(BertConfig(vocab_size=vocabulary_size, num_labels=num_classes, **sizes))
"""
MADE = """
import sys
import torch
sys.path.insert(0, ".")
assert "torchvision" not in sys.modules
from preceptor.models import DataSpec, make, observe
from preceptor.types import Vocabulary

network = make("bert_of_mine:network", DataSpec(3, (2, 6), vocabulary=Vocabulary(9, 0, "of a test"))).eval()
assert observe(network)(torch.ones(2, 2, 6, dtype=torch.long)).logits.shape == (2, 3)
"""


def in_a_process(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(script)
    return run([str(folder / "script.py")])


def fails_here(folder: Path) -> bool:
    """Whether torchvision cannot be imported as it is."""
    return "operator torchvision::nms does not exist" in in_a_process("import torchvision", folder).stderr


@pytest.mark.skipif(find_spec("timm") is None, reason="needs the extra vision")
def test_torchvision_is_usable_where_its_operators_are_missing_and_says_so_once(tmp_path: Path) -> None:
    """Where torchvision fits, its compiled library would define the operators a second time: so only where it fails."""
    if not fails_here(tmp_path):
        pytest.skip("torchvision's compiled operators fit this torch")
    done = in_a_process(CHECK, tmp_path)
    assert done.returncode == 0, done.stderr
    (said,) = [line for line in done.stderr.splitlines() if "compiled operators" in line]
    assert said.startswith("note: torchvision's compiled operators do not fit this torch")


@pytest.mark.skipif(find_spec("transformers") is None, reason="needs the extra hf")
def test_a_factory_of_ones_own_may_import_what_imports_torchvision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bert_of_mine.py").write_text(BERT)
    monkeypatch.chdir(tmp_path)
    done = in_a_process(MADE, tmp_path)
    assert done.returncode == 0, done.stderr


def test_any_other_failure_of_torchvision_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "torchvision":
                raise RuntimeError("the library is for another processor")

    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(RuntimeError, match="another processor"):
        import_torchvision(needed_by="a test")


def test_what_failed_of_torchvision_alone_is_tried_again() -> None:
    tries: list[int] = []

    def fails() -> None:
        tries.append(1)
        try:
            raise RuntimeError("operator torchvision::nms does not exist")
        except RuntimeError as error:
            raise ModuleNotFoundError("Could not import module 'BertModel'") from error  # as transformers does

    with pytest.raises(ModuleNotFoundError, match="BertModel"):
        with_torchvision(fails)
    assert len(tries) == 2
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        with_torchvision(lambda: importlib.import_module("no_such_package"))
    assert with_torchvision(lambda: 7) == 7


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
