"""Which library opens a network: its own where the weights are its own, none where a student's wrapper is around it."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import preceptor
from preceptor.exports.libraries import library_files
from preceptor.models import DataSpec, ModelMetadata, ReusedClassifier, ReuseSpec, make
from preceptor.types import Preprocessing

if find_spec("torchvision") is None:
    pytest.skip("needs the extra vision", allow_module_level=True)

SAMPLES = DataSpec(2, (3, 32, 32), (0.5,) * 3, (0.2,) * 3)


def metadata(**section: Any) -> ModelMetadata:
    preprocessing = Preprocessing(SAMPLES.mean, SAMPLES.std, channels=3, size=(32, 32))
    return ModelMetadata({"logits": None, **section}, ("cat", "dog"), SAMPLES.shape, "uint8", preprocessing)


def test_a_network_of_the_zoo_or_of_ones_own_is_opened_by_this_library() -> None:
    for network, name in ((make("resnet8", SAMPLES), "resnet8"), (nn.Flatten(), "python:x.Net")):
        found = library_files(network, metadata(name=name), 2, None)
        assert (found.library, found.files, found.lines) == ("preceptor", {}, "")


def test_lines_make_a_network_of_torchvision(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    section = {"name": "torchvision:shufflenet_v2_x0_5"}
    network: Any = make(section["name"], SAMPLES)
    found = library_files(network, metadata(**section), 2, None)
    assert (found.library, found.files) == ("torchvision", {})
    monkeypatch.chdir(tmp_path)
    save_file(network.bare.state_dict(), "model.safetensors")
    made: dict[str, Any] = {}
    exec(found.lines.replace("FOLDER", "."), made)
    theirs, ours = made["theirs"].state_dict(), network.bare.state_dict()
    assert all((theirs[name] == ours[name]).all() for name in ours)


def test_one_output_for_two_classes_and_a_wrapper_are_opened_by_this_library() -> None:
    section = {"name": "torchvision:shufflenet_v2_x0_5"}
    network = make(section["name"], SAMPLES)
    assert library_files(network, metadata(**section), 1, None).library == "preceptor"
    wrapped = ReusedClassifier(network, ReuseSpec("block3", 192, 16, (1, 1), 2, 2))
    assert library_files(wrapped, metadata(**section), 2, None).library == "preceptor"


def test_a_class_with_the_mixin_of_the_hub_opens_its_folder(tmp_path: Path) -> None:
    """By its own `from_pretrained`, with the arguments that it was made with."""
    hub: Any = pytest.importorskip("huggingface_hub")

    class Net(nn.Module, hub.PyTorchModelHubMixin):  # type: ignore[misc]
        def __init__(self, width: int) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

        def forward(self, inputs: Tensor) -> Tensor:
            logits: Tensor = self.layers(inputs)
            return logits

    data = {"name": "digits", "limit": 40, "test_limit": 20}
    run = preceptor.teach(data=data, model=Net(7), epochs=1, engine="plain", out=tmp_path / "run", progress=False)
    preceptor.export(run, hub_folder=tmp_path / "hub", license="mit")
    assert json.loads((tmp_path / "hub" / "config.json").read_text()) == {"width": 7}
    theirs, inputs = Net.from_pretrained(tmp_path / "hub").eval(), torch.rand(5, 1, 8, 8)
    with torch.no_grad():
        expected = preceptor.load(tmp_path / "hub", model=Net(7)).eval()(inputs)
        torch.testing.assert_close(theirs(inputs), expected, atol=0, rtol=0)
    assert "library_name: huggingface_hub" in (tmp_path / "hub" / "README.md").read_text()
