from __future__ import annotations

from preceptor.training.settings import Averaging


def test_ema_forgets_the_first_weights_in_a_run_shorter_than_its_memory() -> None:
    """Of the first of 100 weights less than a millionth is left, and of 10,000 it keeps what `decay` says."""
    averaging, left = Averaging(name="ema", decay=0.999), 1.0
    for count in range(1, 100):
        left *= averaging.decay_after(count)
    assert left < 1e-6
    assert averaging.decay_after(10_000) == 0.999
