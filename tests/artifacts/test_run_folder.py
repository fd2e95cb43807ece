from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from preceptor.artifacts.provenance import git_commit, versions
from preceptor.artifacts.run_folder import RunFolder, network_of
from preceptor.errors import RunError, UsageError
from records import made_config

CONFIG = made_config(seed=0, optim={"lr": 0.1})


def test_a_new_folder_is_claimed_with_its_configuration(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a" / "b")
    folder.claim(CONFIG, resume=False, overwrite=False)
    assert folder.read_config() == CONFIG
    assert not folder.is_finished


def test_a_folder_with_a_run_is_refused_resumed_or_overwritten(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.claim(CONFIG, resume=False, overwrite=False)
    folder.metrics_log().append({"epoch": 1})
    with pytest.raises(UsageError, match=r"holds an unfinished run \(resume=True"):
        folder.claim(CONFIG, resume=False, overwrite=False)
    folder.claim(CONFIG, resume=True, overwrite=False)
    assert folder.metrics_log().rows() == [{"epoch": 1}]
    folder.result.write_text("{}")
    with pytest.raises(UsageError, match="holds a finished run; overwrite=True"):
        folder.claim(CONFIG, resume=False, overwrite=False)
    folder.claim(CONFIG, resume=False, overwrite=True)
    assert folder.metrics_log().rows() == []
    assert not folder.is_finished


def test_resume_names_the_key_that_differs(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.claim(CONFIG, resume=False, overwrite=False)
    with pytest.raises(UsageError, match=r"was started with optim\.lr=0\.1, not 0\.2"):
        folder.claim({**CONFIG, "optim": {**CONFIG["optim"], "lr": 0.2}}, resume=True, overwrite=False)


def test_a_folder_of_somebody_elses_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match=r"holds no run \(thesis\.tex"):
        RunFolder(tmp_path).claim(CONFIG, resume=False, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_overwriting_leaves_what_is_not_ours(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.claim(CONFIG, resume=False, overwrite=False)
    (tmp_path / "notes.txt").write_text("mine")
    folder.claim(CONFIG, resume=False, overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such run folder"),
        (lambda path: path.mkdir(), "holds no run"),
        (lambda path: (path.mkdir(), (path / "config.yaml").write_text("a: [")), "cannot be read"),
        (lambda path: (path.mkdir(), (path / "config.yaml").write_text("- 1")), "holds no keys"),
        (
            lambda path: (path.mkdir(), (path / "config.yaml").write_text(yaml.safe_dump({**CONFIG, "seed": "x"}))),
            r"config\.yaml: seed: input should be a valid integer, .*, got 'x'; the file is damaged or was changed",
        ),
        (
            lambda path: (path.mkdir(), (path / "config.yaml").write_text("seed: 1")),
            "kind: is neither teach nor distill",
        ),
    ],
)
def test_what_is_no_run_is_said_to_be_none(tmp_path: Path, make: object, message: str) -> None:
    path = tmp_path / "run"
    assert callable(make)
    make(path)
    with pytest.raises(UsageError, match=message):
        RunFolder(path).read_config()


def test_an_unfinished_run_has_no_result(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.claim(CONFIG, resume=False, overwrite=False)
    with pytest.raises(UsageError, match="has not finished"):
        folder.read_record()


def test_versions_and_commit_are_those_of_this_process() -> None:
    assert versions()["torch"] == torch.__version__.split("+")[0] or versions()["torch"] == torch.__version__
    commit = git_commit()
    assert commit is None or len(commit.rstrip("+")) >= 7


def test_a_folder_in_use_is_refused_and_free_after_its_context(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as folder:
        folder.claim(CONFIG, resume=False, overwrite=False)
        with pytest.raises(UsageError, match="run is in use by another process"):
            RunFolder(tmp_path / "run").claim(CONFIG, resume=True, overwrite=False)
    RunFolder(tmp_path / "run").claim(CONFIG, resume=True, overwrite=False)


def test_a_run_says_the_name_of_its_network(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.claim({**CONFIG, "model": {"name": "mlp"}}, resume=False, overwrite=False)
    (tmp_path / "weights.pth").touch()
    places = (run.path, tmp_path / "weights.pth", tmp_path / "none")
    assert [network_of(str(run.path)), *map(network_of, places)] == ["mlp", "mlp", None, None]


def test_what_a_killed_writer_left_is_not_in_the_way(tmp_path: Path) -> None:
    left = [tmp_path / name for name in (".lock", f".preceptor-{'0' * 32}.tmp", ".preceptor-run")]
    for path in left:
        path.touch()
    with RunFolder(tmp_path) as folder:
        assert folder.check(resume=False, overwrite=False) == []
        folder.claim(CONFIG, resume=False, overwrite=False)
    assert {path.name for path in tmp_path.iterdir()} == {".lock", ".preceptor-run", "config.yaml"}


def test_every_moment_at_which_claiming_may_be_killed_leaves_a_folder_that_can_be_claimed(tmp_path: Path) -> None:
    """Stopped before each write and each removal in turn, then claimed again as the user would."""
    writes = 0
    for stop in range(40):
        path = tmp_path / f"run{stop}"
        _finished(path)
        (path / "notes.txt").write_text("mine")
        with pytest.MonkeyPatch.context() as patch, RunFolder(path) as folder:
            patch.setattr(Path, "unlink", _killed_at(stop, Path.unlink, count := [0]))
            patch.setattr(Path, "replace", _killed_at(stop, Path.replace, count))
            try:
                folder.claim(CONFIG, resume=False, overwrite=True)
                writes = stop
            except KeyboardInterrupt:
                pass
        with RunFolder(path) as folder:
            assert folder.is_finished == (stop == 0)
            folder.claim(CONFIG, resume=stop > 0, overwrite=stop == 0)
            assert {entry.name for entry in path.iterdir()} == {".lock", ".preceptor-run", "config.yaml", "notes.txt"}
        if writes:
            break
    assert writes > 5


def _finished(path: Path) -> None:
    with RunFolder(path) as folder:
        folder.claim(CONFIG, resume=False, overwrite=False)
    folder.checkpoints.mkdir()
    inner = folder.stage("at")
    inner.checkpoints.mkdir()
    files = [folder.result, folder.metrics, folder.weights, path / "track.id"]
    for file in (*files, folder.checkpoints / "last.pt", folder.checkpoints / "epoch_0001.safetensors"):
        file.write_text("{}")
    for file in (inner.metrics, inner.checkpoints / "last.pt"):
        file.touch()


def _killed_at(stop: int, action: Callable[..., object], count: list[int]) -> Callable[..., object]:
    def instead(*arguments: object, **options: object) -> object:
        if count[0] >= stop:
            raise KeyboardInterrupt
        count[0] += 1
        return action(*arguments, **options)

    return instead


def test_resuming_and_overwriting_at_once_is_refused(tmp_path: Path) -> None:
    _finished(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match="overwrite: resume continues the run in `out`, overwrite deletes it"):
        RunFolder(tmp_path).claim(CONFIG, resume=True, overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_without_the_mark_is_not_overwritten_whatever_it_holds(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    for name in ("config.yaml", "model.safetensors", "checkpoint/last.pt"):
        (tmp_path / name).write_text("theirs")
    with pytest.raises(UsageError, match=r"was not made by preceptor \(it has no \.preceptor-run\)"):
        RunFolder(tmp_path).claim(CONFIG, resume=False, overwrite=True)
    assert {path.read_text() for path in tmp_path.rglob("*") if path.is_file()} == {"theirs"}


@pytest.mark.parametrize("name", [".lock", ".preceptor-run", "config.yaml", "metrics.jsonl", "checkpoint", "stages"])
def test_a_run_writes_through_no_link(name: str, tmp_path: Path) -> None:
    victim, run = tmp_path / "victim", tmp_path / "run"
    victim.mkdir()
    (victim / "last.pt").write_text("precious")
    run.mkdir()
    (run / name).symlink_to(victim)
    for overwrite in (False, True):
        with pytest.raises(UsageError, match=f"{name} is a link, and a run writes through none"):
            RunFolder(run).claim(CONFIG, resume=False, overwrite=overwrite)
    assert (victim / "last.pt").read_text() == "precious"


@pytest.mark.parametrize("change", [shutil.rmtree, lambda path: (path / "config.yaml").unlink(), "another"])
def test_a_folder_that_was_deleted_or_replaced_is_noticed(tmp_path: Path, change: object) -> None:
    with RunFolder(tmp_path / "run") as folder, RunFolder(tmp_path / "run") as other:
        folder.check_kept()  # nothing is claimed, so nothing is missed
        folder.claim(CONFIG, resume=False, overwrite=False)
        folder.check_kept()
        if callable(change):
            change(folder.path)
        else:
            shutil.rmtree(folder.path)
            other.claim(CONFIG, resume=False, overwrite=False)
        with pytest.raises(RunError, match="was deleted or replaced while it ran"):
            folder.check_kept()


def test_a_name_that_is_too_long_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be read \(File name too long\)"):
        RunFolder(tmp_path / ("x" * 300)).check(resume=False, overwrite=False)
