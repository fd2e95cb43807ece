"""A folder for the Hub is of one network, and its card is true of every file in it: its lines of Python are run here."""

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

DATA: dict[str, Any] = {"name": "digits", "limit": 200, "test_limit": 80}
HUB = {"README.md", "config.json", "model.safetensors"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks for digits, one measured in float32 and one in bfloat16."""
    folder = tmp_path_factory.mktemp("runs")
    settings: dict[str, Any] = {"data": DATA, "epochs": 1, "engine": "plain", "progress": False}
    preceptor.teach(model="convnet_s", precision="fp32", out=folder / "a", **settings)
    preceptor.teach(model="convnet_m", precision="bf16", out=folder / "b", **settings)
    return folder


def said(hub: Path) -> tuple[str, dict[str, Any]]:
    """Return the card and its front matter."""
    text = (hub / "README.md").read_text()
    return text, next(yaml.safe_load_all(text.split("\n---\n")[0]))


def names(hub: Path) -> set[str]:
    return {path.name for path in hub.iterdir()}


def run_its_lines(hub: Path, monkeypatch: pytest.MonkeyPatch, **known: Any) -> dict[str, Any]:
    """Run every line of Python on the card, in its folder, and return what they have set."""
    monkeypatch.chdir(hub)
    found = dict(known)
    blocks = re.findall(r"```python\n(.*?)```", (hub / "README.md").read_text(), re.DOTALL)
    for lines in blocks:
        exec(lines.replace('"FOLDER"', '"."'), found)
    return found


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_what_export_did_not_write_is_never_touched(
    overwrite: list[str], runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "README.md").write_text("my own words")
    (mine / "config.json").write_text('{"model_type": "bert"}')
    words = ["export", str(runs / "a"), "--to", str(tmp_path / "x.onnx"), "--hub-folder", str(mine), *overwrite]
    assert main(words) == 2
    assert "mine is not empty and was not written by export (README.md, ...); choose" in capsys.readouterr().err
    assert (mine / "README.md").read_text() == "my own words"
    assert not (tmp_path / "x.onnx").exists()


def test_a_fresh_clone_counts_as_empty(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "clone" / ".git").mkdir(parents=True)
    preceptor.export(runs / "a", hub_folder=tmp_path / "clone")
    assert names(tmp_path / "clone") == {*HUB, ".git"}


def test_more_formats_of_the_same_network_are_added(runs: Path, tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    pixels: dict[str, Any] = {"output": "probabilities", "normalise": "inside"}
    preceptor.export(runs / "a", tmp_path / "s.onnx", hub_folder=hub, license="mit", **pixels)
    preceptor.export(runs / "a", hub / "s.pt2", hub_folder=hub)
    preceptor.export(runs / "a", hub / "again.safetensors", hub_folder=hub)
    assert names(hub) == {*HUB, "s.onnx", "s.pt2", "again.safetensors"}
    text, front = said(hub)
    assert front["license"] == "mit"
    normalised = "float32 [batch, 1, 8, 8], normalised: (pixels / 255 - "
    assert "| `s.onnx` | uint8 [batch, 1, 8, 8]: pixels 0..255 | probabilities [batch, 10] |" in text
    for name in ("model.safetensors", "again.safetensors", "s.pt2"):
        assert f"| `{name}` | {normalised}" in text
    (hub / "s.onnx").unlink()  # what is gone is not described
    preceptor.export(runs / "a", hub_folder=hub)
    assert "s.onnx" not in said(hub)[0]


def test_another_network_is_refused_or_takes_all_of_the_folder(runs: Path, tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    preceptor.export(runs / "a", tmp_path / "a.onnx", int8=True, hub_folder=hub)
    (hub / "notes.txt").write_text("mine")
    before = {path.name: path.read_bytes() for path in hub.iterdir()}
    with pytest.raises(preceptor.UsageError, match=r"hub holds another network \(\w+, this one is \w+\); choose"):
        preceptor.export(runs / "b", tmp_path / "b.onnx", hub_folder=hub)
    assert {path.name: path.read_bytes() for path in hub.iterdir()} == before
    assert not (tmp_path / "b.onnx").exists()
    preceptor.export(runs / "b", hub / "b.onnx", hub_folder=hub, overwrite=True)
    assert names(hub) == {*HUB, "b.onnx", "notes.txt"}
    assert said(hub)[1]["license"] == "unknown"
    assert "a.onnx" not in said(hub)[0]


def test_nothing_outside_the_folder_is_deleted(runs: Path, tmp_path: Path) -> None:
    hub, other = tmp_path / "hub", tmp_path / "other.txt"
    preceptor.export(runs / "a", hub_folder=hub)
    other.write_text("mine")
    config = json.loads((hub / "config.json").read_text())
    config["files"].append({"name": "../other.txt"})
    (hub / "config.json").write_text(json.dumps(config))
    preceptor.export(runs / "b", hub_folder=hub, overwrite=True)
    assert other.exists()


def test_the_lines_for_images_are_right(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = tmp_path / "hub"
    preceptor.export(runs / "a", hub / "s.onnx", output="probabilities", normalise="inside", hub_folder=hub)
    preceptor.export(runs / "a", hub / "s.pt2", hub_folder=hub)
    Image.new("L", (8, 8)).save(hub / "image.png")  # black, as the zeros that the lines for ONNX ask about
    found = run_its_lines(hub, monkeypatch)
    black = torch.from_numpy(found["probabilities"])[0]
    assert found["predictions"][0].probabilities == pytest.approx(black.topk(3).values.tolist(), abs=1e-5)
    torch.testing.assert_close(found["logits"], found["network"](torch.zeros(1, 1, 8, 8)))


def test_int8_says_what_it_costs_and_bf16_that_the_file_is_another(runs: Path, tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    done = preceptor.export(runs / "b", tmp_path / "b.onnx", int8=True, hub_folder=hub)
    text, front = said(hub)
    assert done.quantised is not None
    for name, accuracy in (("b", done.quantised.accuracy_before), ("b.int8", done.quantised.accuracy)):
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}.onnx` |")]
        assert row.endswith(f"| {100 * accuracy:.2f} % of 80 test samples |")
    assert "The run measured it in bf16, and the files are float32" in text
    assert front["model-index"][0]["results"][0]["dataset"] == {"name": "digits", "type": "digits", "split": "test"}


def test_tables_have_lines_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"name": "gaussian", "samples": 60, "num_classes": 3, "dim": 6}
    run = preceptor.teach(data=data, model="mlp", epochs=1, out=tmp_path / "run", progress=False)
    hub = tmp_path / "hub"
    preceptor.export(run, hub / "t.onnx", hub_folder=hub)
    text, front = said(hub)
    assert "pipeline_tag" not in front
    assert "image.png" not in text
    assert "| `t.onnx` | float32 [batch, 6]" in text
    found = run_its_lines(hub, monkeypatch)
    torch.testing.assert_close(torch.from_numpy(found["logits"]), found["outputs"].detach())


def test_one_output_for_two_classes(tmp_path: Path) -> None:
    data = {"name": "gaussian", "samples": 60, "num_classes": 2}
    run = preceptor.teach(data=data, model={"name": "mlp", "logits": 1}, epochs=1, out=tmp_path / "run", progress=False)
    preceptor.export(run, tmp_path / "t.onnx", hub_folder=tmp_path / "hub")
    text, _ = said(tmp_path / "hub")
    assert re.search(r"\| `model.safetensors` \| .* \| \[batch, 1\], the log-odds of \w+ \|", text)
    assert re.search(r"\| `t.onnx` \| .* \| logits \[batch, 2\] \|", text)


def test_the_split_has_its_true_name_and_the_folder_is_no_data_set_of_the_hub(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    for part, name in ((part, name) for part in ("train", "val") for name in ("cat", "dog")):
        (tmp_path / "private" / part / name).mkdir(parents=True)
        for number in range(6):
            pixels = torch.randint(0, 256, (8, 8), generator=generator, dtype=torch.uint8)
            Image.fromarray(pixels.numpy()).save(tmp_path / "private" / part / name / f"{number}.png")
    data = f"folder:{tmp_path / 'private'}"
    run = preceptor.teach(data=data, model="convnet_s", epochs=1, out=tmp_path / "run", progress=False)
    preceptor.export(run, hub_folder=tmp_path / "hub")
    text, front = said(tmp_path / "hub")
    assert "datasets" not in front
    assert front["model-index"][0]["results"][0]["dataset"] == {"name": "private", "type": "folder", "split": "val"}
    assert "| val metric | value |" in text
    assert "Read once, after training on the data's split `val`, which serves as test." in text


def test_the_card_of_a_network_from_python_says_how_to_give_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def network() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    images = torch.randint(0, 256, (40, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    pair: tuple[Tensor, Tensor] = (images, torch.arange(40) % 10)
    run = preceptor.teach(data=pair, model=network(), epochs=1, out=tmp_path / "run", progress=False)
    hub = tmp_path / "hub"
    preceptor.export(run, hub / "s.onnx", hub_folder=hub)
    text, front = said(hub)
    assert "# Sequential on data passed from Python\n" in text
    assert front["model-index"][0]["name"] == "Sequential"
    Image.new("L", (8, 8)).save(hub / "image.png")
    found = run_its_lines(hub, monkeypatch, your_network=network())
    given = found["network"].state_dict()
    assert all(torch.equal(given[name], value) for name, value in run.model.state_dict().items())
    assert json.loads((hub / "config.json").read_text())["load"] in text


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
    preceptor.export(run.path, hub_folder=tmp_path / "hub")
    (tmp_path / "vit" / "config.json").unlink()
    for path in (tmp_path / "hub", run.path):
        given = preceptor.load(path).state_dict()
        assert all(torch.equal(given[name], value) for name, value in run.model.state_dict().items())
