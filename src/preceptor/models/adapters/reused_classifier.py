"""A student wrapper: the network ends in a projector and its teacher's frozen classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from preceptor.models.features.classifier import find_classifier
from preceptor.models.features.observed import FeatureNetwork, feature_names, observe

__all__ = ["ReuseSpec", "ReusedClassifier"]


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
        return {**(inner.options if isinstance(inner, FeatureNetwork) else {}), "reused_classifier": asdict(self.spec)}

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


def _layer(before: int, after: int, kernel: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=False)
    return conv, nn.BatchNorm2d(after), nn.ReLU()
