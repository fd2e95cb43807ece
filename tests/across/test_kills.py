"""A run killed at each of its writes in turn, half a line of the log among them, ends in the same bits and the same history."""

from __future__ import annotations

import json
from pathlib import Path

from started import run

# Each run is a fork of the script's process. The operations of the system that change the run's folder are counted by an audit
# hook, which is called before each. Killed when a line of the log has been written, the run leaves only the first half of it.
SCRIPT = '''
import fcntl, json, os, signal, sys, traceback
from pathlib import Path

import preceptor

FOLDER, COMMON = Path(sys.argv[1]), {"data": {"name": "digits", "limit": 40, "test_limit": 20}, "model": "convnet_s"}
COMMON |= {"batch_size": 16, "engine": "plain", "progress": False}
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def student(out, **keys):
    preceptor.distill(
        **COMMON, teacher=FOLDER / "teacher", method={"name": "ab", "stage_epochs": 1}, epochs=2, keep_every=2,
        out=out, **keys,
    )


def killed_at(number, out):
    """Kill this process at such a write below a folder."""
    count = 0

    def stop(event, subject):
        nonlocal count
        count += 1
        if count == number:
            print(json.dumps({"at": f"{event} {Path(subject).relative_to(out)}"}), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event, args):
        is_change = event in CHANGES or (event == "open" and isinstance(args[2], int) and args[2] & WRITES)
        is_repeated = event == "os.mkdir" and os.path.isdir(args[0])
        if is_change and not is_repeated and not isinstance(args[0], int) and str(args[0]).startswith(str(out)):
            stop(event, str(args[0]))

    fsync = os.fsync

    def half_a_line(handle):
        for log in out.rglob("metrics.jsonl"):
            if not os.path.samestat(os.fstat(handle), log.stat()):
                continue
            if count + 1 == number and fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_APPEND:
                content = log.read_bytes()
                start = content[:-1].rfind(b"\\n") + 1
                os.ftruncate(handle, (start + len(content)) // 2)
            stop("fsync", str(log))
        fsync(handle)

    os.fsync = half_a_line
    sys.addaudithook(hook)


def forked(work):
    process = os.fork()
    if process == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def attempt(number, out, **keys):
    return forked(lambda: (killed_at(number, out), student(out, **keys)))


preceptor.teach(**COMMON, epochs=1, out=FOLDER / "teacher")
student(FOLDER / "whole")  # in this process: what it imports, forks need not
number, status = 0, -signal.SIGKILL
while status == -signal.SIGKILL:
    number += 1
    out = FOLDER / f"killed{number}"
    status = attempt(number, out)
    if status == -signal.SIGKILL:
        if number % 5 == 0:
            assert attempt(1 + number // 5, out, resume=True) in {0, -signal.SIGKILL}
        assert forked(lambda: student(out, resume=True)) == 0, number
assert status == 0
'''


def history(log: Path) -> list[dict[str, object]]:
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    return [{key: row[key] for key in row if key not in {"seconds", "images_per_second"}} for row in rows]


def test_every_window(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    runs = tmp_path / "runs"
    runs.mkdir()
    done = run([str(script), str(runs)], check=True)
    places = [json.loads(line)["at"] for line in done.stdout.splitlines() if line.startswith('{"at"')]
    for wanted in (
        "open metrics.jsonl",
        "fsync metrics.jsonl",
        "open stages/ab/metrics.jsonl",
        "fsync stages/ab/metrics.jsonl",
        "os.mkdir checkpoint",
    ):
        assert wanted in places
    whole = runs / "whole"
    files = ["model.safetensors", "checkpoint/epoch_0002.safetensors"]
    logs = ["metrics.jsonl", "stages/ab/metrics.jsonl"]
    killed = sorted(runs.glob("killed*"))
    assert len(killed) > 20
    for folder in killed:
        assert [(folder / name).read_bytes() == (whole / name).read_bytes() for name in files] == [True, True], folder
        assert [history(folder / name) for name in logs] == [history(whole / name) for name in logs], folder
