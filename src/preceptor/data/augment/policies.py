"""The input policies by name."""

from __future__ import annotations

from preceptor.data.augment.kd_plus import KDPlus
from preceptor.data.augment.mixtures import CutMix, FunctionMatching, MixPatch, Mixup, Noise
from preceptor.data.augment.policy import PlainInputs, Policy

__all__ = ["POLICIES"]

POLICIES: dict[str, type[Policy]] = {
    "real": PlainInputs,
    "mixup": Mixup,
    "cutmix": CutMix,
    "mixpatch": MixPatch,
    "kd_plus": KDPlus,
    "function_matching": FunctionMatching,
    "noise": Noise,
}
