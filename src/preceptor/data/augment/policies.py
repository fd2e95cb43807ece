"""The input policies by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preceptor.lazy import LazyImport

if TYPE_CHECKING:
    from preceptor.data.augment.policy import Policy

__all__ = ["POLICIES"]

POLICIES: dict[str, LazyImport[type[Policy]]] = {
    "real": LazyImport("preceptor.data.augment.policy:PlainInputs"),
    "mixup": LazyImport("preceptor.data.augment.mixtures:Mixup"),
    "cutmix": LazyImport("preceptor.data.augment.mixtures:CutMix"),
    "mixpatch": LazyImport("preceptor.data.augment.mixtures:MixPatch"),
    "kd_plus": LazyImport("preceptor.data.augment.kd_plus:KDPlus"),
    "function_matching": LazyImport("preceptor.data.augment.mixtures:FunctionMatching"),
    "noise": LazyImport("preceptor.data.augment.mixtures:Noise"),
}
