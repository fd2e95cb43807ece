"""A network from another library, or from the user's: it reads the data's batches, returns logits, names its features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from preceptor.errors import UsageError
from preceptor.models.adapters.input_adapter import DataSpec, InputAdapter, InputSpec
from preceptor.models.adapters.text import TextClassifier, random_texts
from preceptor.models.features.stages import Stages, find_stages
from preceptor.models.features.taps import Tapped, logits_of

__all__ = [
    "REFUSALS",
    "Adapted",
    "NativePreprocessing",
    "PreprocessingOverrides",
    "adapt",
    "first_line",
    "images_of",
    "present",
    "split_preprocessing",
]

_INSIDE = "network"
_COMFORTABLE = 64  # a side at which the stages of a network for large images differ in resolution
# what networks raise on inputs that they cannot take
REFUSALS = (RuntimeError, ValueError, TypeError, IndexError, KeyError, AssertionError, AttributeError)


class Adapted(Tapped):
    """A network with what stands between it and the data.

    Args:
        network: stays as it is; its weights are saved and loaded under its own names.
        stages: its features, paths within it.
        samples: what it is given.
        form: what it wants.
        hint: what else should be known of how it reads.
        trained_classes: of the classifier that its weights come with, 0 where they come without; None: they come from no
            training.
        options: keys of a model section that make it again without the files that it was named by; empty: it needs none.

    Raises:
        UsageError: when the samples cannot be made what it wants.
    """

    def __init__(
        self,
        network: nn.Module,
        stages: Stages,
        samples: DataSpec,
        form: InputSpec,
        hint: str = "",
        trained_classes: int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.stages = stages
        self.samples = samples
        self.form = form
        self.reading = InputAdapter(samples, form)
        self.hint = hint
        self.trained_classes = trained_classes
        self._options = dict(options or {})

    @property
    def note(self) -> str:
        """How it reads the data where that is not as they come; empty: as they come."""
        return "; ".join(words for words in (str(self.reading), self.hint) if words)

    def forward(self, inputs: Tensor) -> Tensor:
        return logits_of(self.network(self.reading(inputs)), self.network)

    @property
    def bare(self) -> nn.Module:
        """The network as its library knows it: what lies in files has its names."""
        return self.network.network if isinstance(self.network, TextClassifier) else self.network

    @property
    def taps(self) -> Mapping[str, str]:
        """Stem, blocks and pooled, as its forward pass shows them."""
        return {name: f"{_INSIDE}.{place}" for name, place in self.stages.taps.items()}

    @property
    def preactivation_taps(self) -> Mapping[str, str]:
        """Each block's map before its last activation."""
        return {name: f"{_INSIDE}.{place}" for name, place in self.stages.preactivation.items()}

    @property
    def works_in_place(self) -> bool:
        """Nobody promised otherwise."""
        return True

    @property
    def options(self) -> Mapping[str, Any]:
        """Keys that make it again without the files that it was named by."""
        return self._options

    @property
    def inside(self) -> str:
        """Dotted paths are those of the network as its library knows it."""
        return f"{_INSIDE}.network" if isinstance(self.network, TextClassifier) else _INSIDE

    @property
    def grid(self) -> str:
        """Of texts: a column of all tokens."""
        return "" if self.samples.vocabulary is None else f"{self.samples.shape[1]}x1"


@dataclass(frozen=True, slots=True)
class NativePreprocessing:
    """What a network states of itself.

    Attributes:
        channels: that it reads; None: any.
        fixed_size: the only height and width that it takes, or None.
        trained_size: that its weights were trained at, or None.
        mean: by which its weights expect their inputs normalised; empty: not known.
        std: likewise.
        trained_classes: of the classifier that its weights come with, 0 where they come without; None: they come from no
            training.
        hint: what else should be known of how it reads.
        options: see `Adapted`.
    """

    channels: int | None = None
    fixed_size: tuple[int, int] | None = None
    trained_size: tuple[int, int] | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    trained_classes: int | None = None
    hint: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PreprocessingOverrides:
    """What the user says of how a network reads: `model.normalisation` and `model.resolution`."""

    normalisation: Literal["data", "own"] | None = None
    resolution: int | None = None


def split_preprocessing(options: Mapping[str, Any]) -> tuple[PreprocessingOverrides, dict[str, Any]]:
    """Split the keys of a model section into those on reading and those of the constructor.

    Raises:
        UsageError: for a value that cannot be.
    """
    rest = dict(options)
    normalisation, resolution = rest.pop("normalisation", None), rest.pop("resolution", None)
    if normalisation not in {None, "data", "own"}:
        raise UsageError(f"model.normalisation: {normalisation!r} is neither data nor own")
    if resolution is not None and (not isinstance(resolution, int) or isinstance(resolution, bool) or resolution < 1):
        raise UsageError(f"model.resolution: {resolution!r} is no number of pixels")
    return PreprocessingOverrides(normalisation, resolution), rest


def images_of(name: str, samples: DataSpec) -> tuple[int, int, int]:
    """Return the channels, height and width of samples that must be images.

    Raises:
        UsageError: when they are none.
    """
    if len(samples.shape) != 3:
        hint = "; try mlp" if samples.vocabulary is None else ""
        raise UsageError(f"model: {name} is for images, and the samples have shape {samples.shape}{hint}")
    channels, height, width = samples.shape
    return channels, height, width


def adapt(
    name: str,
    network: nn.Module,
    samples: DataSpec,
    own: NativePreprocessing,
    overrides: PreprocessingOverrides,
    *,
    loads_weights: bool,
) -> Adapted:
    """Return a network that reads these samples.

    Args:
        name: what the user called it.
        network: with as many outputs as the data have classes, where that could be arranged.
        samples: what it will be given.
        own: what it states of itself.
        overrides: what the user says otherwise.
        loads_weights: whether weights will be loaded into it, so that what those it comes with lack is not told.

    Raises:
        UsageError: when it cannot read such samples, or returns no logits.
    """
    if samples.vocabulary is not None and overrides != PreprocessingOverrides():
        key = "normalisation" if overrides.resolution is None else "resolution"
        raise UsageError(f"model.{key}: is for images, and the samples are texts")
    if overrides.normalisation == "own" and not own.mean:
        raise UsageError(f"model.normalisation: {name} states no mean of its own")
    is_trained = own.trained_classes is not None
    is_own = is_trained if overrides.normalisation is None else overrides.normalisation == "own"
    mean, std = (own.mean, own.std) if is_own else ((), ())
    size = own.fixed_size if overrides.resolution is None else (overrides.resolution, overrides.resolution)
    form, hints = InputSpec(own.channels, size, mean, std), [own.hint] if own.hint else []
    if is_trained and not loads_weights:
        if size is None and own.trained_size not in {None, samples.shape[1:]}:
            sides = [each[0] for each in (samples.shape[1:], own.trained_size or ())]
            hints.append(f"reads {sides[0]} pixels, trained on {sides[1]}: model.resolution=N resizes")
        if own.trained_classes != samples.num_classes:
            before = f" in place of {own.trained_classes}" if own.trained_classes else ""
            hints.append(f"a new classifier of {samples.num_classes} outputs{before}")
    hint = "; ".join(hints)
    is_image = len(samples.shape) == 3
    try:
        plain = Adapted(network, Stages({}, {}), samples, form, hint=hint, trained_classes=own.trained_classes)
        stages = _stages(network, plain.reading(_tried_on(samples)), samples, is_flexible=size is None)
    except UsageError as error:
        raise UsageError(f"model {name}: {error}") from error
    except REFUSALS as error:
        if loads_weights and not is_image and samples.example is None and samples.vocabulary is None:
            return plain  # its run showed that it reads such samples, if not numbers at random
        resizes = "; model.resolution=N resizes" if is_image else ""
        raise UsageError(
            f"model {name}: cannot read samples of shape {samples.shape} ({first_line(error)}){resizes}"
        ) from error
    options = {**own.options, "normalisation": "own" if is_own else "data"} if own.options and is_image else own.options
    return Adapted(network, stages, samples, form, hint=hint, trained_classes=own.trained_classes, options=options)


def present(network: nn.Module, trained_on: DataSpec, given: DataSpec) -> nn.Module:
    """Return a network that was trained on one kind of samples as one that is given another kind of the same images.

    Args:
        network: reads batches as `trained_on` says.
        trained_on: shape and normalisation that it is used to.
        given: those of the data now.

    Raises:
        UsageError: when the channels differ and cannot be repeated.
    """
    size = trained_on.shape[1:] if len(trained_on.shape) == 3 else None
    form = InputSpec(trained_on.shape[0], size, trained_on.mean, trained_on.std)
    if isinstance(network, Adapted):
        mine = network.form
        form = mine if mine.mean else replace(mine, mean=form.mean, std=form.std)
        form = form if form.size else replace(form, size=size)
        return Adapted(network.network, network.stages, given, form, hint=network.hint)
    named = (network.taps, network.preactivation_taps) if isinstance(network, Tapped) else ({}, {})
    return Adapted(network, Stages(*named), given, form)


def first_line(error: BaseException) -> str:
    """Return the first line of an error that says something, or its kind."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)[:200]


def _tried_on(samples: DataSpec) -> Tensor:
    """Return what a network is tried on: texts of all lengths, one of the samples, or images at random."""
    if samples.vocabulary is not None:
        return random_texts(samples.shape, samples.vocabulary, 2)
    if samples.example is not None and len(samples.shape) != 3:
        return samples.example[None]
    return torch.randn(1, *samples.shape, generator=torch.Generator().manual_seed(0))


def _stages(network: nn.Module, inputs: Tensor, samples: DataSpec, *, is_flexible: bool) -> Stages:
    stages = find_stages(network, inputs, samples.num_classes, is_text=samples.vocabulary is not None)
    if not is_flexible or inputs.ndim != 4 or min(inputs.shape[2:]) >= _COMFORTABLE or stages.has_tokens:
        return stages
    larger = torch.randn(1, inputs.shape[1], _COMFORTABLE, _COMFORTABLE, generator=torch.Generator().manual_seed(0))
    try:
        return find_stages(network, larger, samples.num_classes)
    except REFUSALS:
        return stages
