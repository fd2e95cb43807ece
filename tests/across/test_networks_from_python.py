"""A network that was passed as an object is passed again, or named, wherever its run or its file is read."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor, nn

import preceptor
from preceptor.artifacts.fingerprints import fingerprint
from preceptor.cli import main
from preceptor.errors import UsageError
from preceptor.exports.open_model import open_model
from preceptor.models import create

DATA: dict[str, Any] = {"name": "digits", "limit": 200, "test_limit": 80}
WORDS = ["data=digits", "data.limit=200", "data.test_limit=80"]
NAME = "networks_of_mine:make"
AGAIN = r"give it again: (model=|--model )PKG\.MODULE:FACTORY, or from Python the network itself as model$"


def make(classes: int = 10) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.BatchNorm1d(12), nn.Linear(12, classes))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> preceptor.Result:
    out = tmp_path_factory.mktemp("python") / "t"
    return preceptor.teach(data=DATA, model=make(), epochs=2, keep_every=1, engine="plain", out=out, progress=False)


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name under which the network can be imported."""
    (tmp_path / "networks_of_mine.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.BatchNorm1d(12), nn.Linear(12, 10))\n"
    )
    monkeypatch.chdir(tmp_path)
    return NAME


def answers(network: nn.Module) -> Tensor:
    with torch.no_grad():
        logits: Tensor = network(torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    return logits


def distil(teacher: Any, out: Path, **more: Any) -> preceptor.Result:
    settings: dict[str, Any] = {"data": DATA, "model": "convnet_s", "epochs": 1, "progress": False, **more}
    return preceptor.distill(teacher=teacher, out=out, **settings)


def test_load_fills_a_copy_of_what_is_passed(run: preceptor.Result, mine: str) -> None:
    network = make()
    before = fingerprint(network)
    loaded = preceptor.load(run.path, model=network)
    assert fingerprint(network) == before
    assert not loaded.training
    assert torch.equal(answers(loaded), answers(run.model))
    assert torch.equal(answers(preceptor.load(run.path, model=mine)), answers(run.model))
    assert torch.equal(answers(preceptor.load(run.path, model={"name": mine})), answers(run.model))


def test_the_ways_out_are_named(run: preceptor.Result, tmp_path: Path) -> None:
    preceptor.export(run, tmp_path / "t.safetensors")
    for place in (run.path, tmp_path / "t.safetensors"):
        for ask in (
            preceptor.load,
            lambda path: preceptor.evaluate(path, data=DATA),
            preceptor.predict,
        ):
            with pytest.raises(UsageError, match=AGAIN):
                ask(place)
        with pytest.raises(
            UsageError, match=r"again: teacher\.model=PKG\.MODULE:FACTORY, or .* itself as teacher\.model$"
        ):
            distil(place, tmp_path / "no")
    with pytest.raises(UsageError, match=AGAIN):
        preceptor.export(run.path, tmp_path / "x.onnx")
    with pytest.raises(UsageError, match=r"weights .*: do not fit Sequential: the file has 10 classes, the model 7"):
        preceptor.load(run.path, model=make(7))


def test_it_is_measured(run: preceptor.Result, mine: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert preceptor.evaluate(run.path, model=make()) == run.metrics
    (found,) = preceptor.assess({"path": run.path, "model": make()})
    assert found.test.metrics.accuracy == run.metrics.accuracy
    assert main(["evaluate", str(run.path), f"model={mine}"]) == 0
    assert f"{100 * run.metrics.accuracy:.2f} %" in capsys.readouterr().out
    assert main(["assess", str(run.path), f"model={mine}"]) == 0


def test_it_leaves_and_is_asked(
    run: preceptor.Result, mine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    preceptor.export(run.path, tmp_path / "t.onnx", model=make())
    preceptor.export(run.path, tmp_path / "bare.safetensors", model=make())
    assert main(["export", str(run.path), "--to", "named.safetensors", "--model", mine]) == 0
    assert torch.equal(answers(preceptor.load("named.safetensors", model="networks_of_mine:make")), answers(run.model))
    assert torch.equal(answers(preceptor.load("bare.safetensors", model=make())), answers(run.model))
    Image.new("L", (8, 8), 200).save("image.png")
    expected = preceptor.predict("t.onnx", "image.png")[0].probabilities
    for place in (run.path, "bare.safetensors"):
        (seen,) = preceptor.predict(place, "image.png", model=make())
        assert seen.probabilities == pytest.approx(expected, abs=1e-5)
    capsys.readouterr()
    assert main(["predict", str(run.path), "image.png", "--model", mine]) == 0
    assert f"{expected[0]:.4f}" in capsys.readouterr().out


def test_it_teaches(run: preceptor.Result, mine: str, tmp_path: Path) -> None:
    live = distil(run, tmp_path / "live")
    section = distil({"path": run.path, "model": make()}, tmp_path / "section")
    words = [*WORDS, "model=convnet_s", "epochs=1", f"teacher={run.path}", f"teacher.model={mine}", "out=words"]
    assert main(["distill", *words]) == 0
    assert section.metrics == live.metrics
    assert section.record.teacher_fingerprint == live.record.teacher_fingerprint == fingerprint(run.model)
    assert yaml.safe_load((tmp_path / "words" / "config.yaml").read_text())["teacher"]["model"] == mine
    assert fingerprint(preceptor.load("words")) == fingerprint(live.model)


def test_a_kept_epoch_teaches_and_labels_are_made(run: preceptor.Result, tmp_path: Path) -> None:
    kept = distil({"path": run.path, "model": make(), "epoch": 1}, tmp_path / "kept")
    assert kept.record.teacher_fingerprint != fingerprint(run.model)
    done = preceptor.label(
        data=DATA, teacher={"path": run.path, "model": make()}, out=tmp_path / "labels", progress=False
    )
    assert list(done.manifest.source.teachers) == [fingerprint(run.model)]
    with pytest.raises(UsageError, match="a network passed from Python goes with one path, and without anchors"):
        distil({"path": run.path, "model": make(), "anchors": "kept"}, tmp_path / "no")


def test_a_result_is_assessed_on_the_data_of_its_run(tmp_path: Path) -> None:
    images = torch.randint(0, 256, (60, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    run = preceptor.teach(
        data=(images, torch.arange(60) % 10), model=make(), epochs=1, engine="plain", out=tmp_path / "t", progress=False
    )
    (found,) = preceptor.assess(run)
    assert found.test.metrics == run.metrics
    done = preceptor.export(run, tmp_path / "t.onnx", int8=True)
    assert done.quantised is not None
    assert done.quantised.accuracy_before == pytest.approx(run.metrics.accuracy)
    with pytest.raises(UsageError, match=r"passed from Python, .* export the Result that teach or distill returned"):
        preceptor.export(tmp_path / "t", tmp_path / "x.onnx", int8=True, model=make())
    assert open_model(tmp_path / "t.onnx").metadata.model["name"].startswith("python:")


SHORT: dict[str, Any] = {"data": DATA, "epochs": 1, "engine": "plain", "progress": False}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_teacher_of_any_precision_teaches_about_the_same(dtype: torch.dtype, tmp_path: Path) -> None:
    teacher = make()
    exact = preceptor.distill(teacher=teacher, model="convnet_s", out=tmp_path / "a", **SHORT)
    cast = preceptor.distill(
        teacher=copy.deepcopy(teacher).to(dtype), model="convnet_s", method="kd", out=tmp_path / "b", **SHORT
    )
    assert cast.metrics.nll == pytest.approx(exact.metrics.nll, rel=0.02)


@pytest.mark.parametrize("method", ["kd", "fitnet"])
def test_a_student_in_float64_is_trained_in_it(method: str, tmp_path: Path) -> None:
    student, teacher = (create(name, num_classes=10, input_shape=(1, 8, 8)) for name in ("convnet_s", "convnet_m"))
    single = preceptor.distill(
        teacher=teacher, model=copy.deepcopy(student), method=method, out=tmp_path / "a", **SHORT
    )
    double = preceptor.distill(teacher=teacher, model=student.double(), method=method, out=tmp_path / "b", **SHORT)
    assert {each.dtype for each in double.model.parameters()} == {torch.float64}
    assert double.metrics.nll == pytest.approx(single.metrics.nll, rel=1e-3)
    assert preceptor.export(double, tmp_path / "x.pt2").difference is not None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_student_in_half_precision_is_refused(dtype: torch.dtype, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"^model: its weights are torch\.\w+, too coarse to train; pass model\.float\(\)"
    ):
        preceptor.teach(model=make().to(dtype), out=tmp_path / "a", **SHORT)


class Heads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = make(), make()

    def forward(self, inputs: Tensor) -> Any:
        return (self.one(inputs), self.two(inputs)) if self.training else self.one(inputs)


def test_heads_that_are_not_trained_are_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    preceptor.teach(model=Heads(), out=tmp_path / "a", **{**SHORT, "progress": True})
    assert (
        "note: model: returns 2 outputs like logits in training; only the first is trained\n" in capfd.readouterr().err
    )
    preceptor.teach(model=make(), out=tmp_path / "b", **{**SHORT, "progress": True})
    assert "outputs like logits" not in capfd.readouterr().err


def test_a_list_of_teachers_is_an_ensemble(run: preceptor.Result, tmp_path: Path) -> None:
    runs = [tmp_path / "r0", tmp_path / "r1"]
    for seed, out in enumerate(runs):
        preceptor.teach(model="convnet_s", seed=seed, out=out, **SHORT)
    keys = {"model": "convnet_s", "method": "ensemble", **SHORT}
    by_path = preceptor.distill(teacher=runs, out=tmp_path / "a", **keys)
    by_result = preceptor.distill(teacher=[preceptor.load(each) for each in runs], out=tmp_path / "b", **keys)
    assert by_path.metrics == by_result.metrics
    with_result = preceptor.distill(teacher=(run, make()), out=tmp_path / "c", **keys)
    assert with_result.metrics.samples == by_path.metrics.samples
    assert preceptor.label(data=DATA, teacher=[make(), make()], out=tmp_path / "l", progress=False).num_predicted == 200
    with pytest.raises(
        UsageError, match=r"^teacher: \S+r0 stands beside networks in a list; pass its network: preceptor\.load"
    ):
        preceptor.distill(teacher=[make(), runs[0]], out=tmp_path / "d", **keys)
