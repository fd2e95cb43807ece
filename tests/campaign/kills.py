"""Commands that are killed and carried out once more: they must end in the bits and the history of one that was not.

A command is killed at a random moment, or before one of its changes of a file: a file opened, renamed, deleted, a folder made.
A torn kill also cuts the last line of metrics.jsonl, as a kill within the write leaves it.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from campaign.child import Child, Ended, command, fork, watch_writes
from campaign.judge import result_of
from campaign.world import CURVE, DIGITS, HALF_STAGE, LABEL, TRAIN, World

__all__ = ["SCENARIOS", "Kills", "Scenario"]

MODES = ("write", "moment", "torn", "write twice")
GRID_MODES = ("the grid alone", "the grid and its cells", "a cell")
_PATIENCE = 600.0
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A command that is killed.

    Attributes:
        name: of what it stands for.
        words: of the command.
        needs: items of the world.
        result: what must be the same: see `judge.result_of`.
        is_resumed: whether resume=true continues it; otherwise the same words do.
        ranks: processes that carry it out together.
        is_all_or_nothing: whether its file must be complete or absent at any time.
    """

    name: str
    words: tuple[str, ...]
    needs: tuple[str, ...]
    result: str
    is_resumed: bool = True
    ranks: int = 1
    is_all_or_nothing: bool = False

    @property
    def again(self) -> tuple[str, ...]:
        """The words that continue it."""
        return (*self.words, "resume=true") if self.is_resumed else self.words


def _training(name: str, verb: str, needs: str, *words: str, ranks: int = 1) -> Scenario:
    return Scenario(name, (verb, *words, "out=r"), tuple(needs.split()), "run:r", ranks=ranks)


_OFTEN = "checkpoint_every_steps=2"  # otherwise the first epoch ends without a checkpoint
_MLP = (*TRAIN, "model=mlp", "epochs=3")
_NET = (*TRAIN, "model=convnet_s", "epochs=3")
_STORED = (*DIGITS, "data.view=crop_flip", "batch_size=16", "engine=plain", "model=mlp", "epochs=3", "labels=l")

SCENARIOS: tuple[Scenario, ...] = (
    _training("teach with a bank", "teach", "", *_MLP, "objective=confidence_ranking", "keep_every=2"),
    _training("distill with memory", "distill", "t", *_MLP, "teacher=t", "method=crd", "method.dim=8", _OFTEN),
    _training("distill with a connector", "distill", "tc", *_NET, "teacher=tc", "method=fitnet"),
    _training("search (KD+)", "distill", "tc", *_NET, "teacher=tc", "method=pe_bkd", "inputs.search_every=1", _OFTEN),
    _training("DOT", "distill", "t", *_MLP, "teacher=t", "method=dot", _OFTEN),
    _training("EMA, the best epoch", "teach", "", *_MLP, "averaging=ema", "averaging.start=1", _OFTEN),
    _training("stored labels", "distill", "l", *_STORED),
    Scenario("a stage before", tuple(HALF_STAGE), ("tc",), "run:hs"),
    Scenario("label", (*LABEL, "teacher=t", "out=n"), ("t",), "files:n/*", is_resumed=False),
    Scenario(
        "export",
        ("export", "t", "--to", "x.safetensors", "--hub-folder", "hubx", "--license", "unknown"),
        ("t",),
        "weights:x.safetensors",
        is_resumed=False,
        is_all_or_nothing=True,
    ),
    Scenario("curve", tuple(CURVE), ("t",), "file:c/curve.json", is_resumed=False),
    Scenario("grid", ("grid", "k.yaml", "--jobs", "1"), (), "runs:cells/*-*", is_resumed=False),
    _training("two ranks", "distill", "t", *_MLP, "teacher=t", "method=crd", "method.dim=8", ranks=2),
)

_GRID = """fixed: {data: digits, data.limit: 60, data.test_limit: 40, batch_size: 16, engine: plain, epochs: 20}
seed: [0]
pair: [{teacher.model: mlp, model: mlp}]
teach: {objective: cross_entropy}
distill: {method: kd}
out: grid
"""


class _Group:
    """The processes of a command: one child, or one for each rank."""

    def __init__(
        self,
        scenario: Scenario,
        words: Sequence[str],
        folder: Path,
        watch: Callable[[str, tuple[Any, ...]], object] | None = None,
    ) -> None:
        env = {"TMPDIR": str(folder / "tmp"), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        if scenario.ranks > 1:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            env |= {"WORLD_SIZE": str(scenario.ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        self.children: list[Child] = []
        for rank in range(scenario.ranks):
            own = env | ({"RANK": str(rank), "LOCAL_RANK": str(rank)} if scenario.ranks > 1 else {})
            action, own_watch = partial(_apart, command(words)), watch if rank == 0 else None
            self.children.append(fork(action, folder, env=own, memory=None, watch=own_watch))

    def wait(self, seconds: float) -> Ended:
        """Wait for all; the others get SIGTERM soon after one was killed, as torchrun sends it."""
        deadline = time.monotonic() + seconds
        while (running := [each for each in self.children if each.poll() is None]) and time.monotonic() < deadline:
            if any(each.status is not None and each.status < 0 for each in self.children):
                time.sleep(0.3)
                for each in running:
                    each.signal(signal.SIGTERM)
                deadline = min(deadline, time.monotonic() + 20)
            time.sleep(0.002)
        ends = [each.wait(time.monotonic() - each.began) for each in self.children]
        return next((each for each in ends if each.status), ends[0])


class Kills:
    """Kills commands.

    Args:
        world: that is copied.
        work: where copies are made; they are deleted.
        seed: of what is drawn.
    """

    def __init__(self, world: World, work: Path, seed: int = 0) -> None:
        self._world = world
        self._work = work
        self._seed = seed
        self._whole: dict[str, tuple[Any, list[str], float]] = {}

    def row(self, number: int, scenario: Scenario) -> Row:
        """Kill a command, carry it out again, and return what became of it."""
        wanted, events, seconds = self.whole(scenario)
        chance = random.Random(f"{self._seed} {number}")
        turn = number // len(SCENARIOS)
        mode = GRID_MODES[turn % 3] if scenario.name == "grid" else MODES[turn % 4]
        folder = self.copied(scenario, f"kill-{number}")
        row: Row = {"n": number, "scenario": scenario.name, "mode": mode}
        try:
            words = scenario.words
            for _ in range(2 if mode == "write twice" else 1):
                what = self._kill(scenario, words, folder, mode, events, seconds, chance)
                words = scenario.again
            half = scenario.is_all_or_nothing and _is_half(scenario, folder, wanted)
            ended = _Group(scenario, words, folder).wait(_PATIENCE)
            row["outcome"] = "half a file" if half else _verdict(scenario, folder, ended, wanted)
            left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if _is_left(path, folder))
            row |= {"left": left} if left else {}
            if row["outcome"] != "same":
                row |= {"what": what, "command": " ".join(words), "said": _last(ended)}
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return row

    def whole(self, scenario: Scenario) -> tuple[Any, list[str], float]:
        """Return the result of the command undisturbed, its changes of files and its seconds.

        Raises:
            RuntimeError: when it fails.
        """
        if scenario.name not in self._whole:
            folder = self.copied(scenario, "whole")
            log = self._work / "events"
            log.unlink(missing_ok=True)
            writer = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

            def act(event: str, path: str) -> None:
                os.write(writer, f"{event} {path}\n".encode())

            ended = _Group(scenario, scenario.words, folder, watch_writes(folder, act)).wait(_PATIENCE)
            os.close(writer)
            if ended.status:
                raise RuntimeError(f"{scenario.name}: the command fails undisturbed\n{ended.err[-2000:]}")
            result = result_of(scenario.result, folder, ended.out)
            self._whole[scenario.name] = result, log.read_text().splitlines(), ended.seconds
            shutil.rmtree(folder)
        return self._whole[scenario.name]

    def copied(self, scenario: Scenario, name: str) -> Path:
        """Return a folder with what the command needs."""
        folder = self._work / name
        shutil.rmtree(folder, ignore_errors=True)
        self._world.copy(scenario.needs, folder)
        (folder / "tmp").mkdir()
        (folder / "k.yaml").write_text(_GRID)
        return folder

    def _kill(
        self,
        scenario: Scenario,
        words: Sequence[str],
        folder: Path,
        mode: str,
        events: Sequence[str],
        seconds: float,
        chance: random.Random,
    ) -> str:
        """Carry out a command until it is killed, and return where that was."""
        if mode == "moment" or mode in GRID_MODES:
            moment = chance.uniform(0.05, 1.0) * seconds
            group = _Group(scenario, words, folder)
            _wait_until(group, moment)
            _strike(group, mode, chance)
            group.wait(_PATIENCE)
            return f"after {moment:.2f} of {seconds:.2f} s"
        torn = [
            k
            for k, event in enumerate(events, start=1)
            if event.startswith("open ") and event.endswith("/metrics.jsonl")
        ]
        is_torn = mode == "torn" and bool(torn)
        at = chance.choice(torn) + 1 if is_torn else chance.randrange(1, max(len(events), 1) + 1)
        count = 0

        def act(event: str, path: str) -> None:
            nonlocal count
            count += 1
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)

        _Group(scenario, words, folder, watch_writes(folder, act)).wait(_PATIENCE)
        if is_torn:
            _tear(folder, chance)
        event = events[at - 1].replace(f"{self._work}/whole/", "") if at <= len(events) else "its end"
        return f"before change {at} of {len(events)}, {event}{', torn' if is_torn else ''}"


def _apart(action: Callable[[], int]) -> int:
    import tempfile  # noqa: PLC0415

    tempfile.tempdir = None  # which the parent had looked up
    return action()


def _wait_until(group: _Group, moment: float) -> None:
    began = time.monotonic()
    while time.monotonic() - began < moment and any(each.poll() is None for each in group.children):
        time.sleep(0.001)


def _strike(group: _Group, mode: str, chance: random.Random) -> None:
    """Kill what a mode says."""
    victim = chance.choice(group.children)
    cells = [] if victim.status is not None else psutil.Process(victim.pid).children(recursive=True)
    if mode != "a cell":
        victim.signal(signal.SIGKILL)
    for cell in cells if mode in GRID_MODES[1:] else []:
        with suppress(psutil.NoSuchProcess):
            cell.kill()


def _tear(folder: Path, chance: random.Random) -> None:
    """Cut the last line of each log of epochs."""
    for log in folder.glob("*/metrics.jsonl"):
        content = log.read_bytes()
        last = len(content.rstrip(b"\n").rpartition(b"\n")[2]) + 1
        if log.parent.name in {"r", "hs"} and content:
            os.truncate(log, len(content) - chance.randrange(1, last))


def _is_half(scenario: Scenario, folder: Path, wanted: Any) -> bool:
    path = folder / scenario.result.partition(":")[2]
    if not path.exists():
        return False
    try:
        return bool(result_of(scenario.result, folder, "") != wanted)
    except Exception:  # it cannot be read
        return True


def _verdict(scenario: Scenario, folder: Path, ended: Ended, wanted: Any) -> str:
    if ended.timed_out:
        return "hang"
    if ended.status:
        return "refused" if "Traceback" not in ended.err and "(--debug" not in ended.err else "exception"
    try:
        result = result_of(scenario.result, folder, ended.out)
    except Exception:  # what it should have made is not there
        return "no result"
    if result == wanted:
        return "same"
    is_run = isinstance(result, tuple) and result[0] == wanted[0]
    return "other history" if is_run else "other bits"


def _is_left(path: Path, folder: Path) -> bool:
    return path.name.endswith(".tmp") or path.parent == folder / "tmp"


def _last(ended: Ended) -> str:
    lines = [line for line in (ended.err or ended.out).splitlines() if line.strip()]
    return (lines or [""])[-1][:300]
