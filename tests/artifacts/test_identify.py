"""What a path is, and what it says of its network and data."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from torch import nn

from preceptor.artifacts.identify import (
    WEIGHTS,
    is_run,
    kept_weights,
    learned_at,
    must_be_named,
    run_metadata,
    tells_its_network,
    weights_of,
)
from preceptor.artifacts.run_folder import RunFolder
from preceptor.errors import UsageError
from preceptor.models import METADATA_KEY, ModelMetadata, save_weights
from preceptor.types import Preprocessing
from records import made_config, made_record

NETWORK = nn.Linear(4, 3)


def a_run(path: Path, name: str = "mlp", epochs: tuple[int, ...] = ()) -> RunFolder:
    folder = RunFolder(path)
    folder.checkpoints.mkdir(parents=True)
    folder.config.write_text(yaml.safe_dump(made_config(model={"name": name}, data={"name": "table:x.csv"})))
    folder.write_record(made_record(model={"name": name}, source_fingerprint="s" * 16))
    for weights in (folder.weights, *(folder.checkpoints / f"epoch_{epoch:04d}.safetensors" for epoch in epochs)):
        save_weights(NETWORK, weights)
    return folder


def an_export(path: Path, name: str = "mlp") -> Path:
    metadata = ModelMetadata({"name": name}, ("a", "b", "c"), (4,), "float32", Preprocessing())
    path.parent.mkdir(exist_ok=True)
    save_weights(NETWORK, path, metadata={METADATA_KEY: metadata.as_json()})
    return path


def test_a_run_an_export_and_bare_weights_are_told_apart(tmp_path: Path) -> None:
    run, file = a_run(tmp_path / "run"), an_export(tmp_path / "t.safetensors")
    hub = an_export(tmp_path / "hub" / WEIGHTS).parent
    assert [is_run(path) for path in (run.path, file, hub, run.weights)] == [True, False, False, False]
    assert [tells_its_network(path) for path in (file, hub / WEIGHTS, run.weights)] == [True, True, False]
    assert [weights_of(path) for path in (file, hub)] == [file, hub / WEIGHTS]


def test_each_says_what_it_was_trained_on(tmp_path: Path) -> None:
    run, file = a_run(tmp_path / "run"), an_export(tmp_path / "t.safetensors")
    from_run, from_file = learned_at(run.path), learned_at(file)
    assert from_run is not None
    assert from_file is not None
    assert from_run.class_names == from_file.class_names == ("a", "b", "c")
    assert (from_run.source, from_file.source) == ("s" * 16, None)
    assert from_run.place == f"table:{Path('x.csv').resolve()}"
    assert learned_at(run.weights) is None


def test_a_run_has_the_metadata_of_an_exported_file(tmp_path: Path) -> None:
    metadata = run_metadata(a_run(tmp_path / "run"))
    assert metadata == ModelMetadata(
        {"name": "mlp"}, ("a", "b", "c"), (4,), "float32", Preprocessing(), source_fingerprint="s" * 16
    )
    with pytest.raises(UsageError, match=r"none: no such run folder$"):
        run_metadata(RunFolder(tmp_path / "none"))


def test_networks_from_python_and_those_of_own_code_must_be_named(tmp_path: Path) -> None:
    for name, expected in (("mlp", False), ("python:m.Net", True), ("os:system", True), ("timm:hf-hub:a/b", True)):
        folder = tmp_path / name.replace(":", "").replace("/", "")
        run = a_run(folder / "run", name).path
        hub = an_export(folder / "hub" / WEIGHTS, name).parent
        assert [must_be_named(path) for path in (run, hub, hub / WEIGHTS)] == [expected] * 3
    assert not must_be_named(tmp_path / "none")


def test_kept_epochs_are_found_in_the_order_wanted(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "run", epochs=(2, 4))
    assert [path.name for path in kept_weights(folder, None, "key")] == [
        "epoch_0002.safetensors",
        "epoch_0004.safetensors",
    ]
    assert [path.name for path in kept_weights(folder, [4, 2], "key")] == [
        "epoch_0004.safetensors",
        "epoch_0002.safetensors",
    ]
    with pytest.raises(UsageError, match=r"^key: .* has kept epochs 2, 4, not 1, 3; teach with keep_every=N$"):
        kept_weights(folder, [1, 2, 3], "key")
    with pytest.raises(UsageError, match=r"^key: .* has kept epochs none, not any; teach with keep_every=N$"):
        kept_weights(a_run(tmp_path / "other"), None, "key")


def test_what_holds_no_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^teacher: .*none: no such run folder or file$"):
        weights_of(tmp_path / "none", "teacher: ")
    (tmp_path / "t.onnx").touch()
    with pytest.raises(
        UsageError, match=r"t\.onnx is a program without named weights; give the run folder, or export it"
    ):
        weights_of(tmp_path / "t.onnx")
