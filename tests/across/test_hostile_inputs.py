"""Inputs that state more than they hold, contradict themselves or hold commands of a terminal: one line each, at once."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from preceptor.artifacts.load import load_exported
from preceptor.checksums import SEAL, json_with_checksum
from preceptor.cli import main
from preceptor.data import load
from preceptor.errors import UsageError
from preceptor.escaping import terminal
from preceptor.labels import LabelStore, write_labels
from preceptor.models import METADATA_KEY, ModelMetadata, load_weights, save_weights
from preceptor.types import Preprocessing
from small_store import WANTED, predict

TEACH = ("teach", "data=digits", "data.limit=40", "data.test_limit=20", "model=mlp", "epochs=1", "batch_size=20")


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line that a command is refused with."""
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    return line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["epochs=1000000000000"], "epochs: input should be less than or equal to 100000"),
        (["batch_size=1000000000000"], "batch_size: input should be less than or equal to"),
        (["workers=1000000000000"], "workers: input should be less than or equal to 1024"),
        (["accumulate=1000000000000"], "accumulate: input should be less than or equal to 4096"),
        (["optim.lr=inf"], "optim.lr: input should be a finite number, got 'inf'"),
        (["optim.weight_decay=nan"], "optim.weight_decay: input should be a finite number"),
        (["objective.brier.weight=nan"], "objective.brier.weight: expected a number or a schedule, got 'nan'"),
        (["objective=label_smoothing", "objective.smoothing=nan"], "smoothing: input should be a finite number"),
        (["data=gaussian", "data.samples=1000000000000"], "data.samples: 1,000,000,000,000 samples"),
    ],
)
def test_absurd_settings(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    keys = {word.partition("=")[0] for word in words}
    own = [
        word for word in TEACH if word.partition("=")[0] not in keys and not (word[:5] == "data." and "data" in keys)
    ]
    assert message in refusal([*own, *words], capsys)


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that states a size and holds no pixels."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", b""), (b"IEND", b""))
    made = (
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def image_folder(root: Path) -> Path:
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for number in range(5):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(root / name / f"{number}.png")
    return root


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("side", "message"), [(30_000, "900000000 pixels"), (10_000, r"has 10,000 x 10,000 pixels")])
def test_an_image_that_states_a_size_beyond_the_limit(side: int, message: str, tmp_path: Path) -> None:
    root = image_folder(tmp_path / "data")
    (root / "cat" / "large.png").write_bytes(png_header(side, side))
    for size in (None, 8):
        with pytest.raises(UsageError, match=f"large.png: .*{message}"):
            load(f"folder:{root}", options={"size": size}).train.check()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_among_images_is_left_out_and_said(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "data")
    os.mkfifo(root / "cat" / "pipe.png")
    data = load(f"folder:{root}")
    assert len(data.train) + len(data.validation) + len(data.test) == 10
    assert any("1 a pipe, a socket or a device (cat/pipe.png)" in note for note in data.notes)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize(
    "words",
    [
        ["teach", "--config", "PIPE"],
        ["evaluate", "PIPE"],
        ["teach", "data=npz:PIPE", "model=mlp"],
        ["teach", "data=table:PIPE", "data.target=y", "model=mlp"],
        ["teach", "data=digits", "model=mlp", "start_from=PIPE"],
        ["grid", "PIPE"],
    ],
)
def test_a_pipe_is_never_waited_for(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "pipe" in refusal([word.replace("PIPE", str(tmp_path / "pipe")) for word in words], capsys)


def test_a_label_of_a_billion(tmp_path: Path) -> None:
    x, y = np.zeros((30, 4), np.float32), np.arange(30) % 3
    y[7] = 10**9
    np.savez(tmp_path / "a.npz", x=x, y=y)
    with pytest.raises(UsageError, match="label 1,000,000,000 means 1,000,000,001 classes, and there are 30 samples"):
        load(f"npz:{tmp_path / 'a.npz'}")
    y = y.astype(np.float64)
    y[7] = 1e300
    np.savez(tmp_path / "a.npz", x=x, y=y)
    with pytest.raises(UsageError, match=r"label 1e\+300 of sample 7 is not in"):
        load(f"npz:{tmp_path / 'a.npz'}")


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (np.zeros((9, 1, 4, 8), np.uint8), r"train are uint8 \(1, 8, 8\), those of test uint8 \(1, 4, 8\)"),
        (np.zeros((9, 1, 8, 8), np.float32), r"train are uint8 \(1, 8, 8\), those of test float32 \(1, 8, 8\)"),
    ],
)
def test_splits_of_different_samples(test: Any, message: str, tmp_path: Path) -> None:
    train = np.zeros((30, 1, 8, 8), np.uint8)
    np.savez(tmp_path / "a.npz", x_train=train, y_train=np.arange(30) % 3, x_test=test, y_test=np.arange(9) % 3)
    with pytest.raises(UsageError, match=message):
        load(f"npz:{tmp_path / 'a.npz'}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.update(views=90_000), r"269,994 files are missing \(view0003-00000.npy, \.\.\.\)"),
        (lambda values: values["source"].update(samples=10**10), "are more than 10,000,000 files"),
        (lambda values: values.update(views=10**20), r"views: input should be less than"),
        (lambda values: values["source"]["encoding"].update(num_classes=0), r"num_classes: input should be greater"),
        (lambda values: values["source"]["encoding"].update(num_classes=7), r"manifest.json says .* \(10,\)"),
        (lambda values: values["source"]["encoding"].update(dtype="int8"), r"manifest.json says .* \(10,\)"),
        (lambda values: values["source"].update(samples=29), r"9 rows|manifest.json says|holds"),
    ],
)
def test_a_manifest_that_contradicts_its_files(
    change: Callable[[dict[str, Any]], None], message: str, tmp_path: Path
) -> None:
    write_labels(tmp_path / "l", WANTED, predict)
    manifest = tmp_path / "l" / "manifest.json"
    values = json.loads(manifest.read_text())
    del values[SEAL]
    change(values)
    manifest.write_text(json_with_checksum(json.dumps(values, indent=1)))
    with pytest.raises(UsageError, match=message) as caught:
        LabelStore(tmp_path / "l").logits(1, torch.arange(25))
    assert "\n" not in str(caught.value)


def test_a_manifest_of_a_billion_views_is_not_continued(tmp_path: Path) -> None:
    write_labels(tmp_path / "l", WANTED, predict)
    manifest = tmp_path / "l" / "manifest.json"
    values = json.loads(manifest.read_text())
    del values[SEAL]
    manifest.write_text(json_with_checksum(json.dumps({**values, "views": 10**9}, indent=1)))
    with pytest.raises(UsageError, match="views: input should be less than or equal to 100000, got 1000000000"):
        write_labels(tmp_path / "l", WANTED, predict)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (torch.full((2, 3), torch.nan), "weight holds numbers that are not finite"),
        (torch.full((2, 3), torch.inf), "weight holds numbers that are not finite"),
        (torch.ones(2, 3, dtype=torch.int8), r"do not fit Linear: .*weight is \(2, 3\) of torch.int8"),
    ],
)
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_weights_that_are_no_weights(weight: torch.Tensor, message: str, name: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file  # noqa: PLC0415

    state = {"weight": weight, "bias": torch.zeros(2)}
    torch.save(state, tmp_path / name) if name.endswith(".pth") else save_file(state, tmp_path / name)
    with pytest.raises(UsageError, match=f"^weights .*{name}: {message}"):
        load_weights(nn.Linear(3, 2), tmp_path / name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"preprocessing": {"mean": [0.5], "std": [0.0]}}, r"preprocessing\.std\.0: input should be greater than 0"),
        ({"preprocessing": {"mean": [0.5], "std": []}}, "preprocessing: mean has 1 numbers, std 0"),
        ({"preprocessing": {"size": [10**9, 8]}}, r"preprocessing\.size\.0: input should be less than"),
        ({"input_shape": [3, 10**6, 10**6]}, "input_shape: is no shape of a sample"),
        ({"class_names": ["a"]}, "class_names: .*at least 2"),
        ({"model": {}}, "model: has no name"),
        ({"extra": 1}, "extra: unexpected keyword argument|extra: extra"),
    ],
)
def test_a_description_that_no_network_has(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    good = asdict(ModelMetadata({"name": "mlp"}, ("a", "b"), (4,), "float32", Preprocessing()))
    save_weights(nn.Linear(4, 2), tmp_path / "a.safetensors", metadata={METADATA_KEY: json.dumps({**good, **change})})
    with pytest.raises(UsageError, match=message) as caught:
        load_exported(tmp_path / "a.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["x[/b]", "x[red]:smile:", "x\x1b[2J\u202e"])
def test_a_folder_may_have_any_name(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*TEACH, "out='x[/b]'"]) == 0
    assert "saved  x[/b]" in capfd.readouterr().out
    (tmp_path / "x[/b]").rename(tmp_path / name.replace("/", "_"))
    name = name.replace("/", "_")
    assert main(["evaluate", name]) == 0
    assert main(["assess", name, name]) == 0
    assert main(["export", name, "--hub-folder", f"{name}-hub", "--license", "unknown"]) == 0
    assert main(["evaluate", f"{name}-none"]) == 2
    printed = capfd.readouterr()
    assert terminal(name) in printed.out
    assert f"error: {terminal(name)}-none: " in printed.err
    assert not set(printed.out + printed.err) & {"\x1b", "\u202e"}
