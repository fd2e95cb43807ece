from __future__ import annotations

from pathlib import Path

import pytest
import torch

from preceptor.errors import UsageError
from preceptor.training.checkpoint import load_checkpoint, save_checkpoint
from started import run


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    """The system is made to refuse large files, which is what a full disk looks like to the writer."""
    script = """
import resource, sys, pathlib, torch
from preceptor.errors import RunError
from preceptor.training.checkpoint import load_checkpoint, save_checkpoint
path = pathlib.Path(sys.argv[1])
def state(step):
    return {"learner": {"w": torch.full((100_000,), float(step))}, "step": step}
save_checkpoint(path, state(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    save_checkpoint(path, state(2))
except RunError as error:
    print(error)
print(load_checkpoint(path, ["step"])["step"])
"""
    path, file = tmp_path / "checkpoint" / "last.pt", tmp_path / "script.py"
    path.parent.mkdir()
    file.write_text(script)
    done = run([str(file), str(path)], check=True)
    assert "cannot be written (File too large); what was there before is kept" in done.stdout
    assert done.stdout.splitlines()[-1] == "1"
    assert [entry.name for entry in path.parent.iterdir()] == ["last.pt"]


def test_a_damaged_checkpoint_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"learner": {"w": torch.ones(9)}})
    assert torch.equal(load_checkpoint(path, ["learner"])["learner"]["w"], torch.ones(9))
    with pytest.raises(UsageError, match=r"checkpoint .*last\.pt: is of no run like this one \(no random\)"):
        load_checkpoint(path, ["random"])
    content = path.read_bytes()
    for at in range(0, len(content), 7):
        path.write_bytes(content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :])
        with pytest.raises(
            UsageError, match=r"last\.pt: is damaged, or was changed .*; start the run anew with overwrite=true"
        ):
            load_checkpoint(path, ["learner"])
    path.write_bytes(content[:200])
    with pytest.raises(UsageError, match=r"last\.pt: is damaged"):
        load_checkpoint(path, ["learner"])
    path.unlink()
    with pytest.raises(UsageError, match=r"checkpoint .*last\.pt: no such file"):
        load_checkpoint(path, ["learner"])


def test_torch_reads_a_checkpoint_too(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.pt", {"step": 3})
    assert torch.load(tmp_path / "last.pt", weights_only=True) == {"step": 3}
