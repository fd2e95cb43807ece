"""A student wrapper: one of the network's maps is widened by linear layers, brought back, and added to itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from preceptor.errors import UsageError
from preceptor.models.features.observed import FeatureNetwork

__all__ = ["ExpandSpec", "ExpandedMap", "feature_path"]


@dataclass(frozen=True, slots=True)
class ExpandSpec:
    """How an `ExpandedMap` is made, as plain data: `model.expanded_map`.

    Attributes:
        module: dotted path of the module whose output is the map.
        channels: of that map.
        wide: channels it is widened to.
    """

    module: str
    channels: int
    wide: int


class ExpandedMap(FeatureNetwork):
    """A network in which one module's map x becomes x + contract(expand(x)), both a 1x1 convolution with batch-norm.

    Source: Liu, Li, Li, Yao, "NORM: Knowledge Distillation via N-to-One Representation Matching" (ICLR 2023), section 3.2.

    Args:
        backbone: any network.
        spec: where, and sizes.

    Raises:
        UsageError: when the backbone has no such module.
    """

    def __init__(self, backbone: nn.Module, spec: ExpandSpec) -> None:
        super().__init__()
        if not spec.module or spec.module not in dict(backbone.named_modules()):
            raise UsageError(f"model.expanded_map.module: {type(backbone).__name__} has no module {spec.module!r}")
        self.spec = spec
        self.backbone = backbone
        self.expand = nn.Sequential(nn.Conv2d(spec.channels, spec.wide, 1, bias=False), nn.BatchNorm2d(spec.wide))
        self.contract = nn.Sequential(nn.Conv2d(spec.wide, spec.channels, 1, bias=False), nn.BatchNorm2d(spec.channels))
        backbone.get_submodule(spec.module).register_forward_hook(self._add)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.backbone(inputs)
        return logits

    @property
    def options(self) -> Mapping[str, Any]:
        """The backbone's, and the sizes."""
        inner = self.backbone
        return {**(inner.options if isinstance(inner, FeatureNetwork) else {}), "expanded_map": asdict(self.spec)}

    @property
    def feature_paths(self) -> Mapping[str, str]:
        """The backbone's features, and the widened map."""
        return {**self._below("feature_paths"), "expanded": "expand"}

    @property
    def preactivation_paths(self) -> Mapping[str, str]:
        """Those of the backbone."""
        return self._below("preactivation_paths")

    @property
    def works_in_place(self) -> bool:
        """Whether the backbone does, or does not promise otherwise."""
        return not isinstance(self.backbone, FeatureNetwork) or self.backbone.works_in_place

    def _below(self, kind: str) -> dict[str, str]:
        inner = self.backbone
        if not isinstance(inner, FeatureNetwork):
            return {}
        paths = inner.feature_paths if kind == "feature_paths" else inner.preactivation_paths
        return {name: f"backbone.{path}" for name, path in paths.items()}

    def _add(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        added: Tensor = output + self.contract(self.expand(output))
        return added


def feature_path(model: nn.Module, name: str) -> str:
    """Return the path of the module whose output, as it is, is a feature.

    Raises:
        UsageError: when the feature is a module's input, or its output in another form, such as tokens.
    """
    path = model.feature_paths.get(name, name) if isinstance(model, FeatureNetwork) else name
    if ":" in path:
        raise UsageError(
            f"feature {name}: {path} is no module's output as it is, a map [batch, channels, height, width]"
        )
    return path
