"""Signals, counted."""

from __future__ import annotations

import os
import signal
import threading

from preceptor.experiments.stopping import Stopping


def test_signals_are_counted_and_then_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Stopping() as stopping:
        assert stopping.count == 0
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
        assert (stopping.count, stopping.signal) == (2, signal.SIGHUP)
    assert signal.getsignal(signal.SIGTERM) == before


def test_in_another_thread_nothing_is_changed() -> None:
    found: list[object] = []

    def look() -> None:
        with Stopping():
            found.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [before]
