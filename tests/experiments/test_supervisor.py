"""A process that is looked after, and that ends with what looks after it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from preceptor.experiments.supervisor import Supervisor

SAVES = """
import signal, sys, time
def save(*_):
    time.sleep(0.3)
    print("saved", flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
print("up", flush=True)
time.sleep(60)
"""


def wait_for(path: Path, text: str) -> None:
    """Wait until a file holds a text."""
    while not (path.exists() and text in path.read_text()):
        time.sleep(0.02)


def test_it_is_started_asked_and_told(tmp_path: Path) -> None:
    log = tmp_path / "cell.log"
    supervisor = Supervisor(str(log), str(tmp_path))
    assert supervisor.poll() is None
    supervisor.start([sys.executable, "-c", SAVES], {})
    wait_for(log, "up")
    supervisor.signal(signal.SIGTERM)
    while supervisor.poll() is None:
        time.sleep(0.02)
    assert supervisor.poll() == 143
    supervisor.signal(signal.SIGTERM)  # once more does no harm
    assert log.read_text() == "up\nsaved\n"


def _look_after(log: Path) -> None:
    Supervisor(str(log), str(log.parent)).start([sys.executable, "-c", SAVES], {})
    time.sleep(60)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has ended")
def test_the_process_of_a_lost_supervisor_saves_before_the_next_one_starts(tmp_path: Path) -> None:
    log = tmp_path / "cell.log"
    lost = multiprocessing.get_context("fork").Process(target=_look_after, args=(log,))
    lost.start()
    wait_for(log, "up")
    assert lost.pid is not None
    os.kill(lost.pid, signal.SIGKILL)
    lost.join()
    following = Supervisor(str(log), str(tmp_path))
    following.start([sys.executable, "-c", "print('next')"], {})
    wait_for(log, "next")
    assert log.read_text() == "up\nsaved\nnext\n"
