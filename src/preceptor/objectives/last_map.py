"""The map whose mean over positions is what a network's classifier reads, found among its features by looking at their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from preceptor.divergences import promote
from preceptor.errors import UsageError
from preceptor.models import as_map, classifier_parameters
from preceptor.objectives.base import BuildContext, FeatureShapes, Taps, teacher_outputs
from preceptor.objectives.features import blocks, need
from preceptor.types import Outputs, Step

__all__ = ["LastMap", "LastMaps", "find_last_map", "region_logits", "region_means"]

_TOLERANCE = 0.02  # of half precision


@dataclass(frozen=True, slots=True)
class LastMap:
    """Where the map is.

    Attributes:
        name: of the feature.
        is_rectified: whether it passes a ReLU before it is pooled.
    """

    name: str
    is_rectified: bool = False

    def read(self, outputs: Outputs) -> Tensor:
        """Return the map [batch, channels, height, width], in float32 or better."""
        maps = promote(as_map(outputs.features[self.name]))
        return torch.relu(maps) if self.is_rectified else maps


def find_last_map(outputs: Outputs, who: str, method: str) -> LastMap:
    """Return the last block's output, or that before its ReLU, rectified: the one whose mean is the pooled feature.

    Args:
        outputs: of a dry forward pass, with all features of the network.
        who: "student" or "teacher", for messages.
        method: for messages.

    Raises:
        UsageError: when the network has no such map: a class token, attention or further layers stand before its classifier.
    """
    features = outputs.features
    pooled = promote(features[need("pooled", features, who, method)])
    names = list(blocks({name: tuple(value.shape[1:]) for name, value in features.items()}))
    last = need(names[-1] if names else "block1", features, who, method)
    for found in (LastMap(last), LastMap(f"{last}_preact", is_rectified=True)):
        if found.name in features and found.read(outputs).ndim == 4:
            mean = found.read(outputs).mean((2, 3))
            if mean.shape == pooled.shape and bool((mean - pooled).abs().max() <= _TOLERANCE * pooled.abs().max()):
                return found
    raise UsageError(
        f"method {method} needs a {who} whose classifier reads the mean of its last map, and pooled is not the mean of {last}; "
        "name both maps with method.pairs={STUDENT_MODULE: TEACHER_MODULE}"
    )


class LastMaps:
    """The last maps of both networks: found, or the user's choice.

    Args:
        method: for messages.
        pair: the user's choice, one student name to one teacher name; names or dotted module paths.

    Raises:
        ValueError: for more than one pair.
    """

    def __init__(self, method: str, pair: Mapping[str, str] | None = None) -> None:
        if pair is not None and len(pair) != 1:
            raise ValueError(f"pairs: {dict(pair)}, expected one: the map that each network pools")
        self._method = method
        self._pair = None if pair is None else next(iter(pair.items()))
        self._mine, self._its = (LastMap(name) for name in self._pair or ("block1", "block1"))

    def find(self, context: BuildContext) -> None:
        """Find both maps in a dry forward pass, unless the user named them.

        Raises:
            UsageError: when there is no teacher network, or a network has no such map.
        """
        if context.teacher is None or context.teacher_model is None:
            raise UsageError(f"method {self._method} reads the classifier of a teacher network, and the run has none")
        if self._pair is None:
            self._mine = find_last_map(context.student, "student", self._method)
            self._its = find_last_map(context.teacher, "teacher", self._method)

    def taps(self, student: FeatureShapes, teacher: FeatureShapes) -> Taps:
        """Ask for both maps.

        Raises:
            UsageError: when a network has none.
        """
        if self._pair is not None:
            return Taps((self._mine.name,), (self._its.name,))
        mine = need(self._mine.name, student, "student", self._method)
        return Taps((mine,), (need(self._its.name, teacher, "teacher", self._method),))

    def maps(self, step: Step) -> tuple[Tensor, Tensor]:
        """Return both maps of a step.

        Raises:
            UsageError: when the run has no teacher.
        """
        teacher = teacher_outputs(step)
        return self._mine.read(step.student), self._its.read(teacher)

    def teacher_classifier(self, context: BuildContext) -> tuple[Tensor, Tensor]:
        """Return the weight [classes, channels] and bias [classes] by which the teacher reads its map.

        Raises:
            UsageError: when a network has no classifier, or a map is not as wide as the classifier that reads its mean.
        """
        assert context.model is not None
        assert context.teacher is not None
        assert context.teacher_model is not None
        own, its = (
            classifier_parameters(model, context.num_classes) for model in (context.model, context.teacher_model)
        )
        for who, found, outputs, (weight, _) in (
            ("student", self._mine, context.student, own),
            ("teacher", self._its, context.teacher, its),
        ):
            shape, width = tuple(found.read(outputs).shape), weight.shape[1]
            if len(shape) != 4 or shape[1] != width:
                raise UsageError(
                    f"method {self._method}: the {who}'s classifier reads {width} values, and {found.name} has shape {shape}"
                )
        return its


def region_means(
    maps: Float[Tensor, "batch channels _ _"], *, scales: Sequence[int] = (1, 2)
) -> Float[Tensor, "batch channels regions"]:
    """Return the means of a map over 1, 4 and 16 regions, row by row: nested, from a 4 x 4 grid (a smaller map is spread).

    Args:
        maps: of any size.
        scales: 1, which is the whole map; 1 and 2; or 1, 2 and 4: regions along each side.

    Raises:
        ValueError: for other scales.

    Examples:
        >>> region_means(torch.arange(16.0).view(1, 1, 4, 4), scales=(1, 2))
        tensor([[[ 7.5000,  2.5000,  4.5000, 10.5000, 12.5000]]])
    """
    if list(scales) not in ([1], [1, 2], [1, 2, 4]):
        raise ValueError(f"scales: {list(scales)}, expected 1; 1, 2; or 1, 2, 4")
    grid = functional.adaptive_avg_pool2d(promote(maps), 4)
    return torch.cat([functional.adaptive_avg_pool2d(grid, scale).flatten(2) for scale in scales], dim=2)


def region_logits(
    maps: Float[Tensor, "batch channels _ _"],
    weight: Float[Tensor, "classes channels"],
    bias: Float[Tensor, " classes"],
    scales: Sequence[int],
) -> Float[Tensor, "batch classes regions"]:
    """Return what a classifier makes of the mean of each region of a map."""
    with torch.autocast(maps.device.type, enabled=False):
        means = region_means(maps, scales=scales)
        return weight.to(means.dtype) @ means + bias.to(means.dtype)[:, None]
