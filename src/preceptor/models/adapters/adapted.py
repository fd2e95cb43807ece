"""A network from another library, or the user's own: it reads the data's batches, returns logits, names its features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.errors import UsageError
from preceptor.messages import first_line
from preceptor.models.adapters.input_adapter import DataSpec, InputAdapter, InputSpec
from preceptor.models.adapters.preprocessing import NativePreprocessing, PreprocessingOverrides
from preceptor.models.adapters.text import TextClassifier, random_texts
from preceptor.models.features.observed import FeatureNetwork, logits_of
from preceptor.models.features.stages import Stages, find_stages

__all__ = ["REFUSALS", "Adapted", "adapt", "wrap_network"]

_NETWORK = "network"
_LARGE_SIDE = 64  # at which the stages of a network for large images differ in resolution
# what networks raise on inputs that they cannot take
REFUSALS = (RuntimeError, ValueError, TypeError, IndexError, KeyError, AssertionError, AttributeError)


class Adapted(FeatureNetwork):
    """A network behind an adapter of its inputs.

    Args:
        network: stays as it is; its weights are saved and loaded under its own names.
        stages: its features, paths within it.
        data_spec: what it is given.
        input_spec: what it expects.
        hint: what else should be known of how it reads.
        trained_classes: see `NativePreprocessing`.
        options: further keys of a model section that make it again without the files it was named by; empty: it needs none.
        class_names: see `NativePreprocessing`.

    Raises:
        UsageError: when the samples cannot be made what it expects.
    """

    def __init__(
        self,
        network: nn.Module,
        stages: Stages,
        data_spec: DataSpec,
        input_spec: InputSpec,
        hint: str = "",
        trained_classes: int | None = None,
        options: Mapping[str, Any] | None = None,
        class_names: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.network = network
        self.stages = stages
        self.data_spec = data_spec
        self.input_spec = input_spec
        self.input_adapter = InputAdapter(data_spec, input_spec)
        self.hint = hint
        self.trained_classes = trained_classes
        self._options = dict(options or {})
        self.class_names = class_names

    @property
    def note(self) -> str:
        """How its inputs differ from the data's batches; empty: they do not."""
        return "; ".join(words for words in (str(self.input_adapter), self.hint) if words)

    def forward(self, inputs: Tensor) -> Tensor:
        return logits_of(self.network(self.input_adapter(inputs)), self.network)

    @property
    def bare(self) -> nn.Module:
        """The library's own network, whose parameter names stand in files."""
        return self.network.network if isinstance(self.network, TextClassifier) else self.network

    @property
    def feature_paths(self) -> Mapping[str, str]:
        """Stem, blocks and pooled, as found in its forward pass."""
        return {name: f"{_NETWORK}.{path}" for name, path in self.stages.feature_paths.items()}

    @property
    def preactivation_paths(self) -> Mapping[str, str]:
        """Each block's map before its last activation."""
        return {name: f"{_NETWORK}.{path}" for name, path in self.stages.preactivation_paths.items()}

    @property
    def works_in_place(self) -> bool:
        """Nothing is known to the contrary."""
        return True

    @property
    def options(self) -> Mapping[str, Any]:
        """Further keys of a model section that make it again without the files it was named by."""
        return self._options

    def rename_classes(self, names: tuple[str, ...]) -> None:
        """Write down the classes that the network is trained on now, in the order of its outputs."""
        self.class_names = names
        config = self._options.get("config")
        if config is not None:
            labels = {str(number): name for number, name in enumerate(names)}
            numbers = {name: number for number, name in enumerate(names)}
            self._options["config"] = {**config, "id2label": labels, "label2id": numbers}

    @property
    def path_prefix(self) -> str:
        """Dotted paths are those of the library's own network."""
        return f"{_NETWORK}.network" if isinstance(self.network, TextClassifier) else _NETWORK

    @property
    def token_grid(self) -> str:
        """Of texts: one column of all tokens."""
        return "" if self.data_spec.vocabulary is None else f"{self.data_spec.shape[1]}x1"


def wrap_network(
    name: str,
    network: nn.Module,
    data_spec: DataSpec,
    native: NativePreprocessing,
    overrides: PreprocessingOverrides,
    *,
    loads_weights: bool,
) -> Adapted:
    """Return a library's network as one that reads the data's batches.

    Args:
        name: what the user called it.
        network: with as many outputs as the data have classes, where that could be arranged.
        data_spec: what it will be given.
        native: what it states of itself.
        overrides: what the user says otherwise.
        loads_weights: whether weights will be loaded into it; the hints on its pretrained weights are then left out.

    Raises:
        UsageError: when it cannot read such samples, or returns no logits.
    """
    if data_spec.vocabulary is not None and overrides != PreprocessingOverrides():
        key = "normalisation" if overrides.resolution is None else "resolution"
        raise UsageError(f"model.{key}: is for images, and the samples are texts")
    if overrides.normalisation == "own" and not native.mean:
        raise UsageError(f"model.normalisation: {name} states no mean of its own")
    is_pretrained = native.trained_classes is not None
    is_native = is_pretrained if overrides.normalisation is None else overrides.normalisation == "own"
    mean, std = (native.mean, native.std) if is_native else ((), ())
    size = native.fixed_size if overrides.resolution is None else (overrides.resolution, overrides.resolution)
    input_spec = InputSpec(native.channels, size, mean, std)
    hints = [native.hint] if native.hint else []
    if is_pretrained and not loads_weights:
        hints += _pretraining_hints(native, data_spec, has_size=size is not None)
    hint = "; ".join(hints)
    is_image = len(data_spec.shape) == 3
    try:
        plain = Adapted(
            network, Stages({}, {}), data_spec, input_spec, hint, native.trained_classes, None, native.class_names
        )
        stages = _stages(network, plain.input_adapter(_probe(data_spec)), data_spec, is_flexible=size is None)
    except UsageError as error:
        raise UsageError(f"model {name}: {error}") from error
    except REFUSALS as error:
        if loads_weights and not is_image and data_spec.example is None and data_spec.vocabulary is None:
            return plain  # its run has shown that it reads such samples, if not random numbers
        resizes = "; model.resolution=N resizes" if is_image else ""
        raise UsageError(
            f"model {name}: cannot read samples of shape {data_spec.shape} ({first_line(error)}){resizes}"
        ) from error
    options = native.options
    if options and is_image:
        options = {**options, "normalisation": "own" if is_native else "data"}
    return Adapted(network, stages, data_spec, input_spec, hint, native.trained_classes, options, native.class_names)


def adapt(network: nn.Module, trained_on: DataSpec, data_spec: DataSpec) -> nn.Module:
    """Return a network that was trained on one kind of images as one that reads another kind of the same images.

    Args:
        network: reads batches as `trained_on` says.
        trained_on: shape and normalisation of its training data.
        data_spec: those of the data it is given now.

    Raises:
        UsageError: when the channels differ and cannot be repeated.
    """
    size = trained_on.shape[1:] if len(trained_on.shape) == 3 else None
    input_spec = InputSpec(trained_on.shape[0], size, trained_on.mean, trained_on.std)
    if isinstance(network, Adapted):
        known = network.input_spec
        input_spec = known if known.mean else replace(known, mean=input_spec.mean, std=input_spec.std)
        input_spec = input_spec if input_spec.size else replace(input_spec, size=size)
        return Adapted(network.network, network.stages, data_spec, input_spec, network.hint)
    paths = (network.feature_paths, network.preactivation_paths) if isinstance(network, FeatureNetwork) else ({}, {})
    return Adapted(network, Stages(*paths), data_spec, input_spec)


def _pretraining_hints(native: NativePreprocessing, data_spec: DataSpec, *, has_size: bool) -> list[str]:
    """Say where the data differ from what the network was pretrained on."""
    hints = []
    if not has_size and native.trained_size not in {None, data_spec.shape[1:]}:
        sides = [size[0] for size in (data_spec.shape[1:], native.trained_size or ())]
        hints.append(f"reads {sides[0]} pixels, trained on {sides[1]}: model.resolution=N resizes")
    if native.trained_classes != data_spec.num_classes:
        before = f" in place of {native.trained_classes}" if native.trained_classes else ""
        hints.append(f"a new classifier of {data_spec.num_classes} outputs{before}")
    return hints


def _probe(data_spec: DataSpec) -> Tensor:
    """Return a batch to find features with: texts of all lengths, one of the samples, or a random image."""
    if data_spec.vocabulary is not None:
        return random_texts(data_spec.shape, data_spec.vocabulary, 2)
    if data_spec.example is not None and len(data_spec.shape) != 3:
        return data_spec.example[None]
    return torch.randn(1, *data_spec.shape, generator=torch.Generator().manual_seed(0))


def _stages(network: nn.Module, inputs: Tensor, data_spec: DataSpec, *, is_flexible: bool) -> Stages:
    stages = find_stages(network, inputs, data_spec.num_classes, is_text=data_spec.vocabulary is not None)
    if not is_flexible or inputs.ndim != 4 or min(inputs.shape[2:]) >= _LARGE_SIDE or stages.has_tokens:
        return stages
    larger = torch.randn(1, inputs.shape[1], _LARGE_SIDE, _LARGE_SIDE, generator=torch.Generator().manual_seed(0))
    try:
        return find_stages(network, larger, data_spec.num_classes)
    except REFUSALS:
        return stages
