"""What is removed is a run's, by its names; whatever else lies there stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from preceptor.artifacts.own_files import clear_run, module_files, remove_run
from preceptor.errors import RunError

FILES = (
    *("config.yaml", "result.json", "metrics.jsonl", "model.safetensors", "track.id"),
    *("checkpoint/last.pt", "checkpoint/epoch_0001.safetensors", "tensorboard/events.out.tfevents.1.host"),
    *(
        "stages/at/metrics.jsonl",
        "stages/at/checkpoint/last.pt",
        "objective/peer1.safetensors",
        f".preceptor-{'0' * 32}.tmp",
    ),
)
MINE = (
    *("notes.txt", "checkpoint/mine.pt", "checkpoint/last.pt.bak", "stages/at/mine.txt", "stages/mine.txt"),
    *("tensorboard/mine", "objective/notes.txt", "wandb/run/mine", ".config.yaml.tmp"),
)


def made(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def test_clearing_removes_a_run_and_nothing_else(tmp_path: Path) -> None:
    made(tmp_path, *FILES, *MINE, ".lock", ".preceptor-run")
    clear_run(tmp_path)
    assert files_in(tmp_path) == {*MINE, ".lock", ".preceptor-run"}


def test_removing_leaves_no_folder_of_a_run_behind(tmp_path: Path) -> None:
    made(tmp_path / "run", *FILES, ".lock", ".preceptor-run")
    remove_run(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_without_the_mark_nothing_is_removed(tmp_path: Path) -> None:
    made(tmp_path, *FILES, ".lock")
    remove_run(tmp_path)
    assert files_in(tmp_path) == {*FILES, ".lock"}


def test_links_are_not_followed(tmp_path: Path) -> None:
    made(tmp_path / "theirs", "last.pt", "at/config.yaml", "config.yaml")
    run = tmp_path / "run"
    run.mkdir()
    for name, place in (("checkpoint", "theirs"), ("stages", "theirs"), ("config.yaml", "theirs/config.yaml")):
        (run / name).symlink_to(tmp_path / place)
    clear_run(run)
    assert files_in(tmp_path / "theirs") == {"last.pt", "at/config.yaml", "config.yaml"}


def test_a_refusal_of_the_system_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").mkdir()
    with pytest.raises(RunError, match="cannot be cleared"):
        clear_run(tmp_path)


def test_modules_of_the_objective_are_found_by_name(tmp_path: Path) -> None:
    assert module_files(tmp_path) == {}
    made(tmp_path, "objective/peer2.safetensors", "objective/peer1.safetensors", "objective/notes.txt")
    found = module_files(tmp_path)
    assert [*found] == ["peer1", "peer2"]
    assert found["peer1"].read_text() == "objective/peer1.safetensors"
