"""Networks that state their classes themselves, met by data whose classes have another order, or are fewer."""

from __future__ import annotations

import copy
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import preceptor
from preceptor.artifacts.classes import copy_classes, names_stated_by, select_stated
from preceptor.artifacts.teachers import load_teachers
from preceptor.config.sections import DataSection, ModelSection, TeacherSection
from preceptor.data import Data
from preceptor.errors import UsageError
from preceptor.models import SelectedClasses, save_weights
from preceptor.runner.data import load_data

QUICK: dict[str, Any] = {"epochs": 1, "batch_size": 8, "device": "cpu", "engine": "plain", "progress": False}
SHADES = {"ant": 0, "bee": 80, "cow": 160, "dog": 240}


def images(root: Path, names: tuple[str, ...], count: int = 10) -> str:
    """Write images whose shade is their class."""
    for name in names:
        (root / name).mkdir(parents=True)
        for k in range(count):
            pixels = np.full((8, 8, 3), SHADES[name.casefold()] + k, np.uint8)
            Image.fromarray(pixels).save(root / name / f"{k}.png")
    return f"folder:{root}"


def data_of(name: str) -> Data:
    return load_data(DataSection(name=name))


class Shades(nn.Module):
    """Knows the shades of its classes: always right."""

    def __init__(self, names: tuple[str, ...], data: Data) -> None:
        super().__init__()
        mean, std = (torch.tensor(each).mean() for each in (data.normalisation.mean, data.normalisation.std))
        shades = (torch.tensor([(SHADES[name.casefold()] + 5) / 255 for name in names]) - mean) / std
        self.classifier = nn.Linear(1, len(names))
        with torch.no_grad():  # -(x - s)^2 without x^2
            self.classifier.weight.copy_(200 * shades[:, None])
            self.classifier.bias.copy_(-100 * shades**2)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.classifier(inputs.mean((1, 2, 3))[:, None])
        return logits


class Config:
    def __init__(self, *names: str) -> None:
        self.id2label = dict(enumerate(names))
        self.label2id = {name: number for number, name in enumerate(names)}


def stating(data: dict[str, Any], *names: str) -> Shades:
    network = Shades(names, data_of(data["name"]))
    network.config = Config(*names)  # type: ignore[assignment]
    return network


@pytest.fixture
def plain(tmp_path: Path) -> dict[str, Any]:
    """Images of the classes ant, cow, dog, unnormalised."""
    return {"name": images(tmp_path / "data", ("ant", "cow", "dog"))}


def accuracy(network: nn.Module, data: Data) -> float:
    with torch.no_grad():
        logits = network(data.normalisation(data.train.inputs(torch.arange(len(data.train)))))
    return float((logits.argmax(1) == data.train.labels).float().mean())


def test_a_passed_network_is_mapped_by_name(plain: dict[str, Any]) -> None:
    data = data_of(plain["name"])
    for names in (("dog", "ant", "cow"), ("Dog", "ANT", "cow")):
        teacher = stating(plain, *names)
        assert accuracy(teacher, data) < 0.5
        mapped = select_stated("teacher", teacher, data, None)
        assert isinstance(mapped, SelectedClasses)
        assert mapped.order.tolist() == [1, 2, 0]
        assert accuracy(mapped, data) == 1.0
        assert mapped.note.endswith("ant is its output 1, cow is its output 2, dog is its output 0")
    same = stating(plain, "ant", "cow", "dog")
    assert select_stated("teacher", same, data, None) is same


def test_more_classes_are_selected_by_name_or_number(plain: dict[str, Any]) -> None:
    data = data_of(plain["name"])
    teacher = stating(plain, "dog", "bee", "cow", "ant")
    with pytest.raises(
        UsageError,
        match=r"teacher has 4 classes, data folder:.* has 3 \(only there: bee; teacher.classes=match selects by name, "
        r"teacher.classes=\[N, \.\.\.\] by number\)",
    ):
        select_stated("teacher", teacher, data, None)
    selections: tuple[Any, ...] = ("match", (3, 2, 0))
    for classes in selections:
        assert accuracy(select_stated("teacher", teacher, data, classes), data) == 1.0


def test_two_teachers_in_one_run_agree_with_the_data(plain: dict[str, Any], tmp_path: Path) -> None:
    """The student of a network in another order is the student of the same network in the data's, bit for bit."""
    students = [
        preceptor.distill(data=plain, model="convnet_s", teacher=teacher, out=tmp_path / name, **QUICK)
        for name, teacher in {
            "own": Shades(("ant", "cow", "dog"), data_of(plain["name"])),
            "other": stating(plain, "dog", "ant", "cow"),
        }.items()
    ]
    one, two = (student.model.parameters() for student in students)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    (found,) = preceptor.assess(stating(plain, "dog", "ant", "cow"), data=plain, progress=False)
    assert found.test.metrics.accuracy == 1.0
    label: dict[str, Any] = {"data": plain, "progress": False, "device": "cpu", "engine": "plain"}
    made = preceptor.label(teacher=stating(plain, "dog", "ant", "cow"), out=tmp_path / "labels", **label)
    own = preceptor.label(
        teacher=Shades(("ant", "cow", "dog"), data_of(plain["name"])), out=tmp_path / "own labels", **label
    )
    for shard in made.manifest.shards:
        assert np.array_equal(np.load(made.path / shard), np.load(own.path / shard))


def test_a_passed_network_with_more_classes_is_a_section(plain: dict[str, Any], tmp_path: Path) -> None:
    teacher: dict[str, Any] = {"model": stating(plain, "dog", "bee", "cow", "ant"), "classes": [3, 2, 0]}
    found = preceptor.distill(data=plain, model="convnet_s", teacher=teacher, out=tmp_path / "s", **QUICK)
    own = preceptor.distill(
        data=plain,
        model="convnet_s",
        teacher=Shades(("ant", "cow", "dog"), data_of(plain["name"])),
        out=tmp_path / "own",
        **QUICK,
    )
    pairs = zip(found.model.parameters(), own.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.skipif(find_spec("transformers") is None, reason="needs the extra hf")
def test_a_folder_of_transformers_is_mapped_by_name(plain: dict[str, Any], tmp_path: Path) -> None:
    from preceptor.extras import import_extra, import_torchvision  # noqa: PLC0415

    if find_spec("torchvision") is not None:
        import_torchvision(needed_by="tests")
    transformers = import_extra("transformers", "hf", needed_by="tests")
    data, inputs = data_of(plain["name"]), torch.randn(2, 3, 8, 8)

    def folder(name: str, *labels: str) -> tuple[Path, Any]:
        config = transformers.ResNetConfig(
            embedding_size=8,
            hidden_sizes=[8, 16],
            depths=[1, 1],
            layer_type="basic",
            id2label=dict(enumerate(labels)),
            label2id={label: number for number, label in enumerate(labels)},
        )
        network = transformers.ResNetForImageClassification(config).eval()
        network.save_pretrained(tmp_path / name)
        return tmp_path / name, network

    def teacher(place: Path, classes: Any = None) -> nn.Module:
        section = TeacherSection(model=ModelSection(name=f"hf:{place}"), classes=classes)
        return load_teachers(section, data)[0].eval()

    place, source = folder("three", "dog", "ant", "cow")
    found = teacher(place)
    expected = source(inputs).logits
    assert torch.allclose(found(inputs), expected[:, [1, 2, 0]], atol=1e-6)
    assert torch.allclose(teacher(place, (0, 1, 2))(inputs), expected, atol=1e-6)
    file = TeacherSection(path=str(place / "model.safetensors"), model=f"hf:{place}")
    assert torch.allclose(load_teachers(file, data)[0].eval()(inputs), expected[:, [1, 2, 0]], atol=1e-6)
    place, source = folder("four", "dog", "bee", "cow", "ant")
    expected = source(inputs).logits
    with pytest.raises(UsageError, match=r"has 4 classes, .*teacher.classes=match"):
        teacher(place)
    selections: tuple[Any, ...] = ("match", (3, 2, 0))
    for classes in selections:
        assert torch.allclose(teacher(place, classes)(inputs), expected[:, [3, 2, 0]], atol=1e-6)
    with pytest.raises(UsageError, match=r"has other classes than .*: class 0 is 'pig' there and 'ant' here"):
        teacher(folder("others", "pig", "cow", "dog")[0])
    unnamed, source = folder("unnamed", "LABEL_0", "LABEL_1", "LABEL_2")
    assert torch.allclose(teacher(unnamed)(inputs), source(inputs).logits, atol=1e-6)
    place, source = folder("student", "dog", "ant", "cow")
    tuned = preceptor.teach(
        data=plain, model=f"hf:{place}", out=tmp_path / "tuned", **{**QUICK, "optim": {"lr": 1e-30, "weight_decay": 0}}
    )
    trained: Any = tuned.model
    rows = source.classifier[1].weight[[1, 2, 0]]
    assert torch.allclose(trained.network.classifier[1].weight, rows, atol=1e-6)
    assert names_stated_by(tuned.model) == ("ant", "cow", "dog")
    assert trained.network.config.id2label == {0: "ant", 1: "cow", 2: "dog"}
    config = json.loads((tmp_path / "tuned" / "result.json").read_text())["model"]["config"]
    assert config["id2label"] == {"0": "ant", "1": "cow", "2": "dog"}


def test_training_starts_from_the_right_outputs(plain: dict[str, Any], tmp_path: Path) -> None:
    """Of a run on the classes ant, bee, cow, dog, those of the data's three remain."""
    still: dict[str, Any] = {**QUICK, "optim": {"lr": 1e-30, "weight_decay": 0}}
    four = images(tmp_path / "four", ("ant", "bee", "cow", "dog"))
    run = preceptor.teach(data=four, model="convnet_s", out=tmp_path / "run", **QUICK)
    started = preceptor.teach(data=plain, model="convnet_s", start_from=run, out=tmp_path / "new", **still)
    before, after = (dict(each.model.named_parameters()) for each in (run, started))
    widths = [(name, len(before[name])) for name in before if before[name].shape != after[name].shape]
    assert [width for _, width in widths] == [4, 4]
    for name, tensor in before.items():
        rows = tensor[[0, 2, 3]] if name in dict(widths) else tensor
        assert torch.allclose(after[name].cpu(), rows.cpu(), atol=1e-6)


def test_a_run_on_more_classes_is_measured_and_teaches_by_name(plain: dict[str, Any], tmp_path: Path) -> None:
    four = images(tmp_path / "four", ("ant", "bee", "cow", "dog"))
    run = preceptor.teach(data=four, model="convnet_s", out=tmp_path / "run", **QUICK)
    data, inputs = data_of(plain["name"]), torch.randn(2, 3, 8, 8)
    (teacher,) = load_teachers(TeacherSection(path=str(run.path), classes="match"), data)
    expected = run.model.eval()(inputs)[:, [0, 2, 3]]
    bare: Any = teacher.eval()
    assert torch.allclose(bare.network.network(inputs), run.model(inputs), atol=1e-5)
    assert bare(inputs).shape == expected.shape
    match = preceptor.evaluate(run.path, data=plain, classes="match", progress=False)
    assert match == preceptor.evaluate(run.path, data=plain, classes=[0, 2, 3], progress=False)
    with pytest.raises(UsageError, match=r"\(only there: bee; classes=match selects by name, classes=\[N, "):
        preceptor.evaluate(run.path, data=plain, progress=False)
    weights = tmp_path / "bare.safetensors"
    save_weights(run.model, weights)
    with pytest.raises(UsageError, match=r"the file has 4 classes, the model 3; teacher.classes=match"):
        load_teachers(TeacherSection(path=str(weights), model="convnet_s"), data)
    (by_number,) = load_teachers(TeacherSection(path=str(weights), model="convnet_s", classes=(0, 2, 3)), data)
    assert torch.allclose(by_number.eval()(inputs), expected, atol=1e-5)


def test_a_single_output_is_turned_round(tmp_path: Path) -> None:
    data = data_of(images(tmp_path / "two", ("ant", "dog")))
    source = nn.Sequential(nn.Flatten(), nn.Linear(192, 1))
    network = copy.deepcopy(source)
    copy_classes(source, network, (1, 0), data)
    inputs = torch.randn(4, 3, 8, 8)
    assert torch.allclose(network(inputs), -source(inputs), atol=1e-6)


def test_a_classifier_that_is_not_found_is_said(tmp_path: Path) -> None:
    class Turned(nn.Module):
        """Its outputs are no rows of a layer."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(192, 2)

        def forward(self, inputs: Tensor) -> Tensor:
            logits: Tensor = self.layer(inputs.flatten(1))
            return logits * torch.tensor([1.0, 3.0])

    data = data_of(images(tmp_path / "two", ("ant", "dog")))
    source = Turned()
    with pytest.raises(UsageError, match="start_from: the classifier of Turned is not found"):
        copy_classes(source, copy.deepcopy(source), (1, 0), data)
