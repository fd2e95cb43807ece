"""Exported files return what the network returns, for batches of any size."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
import yaml
from torch import Tensor, nn

import preceptor
from preceptor.artifacts.fingerprints import fingerprint
from preceptor.artifacts.run_folder import RunFolder
from preceptor.cli import main
from preceptor.data import Normalisation
from preceptor.exports.export import export
from preceptor.exports.open_model import open_model
from preceptor.models import ReusedClassifier, load_weights, read_metadata
from preceptor.runner.result import Result

SIZES = (1, 3, 17)
DATA: dict[str, Any] = {"name": "digits", "limit": 600}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher t and its student s, on real digits."""
    folder = tmp_path_factory.mktemp("runs")
    preceptor.teach(data=DATA, model="convnet_m", epochs=1, out=folder / "t", progress=False)
    preceptor.distill(
        data=DATA, teacher=folder / "t", model="convnet_s", epochs=2, seed=3, out=folder / "s", progress=False
    )
    return folder


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A residual network for 32x32 colour images, next to random, on noise."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 3, 32, 32), generator=generator, dtype=torch.uint8)
    out = tmp_path_factory.mktemp("colours") / "r"
    preceptor.teach(
        data=(images, torch.arange(40) % 4), model="resnet8", epochs=1, batch_size=16, out=out, progress=False
    )
    return out


def pixels(shape: tuple[int, ...], rows: int) -> Tensor:
    return torch.randint(0, 256, (rows, *shape), generator=torch.Generator().manual_seed(rows), dtype=torch.uint8)


def probabilities(run: Path, samples: Tensor) -> Tensor:
    record = RunFolder(run).read_record()
    normalise = Normalisation(record.preprocessing.mean, record.preprocessing.std)
    with torch.no_grad():
        outputs: Tensor = preceptor.load(run)(normalise(samples)).softmax(1)
    return outputs


@pytest.mark.parametrize("suffix", ["safetensors", "onnx", "pt2"])
def test_every_format_gives_the_outputs_of_the_network_for_any_batch(suffix: str, runs: Path, tmp_path: Path) -> None:
    exported = preceptor.export(runs / "s", tmp_path / f"student.{suffix}")
    assert exported.path is not None
    assert exported.bytes == exported.path.stat().st_size
    opened = open_model(exported.path)
    for rows in SIZES:
        samples = pixels((1, 8, 8), rows)
        torch.testing.assert_close(opened.probabilities(samples), probabilities(runs / "s", samples))


@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
def test_residual_networks_on_colour_images(suffix: str, colours: Path, tmp_path: Path) -> None:
    exported = export(colours, tmp_path / f"r.{suffix}")
    assert exported.difference is not None
    assert exported.difference < 1e-4
    opened = open_model(tmp_path / f"r.{suffix}")
    for rows in SIZES:
        samples = pixels((3, 32, 32), rows)
        torch.testing.assert_close(opened.probabilities(samples), probabilities(colours, samples))


@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
def test_probabilities_from_pixels(suffix: str, runs: Path, tmp_path: Path) -> None:
    path = tmp_path / f"student.{suffix}"
    export(runs / "s", path, output="probabilities", normalise="inside")
    opened, samples = open_model(path), pixels((1, 8, 8), 17)
    raw = opened.forward(samples)  # uint8 goes into the file itself
    torch.testing.assert_close(raw.sum(1), torch.ones(17))
    assert float(raw.min()) >= 0
    export(runs / "s", tmp_path / f"outside.{suffix}")
    outside = open_model(tmp_path / f"outside.{suffix}").probabilities(samples)
    torch.testing.assert_close(raw, outside)


def test_numbers_that_are_no_pixels(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    vectors = 5 + 3 * torch.randn(60, 7, generator=generator)
    run = tmp_path / "v"
    preceptor.teach(data=(vectors, torch.arange(60) % 3), model="mlp", epochs=1, out=run, progress=False)
    export(run, tmp_path / "v.onnx", normalise="inside")
    torch.testing.assert_close(
        open_model(tmp_path / "v.onnx").probabilities(vectors[:5]), probabilities(run, vectors[:5])
    )
    with pytest.raises(preceptor.UsageError, match=r"reads float32 inputs of shape \(7,\), not 8-bit images"):
        preceptor.predict(run, "x.png")


@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
def test_no_path_of_this_machine_is_exported(suffix: str, runs: Path, tmp_path: Path) -> None:
    export(runs / "s", tmp_path / f"student.{suffix}")
    content = (tmp_path / f"student.{suffix}").read_bytes()
    assert str(Path(preceptor.__file__).parent).encode() not in content
    assert str(Path(torch.__file__).parent).encode() not in content


def test_safetensors_say_which_network_they_hold_and_load_back(runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "student.safetensors"
    export(runs / "s", path)
    metadata = read_metadata(path)
    assert metadata["format"] == "pt"
    assert json.loads(metadata["preceptor"])["model"] == {"name": "convnet_s", "logits": None}
    assert fingerprint(preceptor.load(path)) == fingerprint(preceptor.load(runs / "s"))


def test_a_student_with_its_teachers_classifier_is_exported_with_it(runs: Path, tmp_path: Path) -> None:
    run = tmp_path / "simkd"
    preceptor.distill(
        data=DATA, teacher=runs / "t", model="convnet_s", method="simkd", epochs=1, out=run, progress=False
    )
    samples = pixels((1, 8, 8), 5)
    for suffix in ("safetensors", "onnx", "pt2"):
        export(run, tmp_path / f"student.{suffix}")
        outputs = open_model(tmp_path / f"student.{suffix}").probabilities(samples)
        torch.testing.assert_close(outputs, probabilities(run, samples))
    assert isinstance(preceptor.load(tmp_path / "student.safetensors"), ReusedClassifier)


def test_int8_is_smaller_and_its_accuracy_is_printed(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(runs / "t"), "--to", f"{tmp_path}/t.onnx", "--int8"]) == 0
    said = capsys.readouterr().out
    assert (tmp_path / "t.int8.onnx").stat().st_size < 0.5 * (tmp_path / "t.onnx").stat().st_size
    accuracy = preceptor.evaluate(runs / "t").accuracy
    assert f"(float32: {100 * accuracy:.2f} %) on 359 test samples" in said
    assert "ConvInteger, MatMulInteger" in said
    samples = pixels((1, 8, 8), 64)
    int8, float32 = open_model(tmp_path / "t.int8.onnx").probabilities(samples), probabilities(runs / "t", samples)
    assert 0 < float((int8 - float32).abs().max()) < 0.2
    assert {node.op_type for node in onnx.load(tmp_path / "t.int8.onnx").graph.node} >= {"ConvInteger", "MatMulInteger"}


def test_the_card_tells_the_runs_own_numbers(runs: Path, tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    export(runs / "s", tmp_path / "student.onnx", output="probabilities", hub_folder=hub, license="mit")
    record, card = RunFolder(runs / "s").read_record(), (hub / "README.md").read_text()
    front = next(yaml.safe_load_all(card.split("\n---\n")[0]))
    (result,) = front["model-index"][0]["results"]
    assert {each["type"]: each["value"] for each in result["metrics"]} == {
        name: value for name, value in record.test.items() if name != "samples"
    }
    assert (front["library_name"], front["license"], front["pipeline_tag"]) == (
        "preceptor",
        "mit",
        "image-classification",
    )
    assert "datasets" not in front  # digits are no data set of the Hub
    assert front["tags"] == ["preceptor", "knowledge-distillation", "kd"]
    teacher, normalisation = RunFolder(runs / "t").read_record().test["accuracy"], record.preprocessing
    scaled = f"(pixels / 255 - {list(normalisation.mean)}) / {list(normalisation.std)}, channel by channel"
    takes = f"float32 [batch, 1, 8, 8], normalised: {scaled}"
    for text in (
        f"A student of `convnet_m` (`t`, test accuracy {100 * teacher:.2f} %), distilled by `kd`",
        f"| accuracy | {100 * record.test['accuracy']:.2f} % |",
        "| seed | 3 |",
        f"torch {record.versions['torch']}",
        record.command,
        f"| `student.onnx` | {takes} | probabilities [batch, 10] |",
        f"| `model.safetensors` | {takes} | logits [batch, 10] |",
    ):
        assert text in card
    assert {path.name for path in hub.iterdir()} == {"README.md", "preceptor.json", "model.safetensors", "student.onnx"}
    assert json.loads((hub / "preceptor.json").read_text())["model"]["name"] == "convnet_s"
    assert fingerprint(preceptor.load(hub)) == fingerprint(preceptor.load(runs / "s"))
    samples = pixels((1, 8, 8), 4)
    torch.testing.assert_close(open_model(hub).probabilities(samples), probabilities(runs / "s", samples))


@pytest.mark.parametrize("suffix", ["safetensors", "onnx", "pt2"])
def test_a_kept_epoch_is_exported(suffix: str, kept: Result, tmp_path: Path) -> None:
    words = ["export", str(kept.path), "--to", f"{tmp_path}/k.{suffix}", "--epoch", "2"]
    assert main(words) == 0
    network = copy.deepcopy(kept.model)
    samples = pixels((1, 8, 8), 5)
    mean, std = kept.record.preprocessing.mean, kept.record.preprocessing.std
    inputs = Normalisation(mean, std)(samples)
    found = open_model(tmp_path / f"k.{suffix}").probabilities(samples)
    for epoch, is_it in ((2, True), (3, False)):
        load_weights(network, RunFolder(kept.path).kept_epochs()[epoch])
        with torch.no_grad():
            assert torch.allclose(found, network(inputs).softmax(1), atol=1e-5) is is_it
    export(kept, tmp_path / "python.safetensors", epoch=2)
    assert fingerprint(preceptor.load(tmp_path / "python.safetensors")) != fingerprint(preceptor.load(kept.path))


class Wave(nn.Module):
    """ONNX has no Bessel functions."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.linear(torch.special.i1e(inputs.flatten(1)))
        return logits


class Branch(nn.Module):
    """Branches on the values of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training and inputs.sum() > 1e9:
            inputs = -inputs
        logits: Tensor = self.linear(inputs.flatten(1))
        return logits


@pytest.fixture(scope="module", params=[Wave, Branch], ids=["operator", "branch"])
def own(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Result:
    out = tmp_path_factory.mktemp("own") / "run"
    return preceptor.teach(data={**DATA, "limit": 64}, model=request.param(), epochs=1, out=out, progress=False)


def test_what_cannot_be_exported_is_named(own: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    what = (
        r"Wave: ONNX has no operator for prims.bessel_i1e; --to FILE.pt2"
        if isinstance(own.model, Wave)
        else r"Branch cannot be traced for batches of any size; .* \(.*\); --to FILE.safetensors"
    )
    with pytest.raises(preceptor.UsageError, match=what) as caught:
        export(own, tmp_path / "own.onnx")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "own.onnx").exists()
    assert capsys.readouterr() == ("", "")


def test_a_result_is_exported_with_the_weights_of_its_numbers(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    result = preceptor.teach(data=DATA, model=model, epochs=1, out=tmp_path / "run", progress=False)
    samples = pixels((1, 8, 8), 5)
    export(result, tmp_path / "first.onnx")
    nn.init.zeros_(model[1].weight)  # type: ignore[arg-type]
    export(result, tmp_path / "second.onnx")
    first, second = (open_model(tmp_path / f"{name}.onnx").probabilities(samples) for name in ("first", "second"))
    torch.testing.assert_close(first, second)
    with pytest.raises(preceptor.UsageError, match="was passed as a Python object"):
        export(tmp_path / "run", tmp_path / "third.onnx")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "error: export: say where to: --to FILE.safetensors, FILE.onnx, FILE.pt2, or --hub-folder FOLDER"),
        (["--to", "{out}/x.tflite"], "x.tflite is no FILE.safetensors, FILE.onnx, FILE.pt2"),
        (["--to", "{out}/x.pt2", "--int8"], "error: int8: is for FILE.onnx, and the file is "),
        (["--to", "{out}/x.safetensors", "--output", "probabilities"], "error: output: probabilities is for .onnx"),
        (
            ["--hub-folder", "{out}", "--license", "unknown", "--normalise", "inside"],
            "error: normalise: inside is for .onnx and .pt2",
        ),
        (["--hub-folder", "{runs}/t", "--license", "unknown"], "t is a run folder; choose another"),
        (["--to", "{runs}/s/model.safetensors"], "is the run's own weights file; choose another name"),
        (["--to", "{runs}/s/config.yaml/x.onnx"], "config.yaml is a file, not a folder"),
        (["--to", "{out}/x.onnx", "--epoch", "2"], "s has kept epochs none, not 2; teach with keep_every=N"),
        (["--to", "{out}/x.onnx", "--epoch", "0"], "error: Invalid value for '--epoch'"),
        (["--to", "{out}/x.onnx", "--output", "classes"], "error: Invalid value for '--output'"),
    ],
)
def test_mistakes(
    words: list[str], message: str, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(runs / "s"), *(word.format(out=tmp_path, runs=runs) for word in words)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_record_without_classes_is_none(runs: Path, tmp_path: Path) -> None:
    old = RunFolder(tmp_path / "old")
    old.path.mkdir()
    old.config.write_text(RunFolder(runs / "s").config.read_text())
    record = json.loads(RunFolder(runs / "s").result.read_text())
    del record["class_names"]
    old.result.write_text(json.dumps(record))
    with pytest.raises(preceptor.UsageError, match=r"result.json: class_names: field required"):
        export(old.path, tmp_path / "x.onnx")


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_extra(package: str, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # what Python itself takes for: not there
    with pytest.raises(
        preceptor.UsageError, match=rf"needs {package}, which is not installed: pip install preceptor\[export\]"
    ):
        export(runs / "s", tmp_path / "x.onnx")
    export(runs / "s", tmp_path / "x.pt2")


def test_a_network_of_transformers_needs_no_folder_but_its_own(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    vit = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "patch_size": 4,
    }
    transformers.ViTConfig(**vit, image_size=8).save_pretrained(tmp_path / "vit")
    place = f"hf:{tmp_path / 'vit'}"
    run = preceptor.teach(data=DATA, model=place, epochs=1, out=tmp_path / "run", progress=False)
    preceptor.export(run.path, hub_folder=tmp_path / "hub", license="unknown")
    (tmp_path / "vit" / "config.json").unlink()
    for path in (tmp_path / "hub", run.path):
        loaded = preceptor.load(path).state_dict()
        assert all(torch.equal(loaded[name], value) for name, value in run.model.state_dict().items())
