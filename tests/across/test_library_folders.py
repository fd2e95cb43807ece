"""Folders for the Hub, opened by the libraries that the networks are of, in a process without this one: the same logits."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images
from torch import Tensor

import preceptor
from opened import __file__ as OPENED
from preceptor.data import read_image
from preceptor.exports.open_model import open_model

if any(find_spec(name) is None for name in ("timm", "transformers")):
    pytest.skip("needs the extras vision and hf", allow_module_level=True)

from sentences import reviews, save_bert, save_tokenizer, write  # needs the extra

SHORT: dict[str, Any] = {"epochs": 1, "batch_size": 20, "engine": "plain", "device": "cpu", "progress": False}
VIT: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "patch_size": 8,
}
TIMM: dict[str, Any] = {"embed_dim": 16, "depth": 1, "num_heads": 2, "img_size": 32, "patch_size": 8}
TRAINED: dict[str, Any] = {"epochs": 12, "optim": {"name": "adamw", "lr": 1e-2}, "schedule": {"name": "constant"}}
SIDES = (40, 45, 57)  # of patches; one of 32, which the networks read, would not be cropped here
PHOTOGRAPHS = ("timm", "timm of any size", "timm from Python", "transformers", "transformers from Python")
GREY, TEXTS = "timm, one channel", "texts"
NAMES = (*PHOTOGRAPHS, GREY, TEXTS)
SENTENCES = ["the film was good", "the plot was dull", "the cast was lovely and the score was bad the book was fine"]


def photographs(folder: Path) -> Path:
    """Write square patches of two photographs, in folders of their names."""
    for name, pixels in zip(("china", "flower"), load_sample_images().images, strict=True):
        for split, first in (("train", 0), ("test", 200)):
            (folder / split / name).mkdir(parents=True)
            for number in range(12):
                side, left = SIDES[number % 3], 30 * number
                patch = pixels[first : first + side, left : left + side]
                Image.fromarray(patch).save(folder / split / name / f"{number}.png")
    return folder


def networks(root: Path) -> dict[str, Any]:
    import timm  # noqa: PLC0415
    import transformers  # noqa: PLC0415

    torch.manual_seed(0)
    config = transformers.ViTConfig(**VIT, image_size=32)
    config.save_pretrained(root / "vit")
    return {
        "timm": {"name": "timm:vit_tiny_patch16_224", **TIMM},
        "timm of any size": {"name": "timm:vit_tiny_patch16_224", **TIMM, "img_size": 48, "dynamic_img_size": True},
        "timm from Python": timm.create_model("vit_tiny_patch16_224", num_classes=2, **TIMM),
        "transformers": f"hf:{root / 'vit'}",
        "transformers from Python": transformers.ViTForImageClassification(config),
    }


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run and its folder for each network, next to random; photographs are cropped to 80 % of their side."""
    root = tmp_path_factory.mktemp("libraries")
    patches = {"name": f"folder:{photographs(root / 'photographs')}", "size": 32, "centre": 0.8, "in_memory": True}
    save_tokenizer(root / "tokenizer")
    save_bert(root / "bert", 16, 1)
    texts = {
        "name": f"text:{write(root / 'reviews.tsv', reviews(60, 0))}",
        "tokenizer": str(root / "tokenizer"),
        "length": 8,
    }
    asked = {name: (patches, model) for name, model in networks(root).items()}
    asked[GREY] = ({"name": "digits", "limit": 40, "test_limit": 20}, {"name": "timm:resnet10t"})
    asked[TEXTS] = (texts, f"hf:{root / 'bert'}")
    (root / "digits").mkdir()
    for number, pixels in enumerate(load_digits().images[:4]):
        Image.fromarray((pixels * 255 / 16).round().astype("uint8")).save(root / "digits" / f"{number}.png")
    for name, (data, model) in asked.items():
        settings = {**SHORT, **({} if name == GREY else TRAINED)}
        run = preceptor.teach(data=data, model=model, out=root / "runs" / name, **settings)
        preceptor.export(run, hub_folder=root / name, license="unknown")
    return {"root": root, **{name: root / name for name in asked}}


def samples_of(name: str, root: Path) -> list[str]:
    if name == TEXTS:
        return SENTENCES
    place = root / "digits" if name == GREY else root / "photographs" / "test"
    return sorted(map(str, place.rglob("*.png")))


@pytest.fixture(scope="module")
def opened(folders: dict[str, Path]) -> dict[str, Any]:
    """What the libraries make of each folder, in one fresh process."""
    root = folders["root"]
    asked = {
        name: ("timm" if name.startswith("timm") else "transformers", str(folders[name]), samples_of(name, root))
        for name in NAMES
    }
    (root / "asked.json").write_text(json.dumps(asked))
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, OPENED, root / "asked.json", root / "opened.json"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((root / "opened.json").read_text())
    return found


def our_logits(name: str, folders: dict[str, Path]) -> Tensor:
    root = folders["root"]
    model = open_model(folders[name], networks(root).get(name) if "Python" in name else None)
    if name == TEXTS:
        import transformers  # noqa: PLC0415

        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(root / "tokenizer")
        tokens = tokenizer(SENTENCES, padding="max_length", truncation=True, max_length=8, return_tensors="pt")
        return model.outputs(torch.stack([tokens["input_ids"], tokens["attention_mask"]], 1).float())
    images = [read_image(Path(path), model.metadata.preprocessing) for path in samples_of(name, root)]
    return model.outputs(torch.stack([image.pixels for image in images]))


def class_names(name: str, folders: dict[str, Path]) -> list[str]:
    names: list[str] = json.loads((folders[name] / "preceptor.json").read_text())["class_names"]
    return names


@pytest.mark.parametrize("name", [*PHOTOGRAPHS, GREY])
def test_image_files_become_the_same_logits(name: str, folders: dict[str, Path], opened: dict[str, Any]) -> None:
    expected, found = our_logits(name, folders), torch.tensor(opened[name]["logits"])
    # of transformers: images are scaled in torch instead of Pillow, where a pixel may round otherwise
    most = 1e-2 if "transformers" in name else 1e-4
    torch.testing.assert_close(found, expected, atol=most, rtol=0)
    assert float(expected.std(0).max()) > 100 * most  # or the bound would mean nothing
    assert opened[name]["names"] == class_names(name, folders)


def test_sentences_become_the_same_logits(folders: dict[str, Path], opened: dict[str, Any]) -> None:
    """The last one is longer than the rows of the run, and truncated as there."""
    expected, found = our_logits(TEXTS, folders), torch.tensor(opened[TEXTS]["logits"])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert opened[TEXTS]["names"] == ["0", "1"]


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("timm")])
def test_a_pipeline_names_the_classes(name: str, folders: dict[str, Path], opened: dict[str, Any]) -> None:
    best = our_logits(name, folders).softmax(1).max(1)
    names = class_names(name, folders)
    found = opened[name]["found"]
    assert [each["label"] for each in found] == [names[number] for number in best.indices.tolist()]
    assert [each["score"] for each in found] == pytest.approx(best.values.tolist(), abs=5e-3)


@pytest.mark.parametrize("name", NAMES)
def test_our_own_words_stand_in_a_file_of_their_own(name: str, folders: dict[str, Path]) -> None:
    stated = json.loads((folders[name] / "preceptor.json").read_text())
    library = "timm" if name.startswith("timm") else "transformers"
    assert stated["library_name"] == library
    assert f"library_name: {library}\n" in (folders[name] / "README.md").read_text()
    there = {path.name for path in folders[name].iterdir()}
    assert there == {"README.md", "preceptor.json", "model.safetensors", *stated["library_files"]}
    assert not any(str(folders["root"]) in (folders[name] / file).read_text() for file in stated["library_files"])


@pytest.mark.parametrize("name", ["timm", GREY, "transformers", TEXTS])
def test_the_lines_on_the_card_run(name: str, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folders[name])
    (lines,) = re.findall(r"alone:\n\n```python\n(.*?)```", Path("README.md").read_text(), re.DOTALL)
    if name != TEXTS:
        shutil.copy(samples_of(name, folders["root"])[0], "image.png")
    found: dict[str, Any] = {}
    exec(lines.replace("FOLDER", "."), found)
    if name != TEXTS:
        Path("image.png").unlink()
    assert "their_logits" in found or 0 < found["found"][0]["score"] < 1
