"""Ctrl-C, SIGTERM and a closed terminal, counted: the first asks cells to save and end, the second kills them."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

from preceptor.errors import Interrupted

__all__ = ["GridStopped", "Stopping"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class GridStopped(Interrupted):
    """The user stopped the grid, and its cells have saved; `exit_code` is the shell's for the signal."""


class Stopping:
    """A context in which these signals are only counted."""

    def __init__(self) -> None:
        self.count = 0
        self.signal: signal.Signals | None = None
        self._previous: dict[signal.Signals, signal._HANDLER] = {}

    def __enter__(self) -> Stopping:
        if threading.current_thread() is threading.main_thread():  # Python allows handlers nowhere else
            self._previous = {number: signal.signal(number, self._count) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _count(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        self.signal = signal.Signals(number)
