"""The training settings that fit a kind of data, and how they fill the gaps of a recipe.

Source of "cifar": the protocol of Tian, Krishnan, Isola (ICLR 2020), shared by most CIFAR-100 distillation tables;
of "photographs": rate, batch, decay and length of ImageNet training as in He, Zhang, Ren, Sun (CVPR 2016), the rate on a cosine;
of "text": the fine-tuning of BERT (Devlin, Chang, Lee, Toutanova, NAACL 2019), the rate on a cosine; networks with
random weights want more epochs and a higher rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

from preceptor.config.sections import Recipe
from preceptor.data import Data

__all__ = ["GENTLE", "PROTOCOLS", "Protocol", "fill", "resolved"]

_Recipe = TypeVar("_Recipe", bound=Recipe)
_Value = TypeVar("_Value")
GENTLE = {"MobileNetV2", "ShuffleV1", "ShuffleV2"}  # trained with a fifth of the rate in the CIFAR protocol
_DEFAULT_RATES = {"sgd": 0.05, "dot": 0.05, "adamw": 1e-3}


@dataclass(frozen=True, slots=True)
class Protocol:
    """Defaults for one kind of data."""

    epochs: int
    batch_size: int
    optimizer: Literal["sgd", "adamw"]
    lr: float
    gentle_lr: float
    weight_decay: float
    schedule: Literal["constant", "step", "cosine", "one_cycle"]


PROTOCOLS = {
    "cifar": Protocol(240, 64, "sgd", lr=0.05, gentle_lr=0.01, weight_decay=5e-4, schedule="step"),
    "digits": Protocol(40, 64, "sgd", lr=0.1, gentle_lr=0.1, weight_decay=5e-4, schedule="one_cycle"),
    "vectors": Protocol(50, 128, "adamw", lr=1e-3, gentle_lr=1e-3, weight_decay=1e-4, schedule="cosine"),
    "photographs": Protocol(100, 256, "sgd", lr=0.1, gentle_lr=0.045, weight_decay=1e-4, schedule="cosine"),
    "text": Protocol(3, 32, "adamw", lr=5e-5, gentle_lr=5e-5, weight_decay=0.01, schedule="cosine"),
    "default": Protocol(100, 64, "sgd", lr=0.05, gentle_lr=0.01, weight_decay=5e-4, schedule="cosine"),
}


def fill(recipe: _Recipe, protocol: Protocol, data: Data) -> _Recipe:
    """Return the recipe with every None that the protocol decides replaced.

    Args:
        recipe: as the user gave it.
        protocol: for the data.
        data: whose own augmentation and validation share fill those gaps.
    """
    optimizer = recipe.optim.name or protocol.optimizer
    default_rate = protocol.gentle_lr if recipe.model.name in GENTLE else protocol.lr
    is_alike = optimizer == protocol.optimizer or {optimizer, protocol.optimizer} == {"sgd", "dot"}
    rate = default_rate if is_alike else _DEFAULT_RATES[optimizer]
    decay = recipe.optim.weight_decay
    return recipe.model_copy(
        update={
            "epochs": recipe.epochs or protocol.epochs,
            "batch_size": recipe.batch_size or protocol.batch_size,
            "data": recipe.data.model_copy(
                update={"view": recipe.data.view or data.view, "validation": data.validation_share}
            ),
            "optim": recipe.optim.model_copy(
                update={
                    "name": optimizer,
                    "lr": recipe.optim.lr or rate,
                    "weight_decay": protocol.weight_decay if decay is None else decay,
                }
            ),
            "schedule": recipe.schedule.model_copy(update={"name": recipe.schedule.name or protocol.schedule}),
        }
    )


def resolved(value: _Value | None, key: str) -> _Value:
    """Return a value that resolving the recipe has set."""
    assert value is not None, f"{key} was left open by its protocol"
    return value
