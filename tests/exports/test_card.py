"""The card is true of every file in its folder: its numbers are the run's, and its lines of Python are run here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor, nn

import preceptor
from preceptor.cli import main
from preceptor.runner.result import Result


def read_card(hub: Path) -> tuple[str, dict[str, Any]]:
    """Return the card and its front matter."""
    text = (hub / "README.md").read_text()
    return text, next(yaml.safe_load_all(text.split("\n---\n")[0]))


def run_its_lines(hub: Path, monkeypatch: pytest.MonkeyPatch, **known: Any) -> dict[str, Any]:
    """Run every line of Python on the card, in its folder, and return what they have set."""
    monkeypatch.chdir(hub)
    found = dict(known)
    blocks = re.findall(r"```python\n(.*?)```", (hub / "README.md").read_text(), re.DOTALL)
    for lines in blocks:
        exec(lines.replace("FOLDER", "."), found)
    return found


def test_the_lines_for_images_are_right(two_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = tmp_path / "hub"
    preceptor.export(
        two_runs / "a", hub / "s.onnx", output="probabilities", normalise="inside", hub_folder=hub, license="unknown"
    )
    preceptor.export(two_runs / "a", hub / "s.pt2", hub_folder=hub, license="unknown")
    Image.new("L", (8, 8)).save(hub / "image.png")  # black, as the zeros in the lines for ONNX
    found = run_its_lines(hub, monkeypatch)
    black = torch.from_numpy(found["probabilities"])[0]
    assert found["predictions"][0].probabilities == pytest.approx(black.topk(3).values.tolist(), abs=1e-5)
    torch.testing.assert_close(found["logits"], found["network"](torch.zeros(1, 1, 8, 8)))


def test_int8_has_its_accuracy_and_float32_that_of_a_run_in_bf16(two_runs: Path, tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    exported = preceptor.export(two_runs / "b", tmp_path / "b.onnx", int8=True, hub_folder=hub, license="unknown")
    text, front = read_card(hub)
    assert exported.quantised is not None
    for name, accuracy in (("b", exported.quantised.accuracy_before), ("b.int8", exported.quantised.accuracy)):
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}.onnx` |")]
        assert row.endswith(f"| {100 * accuracy:.2f} % of 80 test samples |")
    (score,) = [each for each in front["model-index"][0]["results"][0]["metrics"] if each["type"] == "accuracy"]
    assert score["value"] == exported.quantised.accuracy_before
    assert front["model-index"][0]["results"][0]["dataset"] == {"name": "digits", "type": "digits", "split": "test"}


def test_tables_have_lines_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"name": "gaussian", "samples": 60, "num_classes": 3, "dim": 6}
    run = preceptor.teach(data=data, model="mlp", epochs=1, out=tmp_path / "run", progress=False)
    hub = tmp_path / "hub"
    preceptor.export(run, hub / "t.onnx", hub_folder=hub, license="unknown")
    text, front = read_card(hub)
    assert "pipeline_tag" not in front
    assert "image.png" not in text
    assert "| `t.onnx` | float32 [batch, 6]" in text
    found = run_its_lines(hub, monkeypatch)
    torch.testing.assert_close(torch.from_numpy(found["logits"]), found["outputs"].detach())


def test_one_output_for_two_classes(tmp_path: Path) -> None:
    data = {"name": "gaussian", "samples": 60, "num_classes": 2}
    run = preceptor.teach(data=data, model={"name": "mlp", "logits": 1}, epochs=1, out=tmp_path / "run", progress=False)
    preceptor.export(run, tmp_path / "t.onnx", hub_folder=tmp_path / "hub", license="unknown")
    text, _ = read_card(tmp_path / "hub")
    assert re.search(r"\| `model.safetensors` \| .* \| \[batch, 1\], the log-odds of \w+ \|", text)
    assert re.search(r"\| `t.onnx` \| .* \| logits \[batch, 2\] \|", text)


def test_the_split_has_its_true_name_and_the_folder_is_no_data_set_of_the_hub(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    for split, name in ((split, name) for split in ("train", "val") for name in ("cat", "dog")):
        (tmp_path / "private" / split / name).mkdir(parents=True)
        for number in range(6):
            pixels = torch.randint(0, 256, (8, 8), generator=generator, dtype=torch.uint8)
            Image.fromarray(pixels.numpy()).save(tmp_path / "private" / split / name / f"{number}.png")
    data = f"folder:{tmp_path / 'private'}"
    run = preceptor.teach(data=data, model="convnet_s", epochs=1, out=tmp_path / "run", progress=False)
    preceptor.export(run, hub_folder=tmp_path / "hub", license="unknown")
    text, front = read_card(tmp_path / "hub")
    assert "datasets" not in front
    assert front["model-index"][0]["results"][0]["dataset"] == {"name": "private", "type": "folder", "split": "val"}
    assert "| val metric | value |" in text
    assert "Read once, in float32, after training on the data's split `val`, which serves as test." in text


def test_the_card_of_a_network_from_python_says_how_to_pass_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def network() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    images = torch.randint(0, 256, (40, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    pair: tuple[Tensor, Tensor] = (images, torch.arange(40) % 10)
    run = preceptor.teach(data=pair, model=network(), epochs=1, out=tmp_path / "run", progress=False)
    hub = tmp_path / "hub"
    preceptor.export(run, hub / "s.onnx", hub_folder=hub, license="unknown")
    text, front = read_card(hub)
    assert "# Sequential on data passed from Python\n" in text
    assert front["model-index"][0]["name"] == "Sequential"
    Image.new("L", (8, 8)).save(hub / "image.png")
    found = run_its_lines(hub, monkeypatch, your_network=network())
    loaded = found["network"].state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in run.model.state_dict().items())
    assert json.loads((hub / "preceptor.json").read_text())["load"] in text


def test_a_teachers_card_needs_no_teacher(two_runs: Path, tmp_path: Path) -> None:
    assert main(["export", str(two_runs / "a"), "--hub-folder", str(tmp_path / "hub"), "--license", "unknown"]) == 0
    card = (tmp_path / "hub" / "README.md").read_text()
    assert "A teacher, trained by `cross_entropy`." in card
    assert "license: unknown" in card
    assert "knowledge-distillation" not in card


def card_of(kept: Result, hub: Path, epoch: int) -> tuple[dict[str, Any], str]:
    preceptor.export(kept.path, hub_folder=hub, license="unknown", epoch=epoch)
    text = (hub / "README.md").read_text()
    return next(yaml.safe_load_all(text.split("\n---\n")[0])), text


def test_the_card_says_which_epoch_and_what_was_measured_of_it(kept: Result, tmp_path: Path) -> None:
    front, text = card_of(kept, tmp_path / "second", 2)
    assert (
        "The weights are those of epoch 2 of 3, kept during training. Test was read for the run's result alone" in text
    )
    validation = kept.record.history[1]["validation"]
    (result,) = front["model-index"][0]["results"]
    assert result["dataset"]["split"] == "validation"
    assert {each["type"]: each["value"] for each in result["metrics"]} == {
        name: value for name, value in validation.items() if name != "samples"
    }
    assert f"| accuracy | {100 * validation['accuracy']:.2f} % |" in text
    assert "test metric" not in text
    front, text = card_of(kept, tmp_path / "third", 3)  # the result's own weights
    assert front["model-index"][0]["results"][0]["dataset"]["split"] == "test"
    assert "The weights are those of epoch 3 of 3." in text
    assert "Read once, in float32, after training." in text


def test_a_kept_epoch_that_was_not_measured_claims_nothing(tmp_path: Path) -> None:
    data = {"name": "digits", "validation": 0.0, "limit": 64}
    run = preceptor.teach(data=data, model="convnet_s", epochs=2, keep_every=1, out=tmp_path / "run", progress=False)
    front, text = card_of(run, tmp_path / "hub", 1)
    assert "model-index" not in front
    assert "metric" not in text.split("---\n")[2]
