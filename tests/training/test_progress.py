from __future__ import annotations

from preceptor.training.progress import TrainProgress
from preceptor.types import Progress


def test_steps_and_epochs_are_counted() -> None:
    first = TrainProgress()
    assert (first.epoch, first.batch, first.step) == (1, 0, 0)
    later = first.after_step(0.5).after_step(0.25)
    assert later == TrainProgress(epoch=1, batch=2, step=2, seconds=0.75)
    assert later.before_step() == TrainProgress(epoch=1, batch=1, step=1, seconds=0.75)
    assert later.after_epoch() == TrainProgress(epoch=2, batch=0, step=2, seconds=0.75)


def test_the_fraction_is_the_share_of_all_steps_that_are_done() -> None:
    assert TrainProgress().of(4, 5) == Progress(epoch=1, epochs=4, fraction=0.0)
    assert TrainProgress(epoch=3, batch=1, step=11).of(4, 5) == Progress(epoch=3, epochs=4, fraction=11 / 20)
