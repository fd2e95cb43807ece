"""A stop for runs that maximise a term: with a negative weight it has no lower bound and may diverge."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from preceptor.errors import RunError
from preceptor.objectives.schedules import Schedule
from preceptor.objectives.weighted import Sum

__all__ = ["guarded"]

Evaluate = Callable[[], Mapping[str, float]]
_LEAST_RISE = 0.5  # nats: the NLL of a network that is hardly ever wrong doubles in the first epochs of any fine-tuning


def guarded(evaluate: Evaluate, objective: Sum) -> Evaluate:
    """Return `evaluate`, which stops the run where the objective maximises a term and the network diverges.

    It diverges when the validation NLL has more than doubled and risen by more than half a nat.

    Args:
        evaluate: measures the network on validation; called once before training, for comparison.
        objective: of the run.

    Raises:
        RunError: from the returned function, when the run diverges.
    """
    weights = {name: w.peak if isinstance(w, Schedule) else w for name, w in objective.weight_of.items()}
    maximised = [f"{name}, weight {weight:g}" for name, weight in weights.items() if weight < 0]
    start = evaluate() if maximised else {}
    if not start:
        return evaluate

    def watch() -> Mapping[str, float]:
        now = evaluate()
        if now["nll"] - start["nll"] > max(start["nll"], _LEAST_RISE):
            raise RunError(
                f"validation NLL has risen from {start['nll']:.3g} to {now['nll']:.3g} nats: the run diverges, maximising "
                f"a term ({', '.join(maximised)}); take a weight nearer 0 or a smaller optim.lr"
            )
        return now

    return watch
