"""Protocols in one word, and what a method's name implies elsewhere in the recipe; the user's own keys win."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from preceptor.config.procedures import PROCEDURES
from preceptor.config.protocols import GENTLE
from preceptor.errors import UsageError
from preceptor.messages import did_you_mean
from preceptor.objectives.distill import METHODS
from preceptor.objectives.entry import Entry
from preceptor.objectives.teacher import OBJECTIVES

__all__ = ["PRESETS", "NetworkOf", "Preset", "complete"]

Nested = Mapping[str, Any]
NetworkOf = Callable[[str], str | None]
_ENTRIES: Mapping[str, Entry] = {**OBJECTIVES, **METHODS, **PROCEDURES}


@dataclass(frozen=True, slots=True)
class Preset:
    """A protocol.

    Attributes:
        description: one line for `preceptor list presets`.
        both: keys for teachers and students.
        lr: peak learning rate.
        gentle_lr: that of MobileNetV2, ShuffleV1 and ShuffleV2.
        teach: more keys for teachers.
        distill: more keys for students.
        is_published: whether its authors published runs of it.
        methods: keys for students, by method.
        pairs: further keys for students, by (method, teacher's network, student's network).
    """

    description: str
    both: Nested
    lr: float
    gentle_lr: float
    teach: Nested = field(default_factory=dict)
    distill: Nested = field(default_factory=dict)
    methods: Mapping[str, Nested] = field(default_factory=dict)
    pairs: Mapping[tuple[str, str, str], Nested] = field(default_factory=dict)
    is_published: bool = True


_CIFAR: Nested = {
    "epochs": 240,
    "batch_size": 64,
    "optim": {"name": "sgd", "momentum": 0.9, "nesterov": False, "weight_decay": 5e-4, "decay_norms_and_biases": True},
    "schedule": {"name": "step", "milestones": [150 / 240, 180 / 240, 210 / 240], "gamma": 0.1},
}

# Zhao et al., DKD (CVPR 2022), released configurations
_DKD = {
    ("resnet56", "resnet20"): 2.0,
    ("resnet110", "resnet32"): 2.0,
    ("vgg13", "vgg8"): 6.0,
    ("vgg13", "MobileNetV2"): 6.0,
    ("wrn_40_2", "wrn_16_2"): 6.0,
    ("wrn_40_2", "wrn_40_1"): 6.0,
    ("resnet32x4", "resnet8x4"): 8.0,
    ("resnet32x4", "ShuffleV1"): 8.0,
    ("resnet32x4", "ShuffleV2"): 8.0,
    ("ResNet50", "MobileNetV2"): 8.0,
    ("wrn_40_2", "ShuffleV1"): 8.0,
}
# Chen et al., ReviewKD (CVPR 2021), released scripts
_REVIEW = {
    ("wrn_40_2", "wrn_16_2"): 5.0,
    ("wrn_40_2", "wrn_40_1"): 5.0,
    ("wrn_40_2", "ShuffleV1"): 5.0,
    ("resnet32x4", "resnet8x4"): 5.0,
    ("resnet32x4", "ShuffleV1"): 5.0,
    ("resnet32x4", "ShuffleV2"): 8.0,
    ("resnet56", "resnet20"): 0.6,
    ("resnet110", "resnet32"): 1.0,
}
# Sun et al., logit standardization (CVPR 2024), names of released logs: (temperature, weight)
_STANDARDIZED = {
    ("resnet32x4", "resnet8x4"): (2.0, 9.0),
    ("vgg13", "vgg8"): (3.0, 9.0),
    ("wrn_40_2", "wrn_40_1"): (2.0, 9.0),
    ("wrn_40_2", "wrn_16_2"): (2.0, 9.0),
    ("resnet56", "resnet20"): (2.0, 9.0),
    ("resnet110", "resnet32"): (2.0, 9.0),
    ("resnet110", "resnet20"): (4.0, 12.0),
    ("resnet32x4", "ShuffleV2"): (2.0, 9.0),
    ("vgg13", "MobileNetV2"): (3.0, 9.0),
    ("ResNet50", "MobileNetV2"): (3.0, 1.0),
}
# Wei et al., SDD (CVPR 2024), released commands: the non-target weight of base=dkd
_SDD = {
    ("resnet32x4", "resnet8x4"): 8.0,
    ("wrn_40_2", "wrn_40_1"): 6.0,
    ("wrn_40_2", "wrn_16_2"): 6.0,
    ("vgg13", "MobileNetV2"): 6.0,
    ("resnet56", "resnet20"): 2.0,
    ("resnet110", "resnet20"): 2.0,
    ("resnet110", "resnet32"): 2.0,
}
# Wang et al., KD++ (arXiv 2305.17007), released commands: weights of KD and of direction and length, rate
_KD_PP = {
    ("resnet56", "resnet20"): (1.0, 2.0, 0.1),
    ("resnet32x4", "resnet8x4"): (3.5, 2.0, 0.1),
    ("wrn_40_2", "wrn_40_1"): (1.0, 1.5, 0.1),
    ("ResNet50", "MobileNetV2"): (3.0, 0.5, 0.02),
    ("resnet32x4", "ShuffleV1"): (2.5, 1.5, 0.02),
    ("resnet32x4", "ShuffleV2"): (4.0, 0.5, 0.02),
}
_PAIRS: Mapping[tuple[str, str, str], Nested] = {
    **{("dkd", *pair): {"method": {"nontarget_weight": weight}} for pair, weight in _DKD.items()},
    **{
        ("reviewkd", *pair): {"method": {"weight": {"schedule": "warmup", "peak": weight, "over": 20 / 240}}}
        for pair, weight in _REVIEW.items()
    },
    **{
        ("logit_std", *pair): {"method": {"temperature": temperature, "weight": weight}}
        for pair, (temperature, weight) in _STANDARDIZED.items()
    },
    **{("sdd", *pair): {"method": {"nontarget_weight": weight}} for pair, weight in _SDD.items()},
    **{
        ("kd_pp", *pair): {
            "method": {"weight": weight, "kd": {"weight": {"schedule": "warmup", "peak": kd, "over": 20 / 240}}},
            "optim": {"lr": rate},
        }
        for pair, (kd, weight, rate) in _KD_PP.items()
    },
    # Lv, Yang, Li, WKD (NeurIPS 2024), released configuration; resnet32x4 -> resnet8x4 has the defaults
    ("wkd_l", "wrn_40_2", "ShuffleV1"): {"method": {"wasserstein_weight": 200.0, "temperature": 6.0}},
}

# Deng et al., PE-BKD (ECCV 2022), released commands: real_share, alphas of the search, alpha where it starts
_MIXED: Mapping[tuple[str, str], tuple[float, list[float], float]] = {
    ("wrn_40_2", "wrn_16_2"): (0.3, [0.1, 0.5, 1.0], 1.0),
    ("resnet110", "resnet32"): (0.3, [0.1, 0.5, 1.0], 0.1),
    ("vgg13", "vgg8"): (0.3, [0.1, 1.0], 1.0),
    ("resnet32x4", "resnet8x4"): (0.3, [0.1, 1.0], 0.1),
    ("ResNet50", "vgg8"): (0.3, [0.1, 0.5, 1.0], 0.1),
    ("resnet32x4", "ShuffleV2"): (0.1, [0.1, 1.0], 0.1),
    ("wrn_40_2", "ShuffleV1"): (0.1, [0.1, 0.5, 1.0], 0.1),
}
_MIXED_PAIRS: Mapping[tuple[str, str, str], Nested] = {
    (method, *pair): {"inputs": {"real_share": share, "alphas": alphas, "alpha": alpha}}
    for method in ("kd_plus", "pe_bkd")
    for pair, (share, alphas, alpha) in _MIXED.items()
}
_MODERN: Nested = {
    "epochs": 300,
    "batch_size": 128,
    "data": {"view": "+trivial_augment"},
    "optim": {"name": "sgd", "nesterov": True, "weight_decay": 5e-4, "decay_norms_and_biases": False},
    "schedule": {"name": "cosine", "warmup": 5 / 300},
    "averaging": {"name": "ema"},
}
_KD_PLUS: Nested = {"inputs": {"name": "kd_plus", "real_share": 0.3, "match": "real_batches", "search_every": 50 / 240}}
_NESTEROV: Nested = {"optim": {"nesterov": True}}

PRESETS: dict[str, Preset] = {
    "crd-protocol": Preset(
        "CIFAR-100 as in Tian, Krishnan, Isola (ICLR 2020): 240 epochs, batch 64, SGD 0.05, / 10 after 150, 180, 210; "
        "each method with its authors' weights for the pair",
        _CIFAR,
        lr=0.05,
        gentle_lr=0.01,
        methods={"mlkd": {"optim": {"lr": 0.025}}, "reviewkd": _NESTEROV, "hsakd": _NESTEROV},
        pairs=_PAIRS,
    ),
    "soteacher-protocol": Preset(
        "Dong, Liu, Shang (ICLR 2024): the same schedule, SoTeacher teachers, and KD with weights 0.5 and 0.5",
        _CIFAR,
        lr=0.05,
        gentle_lr=0.01,
        teach={"objective": {"name": "soteacher"}},
        methods={"kd": {"method": {"weight": 0.5, "cross_entropy": {"weight": 0.5}}}},
        pairs=_PAIRS,
    ),
    "hsakd-protocol": Preset(
        "Yang, An, Cai, Xu (IJCAI 2021): the same schedule with Nesterov; teachers trained with classifiers of rotations, which "
        "method=hsakd then learns from",
        {**_CIFAR, "optim": {**_CIFAR["optim"], "nesterov": True}},
        lr=0.05,
        gentle_lr=0.01,
        teach={"objective": {"name": "hsakd_teacher"}},
        pairs=_PAIRS,
    ),
    "mcmi": Preset(
        "Ye et al. (ICLR 2024): a trained teacher (start_from=RUN) fine-tuned by mcmi for 20 epochs, batch 64, SGD 0.05, cosine",
        {**_CIFAR, "epochs": 20, "schedule": {"name": "cosine"}},
        lr=0.05,
        gentle_lr=0.005,
        teach={"objective": {"name": "mcmi"}},
    ),
    "pe-bkd-protocol": Preset(
        "Deng, Zheng, Zhang (ECCV 2022): the same schedule, weight decay 1e-4; kd_plus or pe_bkd with the share of real "
        "batches (0.3 or 0.1) and the alphas of the pair, for 1 / share times as many epochs",
        {**_CIFAR, "optim": {**_CIFAR["optim"], "weight_decay": 1e-4}},
        lr=0.05,
        gentle_lr=0.01,
        methods={"kd_plus": _KD_PLUS, "pe_bkd": _KD_PLUS},
        pairs=_MIXED_PAIRS,
    ),
    "modern": Preset(
        "today's training of images: 300 epochs, batch 128, SGD 0.1 with Nesterov on a cosine after a warm-up, averaged weights, "
        "TrivialAugment; students by function matching (Beyer et al., CVPR 2022)",
        _MODERN,
        lr=0.1,
        gentle_lr=0.02,
        distill={"inputs": {"name": "function_matching"}},
        is_published=False,
    ),
}


def complete(values: Nested, *, is_student: bool, network_of: NetworkOf) -> dict[str, Any]:
    """Return a recipe's values, completed by those of its preset and its method.

    Args:
        values: nested, as the user wrote them; every section is a mapping.
        is_student: whether it is a recipe of `distill`.
        network_of: returns the name of the network of a run folder, None where there is none.

    Raises:
        UsageError: for an unknown preset, or when a term needs a key that is missing.
    """
    method = values.get("method", {}).get("name", "kd") if is_student else None
    below: Nested = {}
    if values.get("preset") is not None:
        below = _preset(values, method, network_of)
    entry = _ENTRIES.get(method or "")
    if entry is not None:
        below = _over(entry.implies, below)
    if "method" in below:
        below = _over({"method": {"name": method}}, below)
    if values.get("inputs", {}).get("name") not in {None, _at(below, "inputs.name")}:
        below = {key: value for key, value in below.items() if key != "inputs"}  # hyperparameters of another policy
    full = _over(values, below)
    _check_needs(full, "method" if is_student else "objective")
    return full


def _check_needs(full: Nested, role: str) -> None:
    section = full.get(role) or {}
    inner = [term.get("name") for term in section.values() if isinstance(term, Mapping)]
    for name in dict.fromkeys([section.get("name"), *section, *inner]):
        entry = _ENTRIES.get(str(name))
        for key, what in entry.needs.items() if entry is not None else ():
            if not _at(full, key):
                raise UsageError(f"{role} {name} needs {key}={what}")


def _preset(values: Nested, method: str | None, network_of: NetworkOf) -> Nested:
    name = values["preset"]
    if name not in PRESETS:
        raise UsageError(f"preset: unknown name {name!r}{did_you_mean(str(name), PRESETS)}")
    preset = PRESETS[name]
    model = str(values.get("model", {}).get("name"))
    rate = {"optim": {"lr": preset.gentle_lr if model in GENTLE else preset.lr}}
    if method is None:
        own = preset.teach if "objective" not in values else {}
        return _over(own, _over(rate, preset.both))
    of_pair = preset.pairs.get((method, _teacher_model(values.get("teacher", {}), network_of), model), {})
    chosen = _over(of_pair, _over(preset.methods.get(method, {}), preset.distill))
    return _over(chosen, _over(rate, preset.both))


def _teacher_model(teacher: Nested, network_of: NetworkOf) -> str:
    """Return the name of the teacher's network, as far as its section or its run folder says it."""
    path = teacher.get("path")
    if teacher.get("model") is None and isinstance(path, str):
        return str(network_of(path))
    return str(teacher.get("model"))


def _over(upper: Nested, lower: Nested) -> dict[str, Any]:
    """Return both, the upper's values winning; sections are merged key by key."""
    merged = dict(lower)
    for key, value in upper.items():
        below = merged.get(key)
        merged[key] = _over(value, below) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    return merged


def _at(values: Nested, dotted: str) -> object:
    value: Any = values
    for key in dotted.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
