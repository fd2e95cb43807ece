from __future__ import annotations

import signal
import threading

import pytest

from preceptor.training.interrupts import Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_is_only_noted(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Interrupts() as interrupts:
        assert interrupts.pending is None
        signal.raise_signal(number)
        assert interrupts.pending is number
    assert signal.getsignal(number) is before


def test_a_second_signal_acts_at_once() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background ignores it
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert interrupts.pending is signal.SIGINT


def test_another_thread_leaves_the_handlers_alone() -> None:
    before, during = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with Interrupts():
            during.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert during == [before]
