from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from preceptor.cli import main
from preceptor.errors import UsageError
from preceptor.runner.trackers import check_trackers, choose


def test_a_missing_package_is_named_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(choose, "find_spec", lambda name: None if name == "wandb" else find_spec(name))
    words = ["teach", "data=digits", "model=convnet_s", "track=[tensorboard,wandb]", f"out={tmp_path}/t"]
    assert main(words) == 2
    assert capsys.readouterr().err == "error: track: wandb is not installed: pip install preceptor[wandb]\n"
    assert not (tmp_path / "t").exists()


def test_an_unknown_tracker_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["teach", "data=digits", "model=convnet_s", "track=tensorbord"]) == 2
    assert "track" in capsys.readouterr().err


def test_an_unknown_name_is_named_with_the_next_one() -> None:
    with pytest.raises(UsageError, match="track: unknown name 'mlfow'; did you mean mlflow"):
        check_trackers(["mlfow"])


def test_no_tracker_needs_no_package() -> None:
    check_trackers(())
