"""The default training settings for each kind of data; they fill what a recipe leaves open.

Source of "cifar": the protocol of Tian, Krishnan, Isola (ICLR 2020), shared by most CIFAR-100 distillation tables;
of "photographs": rate, batch, decay and length of ImageNet training as in He, Zhang, Ren, Sun (CVPR 2016), the rate on a cosine;
of "text": the fine-tuning of BERT (Devlin, Chang, Lee, Toutanova, NAACL 2019), the rate on a cosine; networks with
random weights want more epochs and a higher rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from preceptor.config.sections import AnyRecipe

if TYPE_CHECKING:
    from preceptor.data import Data

__all__ = ["GENTLE", "PROTOCOLS", "Protocol", "fill"]

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


def fill(recipe: AnyRecipe, data: Data) -> AnyRecipe:
    """Return the recipe with every open key filled from the data's protocol.

    Args:
        recipe: as the user stated it.
        data: whose protocol, view and validation share fill it.
    """
    protocol, optim, schedule = PROTOCOLS[data.protocol], recipe.optim, recipe.schedule
    name = optim.name if "name" in optim.model_fields_set else protocol.optimizer
    is_alike = name == protocol.optimizer or {name, protocol.optimizer} == {"sgd", "dot"}
    rate = protocol.gentle_lr if recipe.model.name in GENTLE else protocol.lr
    by_protocol = {
        "name": name,
        "lr": rate if is_alike else _DEFAULT_RATES[name],
        "weight_decay": protocol.weight_decay,
    }
    open_keys = {key: value for key, value in by_protocol.items() if key not in optim.model_fields_set}
    open_schedule = {} if "name" in schedule.model_fields_set else {"name": protocol.schedule}
    return recipe.model_copy(
        update={
            "epochs": recipe.epochs or protocol.epochs,
            "batch_size": recipe.batch_size or protocol.batch_size,
            "data": recipe.data.model_copy(
                update={"view": data.view_named(recipe.data.view), "validation": data.validation_share}
            ),
            "optim": optim.model_copy(update=open_keys),
            "schedule": schedule.model_copy(update=open_schedule),
        }
    )
