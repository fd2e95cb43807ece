"""The rows of all processes as one batch, for what compares or mixes the rows of a batch.

Every process computes the same loss of them, times its own share of the step, and gradients become their mean over processes.
So those of what the loss itself trains are right as they are, and those of the rows that a process holds are what all
processes find for them, which is what this one finds, scaled: nothing has to travel in the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from preceptor.distributed.processes import Processes, padded
from preceptor.types import Batch, Outputs, Step

__all__ = ["gather_batch", "gather_step"]


def gather_step(step: Step, *, processes: Processes) -> Step:
    """Return the step whose rows are those of all processes, in the order in which one process would have them.

    With several processes its batch has neither inputs nor extra views, which are large and which no loss looks at; features
    travel when they are looked at.
    """
    if processes.world_size == 1:
        return step
    layout = _layout(step.batch, processes)
    nothing = step.batch.inputs.new_empty(len(step.batch.inputs), 0)
    return replace(
        step,
        batch=layout.batch(replace(step.batch, inputs=nothing, extra_views={})),
        student=layout.outputs(step.student),
        teacher=None if step.teacher is None else layout.outputs(step.teacher),
    )


def gather_batch(batch: Batch, *, processes: Processes) -> Batch:
    """Return the batch whose rows are those of all processes, in the order in which one process would have them."""
    return batch if processes.world_size == 1 else _layout(batch, processes).batch(batch)


@dataclass(frozen=True, slots=True)
class _Layout:
    """The rows of a batch over all processes: row i of the batch is row i // world_size of process i % world_size.

    Attributes:
        processes: that hold them.
        own_share: of this process's rows in the step.
        rows: of the batch, over all processes.
        labelled: those that have a label.
        samples: those that show samples.
        shares: of all these rows in the step, of the labelled ones, of those that show samples.
    """

    processes: Processes
    own_share: float
    rows: int
    labelled: int
    samples: int
    shares: tuple[float, float, float]

    def gather(self, values: Tensor) -> Tensor:
        """Return the rows of all processes; of values that not all rows have, the first ones have them."""
        if not values.requires_grad:
            return self.gather_values(values)
        gathered: Tensor = _Gathered.apply(values, self)  # type: ignore[no-untyped-call]
        return gathered

    def gather_values(self, values: Tensor) -> Tensor:
        """Return the rows of all processes, without a gradient."""
        longest = -(-self.rows // self.processes.world_size)
        by_rank = self.processes.gather(padded(values[:longest], longest))
        return torch.stack(by_rank, dim=1).flatten(0, 1)[: self.rows]

    def own_gradient(self, gradient: Tensor, rows: int) -> Tensor:
        """Return the gradient of the rows that this process holds, from that of all rows."""
        if self.own_share == 0:
            return gradient.new_zeros(rows, *gradient.shape[1:])
        scale = self.processes.world_size * self.shares[0] / self.own_share
        return gradient[self.processes.rank :: self.processes.world_size] * scale

    def batch(self, batch: Batch) -> Batch:
        """Return the batch of all processes, of which `batch` holds this process's rows."""
        share, labelled_share, sample_share = self.shares
        return replace(
            batch,
            inputs=self.gather(batch.inputs),
            labels=None if batch.labels is None else self.gather(batch.labels)[: self.labelled],
            index=self.gather(batch.index)[: self.samples],
            extra_views={name: self.gather(view) for name, view in batch.extra_views.items()},
            share=share,
            labelled_share=labelled_share,
            sample_share=sample_share,
        )

    def outputs(self, outputs: Outputs) -> Outputs:
        """Return the outputs for the batch of all processes."""
        return Outputs(
            self.gather(outputs.logits),
            _Features(outputs.features, self.gather),
            {name: self.outputs(view) for name, view in outputs.views.items()},
            tuple(self.outputs(member) for member in outputs.members),
        )


def _layout(batch: Batch, processes: Processes) -> _Layout:
    """Add up what all processes hold; a row whose share is 0 is none of the batch's."""
    counts = [len(batch.inputs), batch.num_labelled, len(batch.index)] if batch.share > 0 else [0, 0, 0]
    own = [*counts, batch.share, batch.labelled_share, batch.sample_share]
    rows, labelled, samples, *shares = processes.add(
        torch.tensor(own, dtype=torch.float64, device=batch.inputs.device)
    ).tolist()
    assert counts[0] == len(range(processes.rank, int(rows), processes.world_size)), "ranks take rows in turn"
    share, labelled_share, sample_share = (value / processes.world_size for value in shares)
    return _Layout(
        processes, batch.share, int(rows), int(labelled), int(samples), (share, labelled_share, sample_share)
    )


class _Gathered(torch.autograd.Function):
    """The rows of all processes, with the gradient of this one's."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, layout: _Layout) -> Tensor:
        ctx.layout = layout
        ctx.num_rows = len(values)
        return layout.gather_values(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return ctx.layout.own_gradient(gradient, ctx.num_rows), None


class _Features(Mapping[str, Tensor]):
    """Features of all processes' rows, each of which travels when it is first looked at."""

    def __init__(self, own: Mapping[str, Tensor], gather: Callable[[Tensor], Tensor]) -> None:
        self._own = own
        self._gather = gather
        self._known: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._known:
            self._known[name] = self._gather(self._own[name])
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)
