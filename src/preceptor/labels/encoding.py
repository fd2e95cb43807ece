"""How a sample's logits are stored: one fixed-size record per row, so that a row is read with one access."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from torch import Tensor

from preceptor.errors import UsageError

__all__ = ["Encoding", "columns"]

_HALF_LIMIT = 65504.0  # the largest float16
_STEPS = 255


@dataclass(frozen=True, slots=True)
class Encoding:
    """Which logits are kept per sample, and how.

    With `top`, only the largest logits are kept; of the others, the logsumexp, which decoding spreads evenly
    over them: at temperature 1 every kept class keeps its probability, and the others their total.

    Attributes:
        num_classes: width of the logits.
        dtype: "float16" (11 bits), or "int8": 256 equal steps between the smallest and the largest kept logit of a row.
        top: how many of the largest logits are kept; None: all.

    Raises:
        UsageError: when `top` is not in 1..num_classes - 1.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    num_classes: Annotated[int, Field(ge=1, le=2**24)]
    dtype: Literal["float16", "int8"] = "float16"
    top: int | None = None

    def __post_init__(self) -> None:
        if self.top is not None and not 1 <= self.top < self.num_classes:
            raise UsageError(f"top: {self.top} is not in 1..{self.num_classes - 1}, for {self.num_classes} classes")

    @property
    def record(self) -> np.dtype[Any]:
        """The layout of one row."""
        kept = self.num_classes if self.top is None else self.top
        fields: list[tuple[Any, ...]] = [("logits", "<f2", (kept,))]
        if self.dtype == "int8":
            fields = [("least", "<f4"), ("step", "<f4"), ("steps", "u1", (kept,))]
        if self.top is not None:
            fields += [("classes", "<u2" if self.num_classes <= 2**16 else "<u4", (kept,)), ("rest", "<f4")]
        return np.dtype(fields)

    @property
    def bytes_per_sample(self) -> int:
        """Bytes that one view of one sample takes."""
        return self.record.itemsize

    def encode(self, logits: Float[Tensor, "rows classes"]) -> NDArray[Any]:
        """Return records of finite logits, clipped at +-65,504.

        Raises:
            UsageError: for another number of classes, or logits that are not finite.
        """
        if logits.shape[1] != self.num_classes:
            raise UsageError(f"logits have {logits.shape[1]} classes, the labels have {self.num_classes}")
        values = logits.detach().float().cpu()
        if not torch.isfinite(values).all():
            row = int((~torch.isfinite(values)).any(1).nonzero()[0])
            raise UsageError(f"logits of row {row} are not finite")
        values = values.clamp(-_HALF_LIMIT, _HALF_LIMIT)
        records = np.zeros(len(values), self.record)
        if self.top is not None:
            rest = values.clone()
            values, classes = values.topk(self.top, dim=1)
            records["classes"] = classes.numpy()
            records["rest"] = rest.scatter_(1, classes, -math.inf).logsumexp(1).numpy()
        if self.dtype == "float16":
            records["logits"] = values.numpy()
            return records
        least, most = values.amin(1), values.amax(1)
        step = (most - least) / _STEPS
        records["least"], records["step"] = least.numpy(), step.numpy()
        safe = torch.where(step > 0, step, torch.ones_like(step))
        records["steps"] = ((values - least[:, None]) / safe[:, None]).round().to(torch.uint8).numpy()
        return records

    def decode(self, records: Mapping[str, Tensor]) -> Float[Tensor, "rows classes"]:
        """Return float32 logits, on the device of the records.

        Args:
            records: the `columns` of what `encode` returned.
        """
        if self.dtype == "float16":
            values = records["logits"].float()
        else:
            values = records["least"][:, None] + records["step"][:, None] * records["steps"].float()
        if self.top is None:
            return values
        spread = records["rest"] - math.log(self.num_classes - self.top)
        logits = spread[:, None].repeat(1, self.num_classes)
        return logits.scatter_(1, records["classes"].long(), values)


def columns(records: NDArray[Any]) -> dict[str, Tensor]:
    """Return each field of records as a tensor of a type that torch can index on any device."""
    values_of = {name: np.ascontiguousarray(records[name]) for name in records.dtype.names or ()}
    wide = {np.dtype("uint16"): np.int32, np.dtype("uint32"): np.int64}
    return {
        name: torch.from_numpy(values.astype(wide.get(values.dtype, values.dtype)))
        for name, values in values_of.items()
    }
