"""How a network from elsewhere is preprocessed for: what it states of itself, and what the user says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from preceptor.errors import UsageError
from preceptor.models.adapters.input_adapter import DataSpec

__all__ = ["NativePreprocessing", "PreprocessingOverrides", "check_outputs", "image_shape", "split_preprocessing"]


@dataclass(frozen=True, slots=True)
class NativePreprocessing:
    """What a network states of itself.

    Attributes:
        channels: that it reads; None: any.
        fixed_size: the only height and width that it takes, or None.
        trained_size: that its weights were trained at, or None.
        mean: by which its weights expect their inputs normalised; empty: not known.
        std: likewise.
        trained_classes: of the classifier in its weights, 0 where they have none; None: it is not pretrained.
        hint: what else should be known of how it reads.
        options: see `Adapted`.
        class_names: of the classifier in its weights, one per output; empty: not known.
    """

    channels: int | None = None
    fixed_size: tuple[int, int] | None = None
    trained_size: tuple[int, int] | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    trained_classes: int | None = None
    hint: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PreprocessingOverrides:
    """What the user says of how a network reads: `model.normalisation` and `model.resolution`."""

    normalisation: Literal["data", "own"] | None = None
    resolution: int | None = None


def split_preprocessing(options: Mapping[str, Any]) -> tuple[PreprocessingOverrides, dict[str, Any]]:
    """Split the keys of a model section into those on preprocessing and those of the constructor.

    Raises:
        UsageError: for an invalid value.
    """
    rest = dict(options)
    normalisation, resolution = rest.pop("normalisation", None), rest.pop("resolution", None)
    if normalisation not in {None, "data", "own"}:
        raise UsageError(f"model.normalisation: {normalisation!r} is neither data nor own")
    if resolution is not None and (not isinstance(resolution, int) or isinstance(resolution, bool) or resolution < 1):
        raise UsageError(f"model.resolution: {resolution!r} is no number of pixels")
    return PreprocessingOverrides(normalisation, resolution), rest


def check_outputs(options: Mapping[str, Any], key: str, num_classes: int) -> dict[str, Any]:
    """Return the options without the number of outputs, which the data decide.

    Raises:
        UsageError: when it is another number.
    """
    rest = dict(options)
    if (stated := rest.pop(key, None)) not in {None, num_classes}:
        raise UsageError(f"model.{key}: {stated}, and the data have {num_classes} classes; leave it out")
    return rest


def image_shape(name: str, data_spec: DataSpec) -> tuple[int, int, int]:
    """Return the channels, height and width of samples that must be images.

    Raises:
        UsageError: when they are no images.
    """
    if len(data_spec.shape) != 3:
        hint = "; try mlp" if data_spec.vocabulary is None else ""
        raise UsageError(f"model: {name} is for images, and the samples have shape {data_spec.shape}{hint}")
    channels, height, width = data_spec.shape
    return channels, height, width
