"""Networks of timm, torchvision and transformers as teachers and students of each other, on real digits."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

import preceptor
from preceptor import data as data_room
from preceptor.artifacts.run_folder import RunFolder
from preceptor.errors import UsageError
from preceptor.extras import import_extra, import_torchvision
from preceptor.models import Adapted, save_weights

if find_spec("timm") is None or find_spec("transformers") is None:
    pytest.skip("needs the extras vision and hf", allow_module_level=True)
import_torchvision(needed_by="tests")
timm = import_extra("timm", "vision", needed_by="tests")
transformers = import_extra("transformers", "hf", needed_by="tests")

DATA = {"name": "digits", "limit": 64, "test_limit": 32, "validation": 0.0}
TRAINING: Any = {"epochs": 1, "batch_size": 32, "optim": {"name": "adamw", "lr": 1e-3}, "progress": False}
SMALL = {"embed_dim": 16, "depth": 2, "num_heads": 2, "img_size": 16, "patch_size": 4}


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("configs")
    transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=16,
        patch_size=4,
    ).save_pretrained(folder / "vit")
    transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_channels=1
    ).save_pretrained(folder / "resnet")
    return {
        "timm vit": {"name": "timm:vit_tiny_patch16_224", **SMALL},
        "timm resnet": {"name": "timm:resnet10t", "channels": [8, 8, 16, 16], "stem_width": 8, "resolution": 32},
        "torchvision squeezenet": {"name": "torchvision:squeezenet1_1", "resolution": 32},
        "torchvision shufflenet": {"name": "torchvision:shufflenet_v2_x0_5", "resolution": 32},
        "hf vit": {"name": f"hf:{folder / 'vit'}"},
        "hf resnet": {"name": f"hf:{folder / 'resnet'}", "resolution": 16},
        "zoo": {"name": "convnet_s"},
    }


@pytest.fixture(scope="module")
def teachers(networks: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, found = tmp_path_factory.mktemp("teachers"), {}
    for name, model in networks.items():
        found[name] = folder / name.replace(" ", "_")
        preceptor.teach(data=DATA, model=model, out=found[name], keep_every=1, **TRAINING)
    return found


@pytest.mark.parametrize(
    ("teacher", "student", "method"),
    [
        ("timm vit", "torchvision shufflenet", "kd"),
        ("timm vit", "hf resnet", "at"),
        ("timm resnet", "hf vit", "fitnet"),
        ("torchvision squeezenet", "timm vit", "rkd"),
        ("torchvision shufflenet", "timm resnet", "at"),
        ("hf vit", "torchvision squeezenet", "fitnet"),
        ("hf vit", "zoo", "at"),
        ("hf resnet", "timm vit", "reviewkd"),
        ("zoo", "hf vit", "rkd"),
        ("timm resnet", "torchvision shufflenet", "simkd"),
        ("timm resnet", "hf resnet", "ofd"),
        ("timm vit", "timm resnet", "srrl"),
    ],
)
def test_any_network_learns_from_any_other(
    teacher: str, student: str, method: str, teachers: dict[str, Path], networks: dict[str, Any], tmp_path: Path
) -> None:
    result = preceptor.distill(
        data=DATA,
        teacher=teachers[teacher],
        model=networks[student],
        method={"name": method},
        out=tmp_path / "run",
        **TRAINING,
    )
    (row,) = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert math.isfinite(row["train"]["loss"])
    assert row["train"]["terms"][method] > 0
    assert preceptor.evaluate(result.path) == result.metrics
    again = preceptor.load(result.path)
    given, loaded = result.model.state_dict(), again.state_dict()
    assert all(torch.equal(given[name], loaded[name]) for name in given)


def test_a_run_holds_weights_under_the_names_of_their_library(teachers: dict[str, Path]) -> None:
    weights = load_file(RunFolder(teachers["timm vit"]).weights)
    timm.create_model("vit_tiny_patch16_224", num_classes=10, in_chans=1, **SMALL).load_state_dict(weights)
    kept = load_file(RunFolder(teachers["timm vit"]).kept_epochs()[1])
    assert all(torch.equal(weights[name], kept[name]) for name in weights)


def test_a_weights_file_with_its_network_by_name_and_keys(
    teachers: dict[str, Path], networks: dict[str, Any], tmp_path: Path
) -> None:
    file = RunFolder(teachers["timm vit"]).weights
    section = {"path": str(file), "model": networks["timm vit"]}
    (one, other) = preceptor.assess(section, teachers["timm vit"], data=DATA)
    assert one.test == other.test
    assert f"{file}: resized 8 -> 16" in one.notes
    student = preceptor.distill(data=DATA, teacher=section, model="convnet_s", out=tmp_path / "run", **TRAINING)
    assert student.record.teacher_fingerprint is not None


def test_a_run_says_how_its_networks_read_the_data(
    teachers: dict[str, Path], networks: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = {**TRAINING, "progress": True}
    preceptor.distill(
        data=DATA, teacher=teachers["hf vit"], model=networks["timm resnet"], out=tmp_path / "run", **quiet
    )
    said = " ".join(capsys.readouterr().err.split())
    assert "model: resized 8 -> 32" in said
    assert "teacher: 1 channel repeated to 3, resized 8 -> 16" in said


@pytest.mark.parametrize("name", ["zoo", "timm vit"])
def test_a_run_reads_data_that_are_normalised_otherwise_as_it_read_its_own(
    name: str, teachers: dict[str, Path]
) -> None:
    data = data_room.load("digits", limit=64, test_limit=32, validation=0.0)
    other = replace(data, preprocessing=replace(data.preprocessing, mean=(0.1,), std=(2.0,)))
    assert other.normalisation != data.normalisation
    expected = preceptor.evaluate(teachers[name], data=data)
    found = preceptor.evaluate(teachers[name], data=other)
    assert found.accuracy == expected.accuracy
    assert abs(found.nll - expected.nll) < 1e-5
    (assessed,) = preceptor.assess(teachers[name], data=other)
    assert any("normalised by its own mean" in note for note in assessed.notes)


def test_a_teacher_of_another_resolution_is_shown_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = data_room.load("digits", limit=64, test_limit=32, validation=0.0)
    images, labels = data.test.inputs(torch.arange(len(data.test))).float() / 255, data.test.labels
    larger = functional.interpolate(images, (16, 16), mode="bilinear", antialias=True)
    pairs = {"train": (larger, labels), "test": (larger, labels)}
    teacher = preceptor.teach(data=pairs, model="convnet_s", out=tmp_path / "t", **TRAINING)
    small = {"train": (images, labels), "test": (images, labels)}
    told = {**TRAINING, "progress": True}
    preceptor.distill(data=small, teacher=teacher.path, model="convnet_s", out=tmp_path / "s", **told)
    assert "teacher: resized 8 -> 16" in " ".join(capsys.readouterr().err.split())
    assert abs(preceptor.evaluate(teacher.path, data=small).nll - teacher.metrics.nll) < 1e-5


def test_a_teacher_that_comes_with_weights_needs_no_file(tmp_path: Path) -> None:
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=8,
        patch_size=4,
        num_channels=1,
        num_labels=10,
    )
    source = transformers.ViTForImageClassification(config).eval()
    source.save_pretrained(tmp_path / "trained")
    place = f"hf:{tmp_path / 'trained'}"
    student = preceptor.distill(data=DATA, teacher={"model": place}, model="convnet_s", out=tmp_path / "s", **TRAINING)
    direct = preceptor.distill(data=DATA, teacher=Bare(source), model="convnet_s", out=tmp_path / "d", **TRAINING)
    assert student.metrics == direct.metrics
    for model, said in (
        ({"name": place, "pretrained": False}, f"teacher.model: {place} comes without trained weights"),
        ("convnet_m", "teacher.model: convnet_m comes without trained weights"),
    ):
        with pytest.raises(UsageError, match=re.escape(said)):
            preceptor.distill(data=DATA, teacher={"model": model}, model="convnet_s", out=tmp_path / "no", **TRAINING)
    with pytest.raises(UsageError, match=r"hf:.* is for images, and the samples have shape"):
        preceptor.distill(data="gaussian", teacher={"model": place}, model="mlp", out=tmp_path / "no", **TRAINING)


class Bare(nn.Module):
    """A transformers model as a user's own: it returns a mapping with logits."""

    def __init__(self, source: nn.Module) -> None:
        super().__init__()
        self.source = source

    def forward(self, inputs: torch.Tensor) -> Any:
        return self.source(inputs)


def test_a_network_of_a_factory_and_a_tuple_of_logits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pairs_of_logits.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, num_classes):\n"
        "        super().__init__()\n"
        "        self.body = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())\n"
        "        self.head = nn.Linear(8, num_classes)\n"
        "    def forward(self, inputs):\n"
        "        maps = self.body(inputs)\n"
        "        return self.head(maps.mean((2, 3))), maps\n"
    )
    monkeypatch.chdir(tmp_path)
    name = "pairs_of_logits:Net"
    teacher = preceptor.teach(data=DATA, model=name, out=tmp_path / "t", **TRAINING)
    assert isinstance(teacher.model, Adapted)
    save_weights(teacher.model, tmp_path / "w.safetensors")
    student = preceptor.distill(
        data=DATA,
        teacher={"path": str(tmp_path / "w.safetensors"), "model": name},
        model=name,
        method={"name": "at", "pairs": {"body.0": "body.0"}},
        out=tmp_path / "s",
        **TRAINING,
    )
    assert preceptor.evaluate(student.path, model="pairs_of_logits:Net") == student.metrics
    with pytest.raises(
        UsageError, match=r"teacher\.model: mlp is not the network of run folder .*, which is pairs_of_logits:Net"
    ):
        preceptor.distill(data=DATA, teacher={"path": str(tmp_path / "t"), "model": "mlp"}, model=name, **TRAINING)


def test_a_network_of_another_width_than_the_data_have_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "seven_classes.py").write_text(
        "from torch import nn\ndef make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 7))\n"
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="model has 7 classes, data digits has 10"):
        preceptor.teach(data=DATA, model="seven_classes:make", out=tmp_path / "t", **TRAINING)
