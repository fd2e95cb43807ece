"""Damaged bytes, and files of other runs: each is one line, whatever reads them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import preceptor
from preceptor.artifacts.run_folder import RunFolder
from preceptor.cli import main
from preceptor.errors import UsageError
from preceptor.models import create, load_weights

DATA: dict[str, Any] = {"name": "digits", "limit": 60, "test_limit": 30}
COMMON: dict[str, Any] = {"data": DATA, "model": "convnet_s", "epochs": 2, "engine": "plain", "progress": False}
WORDS = ["data=digits", "data.limit=60", "data.test_limit=30", "model=convnet_s", "epochs=1", "engine=plain"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher that kept its epochs, its student, and both unfinished."""
    folder = tmp_path_factory.mktemp("runs")
    preceptor.teach(**COMMON, out=folder / "t", keep_every=1)
    preceptor.distill(**COMMON, teacher=folder / "t", out=folder / "s")
    return folder


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "runs")


def unfinished(run: Path) -> Path:
    """Make a run one that was killed before its result was written."""
    (run / "result.json").unlink()
    return run


def flip(path: Path, share: float = 0.6) -> None:
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 1
    path.write_bytes(content)


VERBS: dict[str, Callable[[str], list[str]]] = {
    "evaluate": lambda t: ["evaluate", t],
    "assess": lambda t: ["assess", t],
    "teacher": lambda t: ["distill", *WORDS, f"teacher={t}", f"out={t}-x"],
    "start_from": lambda t: ["teach", *WORDS, f"start_from={t}", f"out={t}-x"],
    "label": lambda t: ["label", *WORDS[:3], f"teacher={t}", f"out={t}-x"],
    "export": lambda t: ["export", t, "--to", f"{t}.safetensors"],
    "predict": lambda t: ["predict", t, f"{t}/missing.png"],
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("name", ["model.safetensors", "result.json", "metrics.jsonl"])
def test_a_damaged_run_is_refused_by_every_verb(
    verb: str, name: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(runs / "t" / name)
    assert main(VERBS[verb](str(runs / "t"))) == 2
    err = capsys.readouterr().err
    assert name in err.splitlines()[-1]
    assert err.count("error: ") == 1
    assert not (runs / "t-x" / "result.json").exists()
    assert not (runs / "t.safetensors").exists()


@pytest.mark.parametrize("words", [["teacher.epoch=1"], ["teacher.anchors=[1]"]])
def test_a_damaged_kept_epoch_is_refused(words: list[str], runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(runs / "t" / "checkpoint" / "epoch_0001.safetensors")
    assert main(["distill", *WORDS, f"teacher={runs / 't'}", *words, f"out={runs / 'x'}"]) == 2
    assert "epoch_0001.safetensors: is damaged, or is not the file that the run wrote" in capsys.readouterr().err


def test_a_kept_epoch_is_refused_by_curve(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(runs / "t" / "checkpoint" / "epoch_0001.safetensors")
    assert main(["curve", str(runs / "t"), "model=convnet_s", "epochs=1", f"out={runs / 'c'}"]) == 2
    assert "epoch_0001.safetensors: is damaged" in capsys.readouterr().err


def test_weights_of_another_run_are_not_this_runs(runs: Path) -> None:
    shutil.copy(runs / "s" / "model.safetensors", runs / "t" / "model.safetensors")
    with pytest.raises(
        UsageError, match=r"is not the file that the run wrote .*; to use it all the same, name the file itself"
    ):
        preceptor.load(runs / "t")


def test_a_weights_file_elsewhere_opens_and_a_log_may_be_deleted(runs: Path, tmp_path: Path) -> None:
    bare = shutil.copy(runs / "t" / "model.safetensors", tmp_path / "bare.safetensors")
    load_weights(create("convnet_s", num_classes=10, input_shape=(1, 8, 8)), bare)
    assert preceptor.evaluate(runs / "t", progress=False) == preceptor.evaluate(
        bare, data={**DATA, "validation": 0.0}, model="convnet_s", progress=False
    )
    (runs / "t" / "metrics.jsonl").unlink()  # it takes room, and result.json has its rows
    assert preceptor.load(runs / "t") is not None


@pytest.mark.parametrize("name", ["t.safetensors", "t.onnx", "t.pt2"])
def test_a_damaged_export_is_refused(name: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    path = tmp_path / name
    preceptor.export(made / "t", path)
    for share in (0.0, 0.3, 0.6, 0.9, 0.9999):
        content = path.read_bytes()
        flip(path, share)
        assert main(["predict", str(path), str(tmp_path / "none.png")]) == 2
        err = capsys.readouterr().err
        assert name in err
        assert err.count("\n") == 1
        path.write_bytes(content)
    assert main(["predict", str(path), str(tmp_path / "none.png")]) != 2 or "none.png" in capsys.readouterr().err


def test_a_damaged_checkpoint_and_log_are_refused_before_training(runs: Path) -> None:
    for name in ("checkpoint/last.pt", "metrics.jsonl"):
        run = unfinished(shutil.copytree(runs / "t", runs / name.replace("/", "-")))
        flip(run / name)
        before = {path: path.read_bytes() for path in (run / "metrics.jsonl", run / "checkpoint" / "last.pt")}
        with pytest.raises(UsageError, match=f"{Path(name).name}: is damaged, or was changed .*overwrite=true$"):
            preceptor.teach(**COMMON, out=run, keep_every=1, resume=True)
        assert {path: path.read_bytes() for path in before} == before


def test_a_log_shorter_than_the_checkpoint_says_is_refused(runs: Path) -> None:
    log = unfinished(runs / "t") / "metrics.jsonl"
    log.write_text(log.read_text().splitlines()[0] + "\n")
    with pytest.raises(
        UsageError, match=r"metrics\.jsonl: is shorter than at the last checkpoint .*; restore it, or start"
    ):
        preceptor.teach(**COMMON, out=runs / "t", keep_every=1, resume=True)


def test_a_checkpoint_of_another_run_is_refused_by_the_key_that_differs(runs: Path) -> None:
    preceptor.teach(**COMMON, seed=1, out=runs / "seed")
    preceptor.teach(**COMMON, objective="label_smoothing", out=runs / "objective")
    for other, message in (
        ("seed", "is of a run with seed=1, not 0"),
        ("s", "is of a run with kind=distill, not teach"),
        ("objective", "is of a run with objective.name=label_smoothing, not cross_entropy"),
    ):
        run = unfinished(shutil.copytree(runs / "t", runs / f"t-{other}"))
        for name in ("checkpoint/last.pt", "metrics.jsonl"):
            shutil.copy(runs / other / name, run / name)
        with pytest.raises(UsageError, match=rf"last\.pt: {message}; resume needs the same"):
            preceptor.teach(**COMMON, out=run, keep_every=1, resume=True)


@pytest.mark.parametrize("is_finished", [True, False])
def test_a_replaced_teacher_is_noticed(is_finished: bool, runs: Path) -> None:
    preceptor.distill(**COMMON, teacher=runs / "t", out=runs / "x")
    preceptor.teach(**COMMON, seed=7, out=runs / "t", overwrite=True)
    if not is_finished:
        unfinished(runs / "x")
    message = "teacher: the finished run .* was made with another one" if is_finished else r"fingerprints\.teacher="
    with pytest.raises(UsageError, match=message):
        preceptor.distill(**COMMON, teacher=runs / "t", out=runs / "x", resume=True)


@pytest.mark.parametrize("is_finished", [True, False])
def test_replaced_data_and_start_are_noticed(is_finished: bool, tmp_path: Path) -> None:
    inputs, labels = torch.randn(40, 4, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 2

    def teach(**keys: Any) -> None:
        common = {"model": "mlp", "epochs": 1, "engine": "plain", "progress": False, "out": tmp_path / "run"}
        preceptor.teach(**{**common, **keys})
        if not is_finished and "resume" not in keys and keys.get("out") is None:
            unfinished(tmp_path / "run")

    data, other = (torch.utils.data.TensorDataset(values, labels) for values in (inputs, inputs + 1))
    starts = tmp_path / "a", tmp_path / "b"
    for seed, out in enumerate(starts):
        teach(data=data, out=out, seed=seed)
    shutil.copy(starts[0] / "model.safetensors", tmp_path / "start.safetensors")
    teach(data=data, start_from=tmp_path / "start.safetensors")
    with pytest.raises(UsageError, match="data: the finished run" if is_finished else r"fingerprints\.data="):
        teach(data=other, start_from=tmp_path / "start.safetensors", resume=True)
    shutil.copy(starts[1] / "model.safetensors", tmp_path / "start.safetensors")
    with pytest.raises(
        UsageError, match="start_from: the finished run" if is_finished else r"fingerprints\.start_from="
    ):
        teach(data=data, start_from=tmp_path / "start.safetensors", resume=True)
    shutil.copy(starts[0] / "model.safetensors", tmp_path / "start.safetensors")
    teach(data=data, start_from=tmp_path / "start.safetensors", resume=True)


def test_curve_notices_that_its_teacher_has_changed(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["curve", str(runs / "t"), "model=convnet_s", "epochs=1", "engine=plain", f"out={runs / 'c'}"]
    assert main(words) == 0
    first = RunFolder(runs / "c" / "epoch_0001").read_record()
    preceptor.teach(**COMMON, seed=7, keep_every=1, out=runs / "t", overwrite=True)
    assert main(words) == 2
    assert "epoch_0001 was made with another one" in capsys.readouterr().err
    assert main([*words, "overwrite=true"]) == 0
    assert RunFolder(runs / "c" / "epoch_0001").read_record().teacher_fingerprint != first.teacher_fingerprint


def test_evaluate_notices_that_the_runs_test_split_has_changed(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    rows = [f"{number},{number * 7 % 5},{'ab'[number % 2]}" for number in range(60)]
    table.write_text("\n".join(["x,y,label", *rows]))
    data = {"name": "table", "path": str(table), "target": "label"}
    preceptor.teach(data=data, model="mlp", epochs=1, engine="plain", progress=False, out=tmp_path / "r")
    assert preceptor.evaluate(tmp_path / "r", progress=False) is not None
    table.write_text("\n".join(["x,y,label", *rows]).replace("3", "4"))
    with pytest.raises(UsageError, match=r"evaluate: the test split of .* is not the one that run .* was measured on"):
        preceptor.evaluate(tmp_path / "r", progress=False)
    assert preceptor.evaluate(tmp_path / "r", data=data, progress=False) is not None
