from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from preceptor.artifacts.provenance import git_commit, versions
from preceptor.artifacts.run_folder import RunFolder, network_of
from preceptor.errors import UsageError
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
    (tmp_path / ".config.yaml.tmp").touch()
    assert RunFolder(tmp_path).check(resume=True, overwrite=False) == []
