"""A recipe carried out: once, and to the same bits by its seed."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import preceptor
from preceptor.artifacts.run_folder import RunFolder
from preceptor.cli import main
from preceptor.config.overrides import make_recipe
from preceptor.config.sections import TeachRecipe
from preceptor.errors import RunError, UsageError

module = importlib.import_module("preceptor.runner.run")  # there is a function of that name

SMALL = {"name": "digits", "limit": 200, "test_limit": 50}


def test_a_finished_run_is_given_back_not_repeated(tmp_path: Path) -> None:
    first = preceptor.teach(data=SMALL, model="convnet_s", epochs=1, out=tmp_path / "run", progress=False)
    written = (tmp_path / "run" / "result.json").stat().st_mtime_ns
    again = preceptor.teach(data=SMALL, model="convnet_s", epochs=1, out=tmp_path / "run", progress=False, resume=True)
    assert (tmp_path / "run" / "result.json").stat().st_mtime_ns == written
    assert again.metrics == first.metrics
    with pytest.raises(UsageError, match="holds a finished run; overwrite=True"):
        preceptor.teach(data=SMALL, model="convnet_s", epochs=1, out=tmp_path / "run", progress=False)


def test_the_configuration_of_a_finished_run_is_sealed(tmp_path: Path) -> None:
    folder = RunFolder(
        preceptor.teach(data=SMALL, model="convnet_s", epochs=1, out=tmp_path / "run", progress=False).path
    )
    folder.config.write_text(folder.config.read_text().replace("momentum: 0.9", "momentum: 0.8"))
    with pytest.raises(UsageError, match=r"config\.yaml: is damaged, or is not the file that the run wrote"):
        folder.read_config()
    with pytest.raises(UsageError, match=r"config\.yaml: is damaged"):
        preceptor.evaluate(tmp_path / "run")


def test_a_lost_checkpoint_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = preceptor.teach(data=SMALL, model="convnet_s", epochs=3, out=tmp_path / "run", progress=False)
    (run.path / "result.json").unlink()
    (run.path / "checkpoint" / "last.pt").unlink()
    weights = run.model.state_dict()["classifier.weight"].clone()
    again = preceptor.teach(data=SMALL, model="convnet_s", epochs=3, out=tmp_path / "run", resume=True)
    assert "last.pt is missing: 3 epochs are trained once more" in capsys.readouterr().err
    assert torch.equal(again.model.state_dict()["classifier.weight"], weights)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tmp_path: Path) -> None:
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        result = preceptor.teach(
            data=SMALL, model="convnet_s", epochs=1, out=tmp_path / name, seed=seed, progress=False
        )
        weights.append(result.model.state_dict()["classifier.weight"])
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_bf16_trains_too(tmp_path: Path) -> None:
    result = preceptor.teach(
        data="digits", model="convnet_m", epochs=4, out=tmp_path / "run", precision="bf16", progress=False
    )
    assert result.metrics.accuracy > 0.8
    assert result.record.precision == "bf16"


def test_a_run_without_a_folder_gets_one_named_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = preceptor.teach(data=SMALL, model="mlp", epochs=1, seed=3, progress=False)
    assert result.path == Path("runs/teach-digits-mlp-cross_entropy-seed3")
    assert (tmp_path / result.path / "result.json").exists()


def test_a_name_made_of_long_choices_is_cut_and_still_its_own() -> None:
    """A file system takes 255 bytes, and a path may be longer; letters of other scripts take several bytes."""
    outs = [
        module._default_out(make_recipe(TeachRecipe, {"data": f"folder:/{'x' * 300}{end}", "model": "mlp"}))
        for end in ("a", "b", "\u00e9" * 100)
    ]
    assert len(set(outs)) == 3
    assert all(len(out.removeprefix("runs/").encode()) < 230 for out in outs)


def test_resuming_and_overwriting_at_once_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where one of them is in a file; and the configuration of a run never asks to overwrite it."""
    words = ["data=digits", "data.limit=100", "model=convnet_s", "epochs=1", f"out={tmp_path / 'run'}"]
    assert main(["teach", *words, "overwrite=true"]) == 0
    config, written = tmp_path / "run" / "config.yaml", (tmp_path / "run" / "result.json").stat().st_mtime_ns
    assert main(["teach", "--config", str(config), "resume=true"]) == 0
    assert main(["teach", "--config", str(config)]) == 2
    asks = tmp_path / "asks.yaml"
    asks.write_text(config.read_text().replace("overwrite: false", "overwrite: true"))
    assert main(["teach", "--config", str(asks), "resume=true"]) == 2
    assert "error: overwrite: resume continues the run in `out`, overwrite deletes it" in capsys.readouterr().err
    assert (tmp_path / "run" / "result.json").stat().st_mtime_ns == written


@pytest.mark.parametrize("again", ["gone", "empty", "another run"])
def test_a_folder_that_is_deleted_in_mid_run_is_an_error_and_not_made_again(
    again: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    settings: Any = {"data": SMALL, "model": "convnet_s", "progress": False}
    guarded = module.guarded

    def deleting(evaluate: Callable[[], Mapping[str, float]], objective: object) -> Callable[[], Mapping[str, float]]:
        def instead() -> Mapping[str, float]:
            monkeypatch.setattr(module, "guarded", guarded)
            shutil.rmtree(run)
            if again == "empty":
                run.mkdir()
            elif again == "another run":
                preceptor.teach(**settings, epochs=1, out=run, seed=5)
            return evaluate()

        return instead

    monkeypatch.setattr(module, "guarded", deleting)
    with pytest.raises(RunError, match=r"cannot be written|deleted or replaced"):
        preceptor.teach(**settings, epochs=2, out=run)
    if again == "another run":
        assert len((run / "metrics.jsonl").read_text().splitlines()) == 1
        assert preceptor.teach(**settings, epochs=1, out=run, seed=5, resume=True).record.seed == 5
    else:
        assert {path.name for path in run.glob("**/*")} <= {"metrics.jsonl"}
