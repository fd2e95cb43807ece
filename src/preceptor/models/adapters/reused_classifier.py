"""A student wrapper: the network ends in a projector and its teacher's frozen classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from preceptor.errors import UsageError
from preceptor.models.features.classifier import find_classifier
from preceptor.models.features.observed import FeatureNetwork, feature_names, observe
from preceptor.signature import check_hyperparameters

__all__ = ["ReuseSpec", "ReusedClassifier", "without_wrappers", "wrap_as_stated"]

_KEY = "reused_classifier"  # of a model section


@dataclass(frozen=True, slots=True)
class ReuseSpec:
    """How a `ReusedClassifier` is made, as plain data: `model.reused_classifier`.

    Attributes:
        feature: the backbone's map that is projected.
        channels: of that map.
        teacher_channels: of the teacher's last map, inputs of its classifier.
        teacher_size: height and width of that map; a larger student map is average-pooled to it.
        num_classes: outputs of the classifier.
        bottleneck: by what the projector narrows the teacher's channels.
    """

    feature: str
    channels: int
    teacher_channels: int
    teacher_size: tuple[int, int]
    num_classes: int
    bottleneck: int = 2


class ReusedClassifier(FeatureNetwork):
    """A backbone whose map goes through a projector, average pooling and a frozen classifier.

    Source: Chen, Mei, Zhang, Wang, Feng, Chen, "Knowledge Distillation with the Reused Teacher Classifier" (CVPR 2022,
    arXiv 2203.14001), section 3.2: 1x1, 3x3, 1x1 convolutions, each with batch-norm and ReLU. The backbone's own
    classifier stays in the network, unused.

    Args:
        backbone: any network.
        spec: sizes.

    Raises:
        UsageError: when the backbone has no such feature.
    """

    def __init__(self, backbone: nn.Module, spec: ReuseSpec) -> None:
        super().__init__()
        self.spec = spec
        self.backbone = observe(backbone, [spec.feature])
        narrow = max(1, spec.teacher_channels // spec.bottleneck)
        self.projector = nn.Sequential(
            *_layer(spec.channels, narrow, 1), *_layer(narrow, narrow, 3), *_layer(narrow, spec.teacher_channels, 1)
        )
        self.classifier = nn.Linear(spec.teacher_channels, spec.num_classes)
        self.classifier.requires_grad_(False)

    def take_classifier(self, teacher: nn.Module) -> None:
        """Copy the teacher's classifier."""
        self.classifier.load_state_dict(find_classifier(teacher, self.spec.num_classes).state_dict())

    @property
    def options(self) -> Mapping[str, Any]:
        """The backbone's, and the sizes."""
        inner = self.backbone.model
        return {**(inner.options if isinstance(inner, FeatureNetwork) else {}), _KEY: asdict(self.spec)}

    def forward(self, inputs: Tensor) -> Tensor:
        maps = self.backbone(inputs).features[self.spec.feature]
        size = tuple(min(mine, its) for mine, its in zip(maps.shape[2:], self.spec.teacher_size, strict=True))
        if size != tuple(maps.shape[2:]):
            maps = functional.adaptive_avg_pool2d(maps, size)
        logits: Tensor = self.classifier(self.projector(maps).mean((2, 3)))
        return logits

    @property
    def feature_paths(self) -> Mapping[str, str]:
        """The backbone's maps, the projected one, and what enters the classifier."""
        inner = self.backbone.model
        named = inner.feature_paths if isinstance(inner, FeatureNetwork) else {}
        below = {name: f"backbone.model.{named[name]}" for name in feature_names(inner) if name != "pooled"}
        return {**below, "projected": "projector", "pooled": "classifier:input"}

    @property
    def works_in_place(self) -> bool:
        """Whether the backbone does, or does not promise otherwise."""
        inner = self.backbone.model
        return not isinstance(inner, FeatureNetwork) or inner.works_in_place


def wrap_as_stated(network: nn.Module, options: Mapping[str, Any]) -> nn.Module:
    """Return a network in the student wrapper that the keys of its model section state; one that is in it already as it is.

    Args:
        network: the backbone.
        options: further keys of the model section.

    Raises:
        UsageError: for a malformed `model.reused_classifier`, or a feature that the network does not have.
    """
    stated = options.get(_KEY)
    if stated is None or isinstance(network, ReusedClassifier):
        return network
    where = f"model.{_KEY}"
    if not isinstance(stated, Mapping):
        raise UsageError(f"{where}: {stated!r} is no mapping; method simkd writes it")
    spec = ReuseSpec(**check_hyperparameters(ReuseSpec, stated, where))
    sizes = (spec.channels, spec.teacher_channels, *spec.teacher_size, spec.num_classes, spec.bottleneck)
    if min(sizes) < 1:
        raise UsageError(f"{where}: its sizes are at least 1, got {dict(stated)}")
    return ReusedClassifier(network, spec)


def without_wrappers(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a model section that are the network's own."""
    return {key: value for key, value in options.items() if key != _KEY}


def _layer(before: int, after: int, kernel: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=False)
    return conv, nn.BatchNorm2d(after), nn.ReLU()
