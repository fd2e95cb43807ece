"""How a network from elsewhere reads the data: the pixels are shared, normalisation and resolution are each network's own."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from preceptor.errors import UsageError
from preceptor.types import Vocabulary

__all__ = ["DataSpec", "InputAdapter", "InputSpec"]


@dataclass(frozen=True, slots=True)
class DataSpec:
    """What a network must know of the data.

    Attributes:
        num_classes: of the data.
        shape: of one sample.
        mean: by which the inputs were normalised, per channel; empty: they were not.
        std: likewise.
        vocabulary: of texts, rows of token ids; None: the samples are no texts.
        example: one sample that is no image, where at hand: features are found with it, as random numbers may be invalid.
    """

    num_classes: int
    shape: tuple[int, ...]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    vocabulary: Vocabulary | None = None
    example: Tensor | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What a network expects.

    Attributes:
        channels: of its images; None: any.
        size: height and width; None: any.
        mean: by which its inputs are normalised, on pixels in [0, 1]; empty: as the data are.
        std: likewise.
    """

    channels: int | None = None
    size: tuple[int, int] | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


class InputAdapter(nn.Module):
    """Undoes the data's normalisation, repeats a single channel, resizes, and normalises as the network expects.

    Resizing is bilinear, antialiased. It is linear and its weights sum to 1, so both normalisations are one scale and one
    shift per channel, applied after it. None of this is part of the network's weights.

    Args:
        data_spec: what the data are.
        input_spec: what the network expects; what it leaves open stays as it is.

    Raises:
        UsageError: when the samples' channels cannot be made the network's.

    Examples:
        >>> adapter = InputAdapter(DataSpec(10, (1, 8, 8), (0.5,), (0.5,)), InputSpec(3, (16, 16), (0.0,) * 3, (1.0,) * 3))
        >>> adapter(torch.zeros(2, 1, 8, 8)).shape, str(adapter)
        (torch.Size([2, 3, 16, 16]), '1 channel repeated to 3, resized 8 -> 16, normalised by its own mean')
    """

    def __init__(self, data_spec: DataSpec, input_spec: InputSpec) -> None:
        super().__init__()
        channels, size = data_spec.shape[0], tuple(data_spec.shape[1:])
        self._channels = input_spec.channels if input_spec.channels not in {None, channels} else None
        if self._channels is not None and channels != 1:
            raise UsageError(f"reads {input_spec.channels} channels, and the samples have {channels}")
        self._size = input_spec.size if len(size) == 2 and input_spec.size != size else None
        channels_read = self._channels or channels
        before = (data_spec.mean, data_spec.std) if data_spec.mean else ((0.0,), (1.0,))
        after = (input_spec.mean, input_spec.std) if input_spec.mean else before
        self._renormalises = after != before
        for values in after:
            if len(values) not in {1, channels_read}:
                raise UsageError(f"is normalised over {len(values)} channels, and reads {channels_read}")
        column = (1, -1, *(1,) * len(size))
        (mean, std), (own_mean, own_std) = (
            [torch.tensor(values, dtype=torch.float64).reshape(column) for values in pair] for pair in (before, after)
        )
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", (std / own_std).float(), persistent=False)
        self.register_buffer("shift", ((mean - own_mean) / own_std).float(), persistent=False)
        undoes = input_spec.mean == (0.0,) and bool(data_spec.mean)
        self._words = self._describe(channels, size, is_raw=not data_spec.mean, undoes=undoes)

    def forward(self, inputs: Float[Tensor, "batch channels *size"]) -> Tensor:
        """Return the batch [batch, own channels, *own size]."""
        if self._size is not None:
            inputs = functional.interpolate(inputs, self._size, mode="bilinear", antialias=True)
        if self._renormalises:
            inputs = inputs * self.scale + self.shift
        if self._channels is not None:
            inputs = inputs.expand(-1, self._channels, *inputs.shape[2:])
        return inputs

    def _describe(self, channels: int, size: tuple[int, ...], *, is_raw: bool, undoes: bool) -> list[str]:
        words = [] if self._channels is None else [f"{channels} channel repeated to {self._channels}"]
        if self._size is not None:
            words.append(f"resized {_side(size)} -> {_side(self._size)}")
        if self._renormalises:
            assumed = " (its values taken to lie in [0, 1])" if is_raw else ""
            words.append("normalisation undone" if undoes else f"normalised by its own mean{assumed}")
        return words

    def __str__(self) -> str:
        return ", ".join(self._words)


def _side(size: tuple[int, ...]) -> str:
    return str(size[0]) if len(set(size)) == 1 else "x".join(str(side) for side in size)
