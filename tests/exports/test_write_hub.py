"""What stands in a folder for the Hub, and the license that must be named."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import preceptor
from preceptor.cli import main
from preceptor.exports.write_hub import check_license

DATA: dict[str, Any] = {"name": "digits", "limit": 40, "test_limit": 20}


def test_a_license_is_named_even_if_unknown(two_runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub = tmp_path / "hub"
    words = ["export", str(two_runs / "a"), "--to", str(tmp_path / "a.onnx"), "--hub-folder", str(hub)]
    assert main(words) == 2
    assert "license: a folder for the Hub states the license of its weights, and none was named; --license mit" in (
        capsys.readouterr().err
    )
    assert list(tmp_path.iterdir()) == []
    assert main([*words, "--license", "unknown"]) == 0
    assert "license: unknown" in (hub / "README.md").read_text()
    check_license("unknown")


def test_another_network_takes_the_librarys_files_with_it(tmp_path: Path) -> None:
    transformers: Any = pytest.importorskip("transformers")
    vit = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "patch_size": 4}
    transformers.ViTConfig(**vit, image_size=8).save_pretrained(tmp_path / "vit")
    for name, model in (("hf", f"hf:{tmp_path / 'vit'}"), ("zoo", "convnet_s")):
        preceptor.teach(data=DATA, model=model, epochs=1, engine="plain", out=tmp_path / name, progress=False)
    hub = tmp_path / "hub"
    preceptor.export(tmp_path / "hf", hub_folder=hub, license="mit")
    assert {"config.json", "preprocessor_config.json"} <= {path.name for path in hub.iterdir()}
    preceptor.export(tmp_path / "zoo", hub_folder=hub, license="mit", overwrite=True)
    assert {path.name for path in hub.iterdir()} == {"README.md", "preceptor.json", "model.safetensors"}


def test_a_tokenizer_that_is_gone_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers")
    from sentences import reviews, save_bert, save_tokenizer, write  # noqa: PLC0415  # needs the extra

    save_tokenizer(tmp_path / "tokenizer")
    save_bert(tmp_path / "bert", 8, 1)
    texts = write(tmp_path / "reviews.tsv", reviews(40, 0))
    data = {"name": f"text:{texts}", "tokenizer": str(tmp_path / "tokenizer"), "length": 8}
    preceptor.teach(data=data, model=f"hf:{tmp_path / 'bert'}", epochs=1, out=tmp_path / "run", progress=False)
    shutil.rmtree(tmp_path / "tokenizer")
    capsys.readouterr()
    preceptor.export(tmp_path / "run", hub_folder=tmp_path / "hub", license="mit")
    said = " ".join(capsys.readouterr().err.split())
    assert "note: hub-folder: no tokenizer beside the network (" in said
    assert "config.json" in {path.name for path in (tmp_path / "hub").iterdir()}
