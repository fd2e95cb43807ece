"""Input policies: where the networks are asked. A pure function of a batch and its keys, applied before both networks.

Inputs beyond the samples have no label when a student is distilled: the teacher's answer to the very same input is all that
is learnt from them. When a teacher is trained, labels are mixed as the inputs are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from preceptor.data.augment.mixing import box_weights, counter_rng, draw_weights, lerp_rows, patch_weights
from preceptor.divergences import targets
from preceptor.errors import UsageError
from preceptor.types import Batch

__all__ = [
    "POLICIES",
    "CutMix",
    "FunctionMatching",
    "KDPlus",
    "MixPatch",
    "MixedInputs",
    "Mixup",
    "Noise",
    "PlainInputs",
    "Policy",
]

Match = Literal["total_batches", "real_batches"]
_Recombine = Callable[[Tensor], Tensor]


class Policy(ABC):
    """What becomes of a batch of samples before any network sees it."""

    @abstractmethod
    def __call__(self, batch: Batch, number: int, *, num_classes: int = 0) -> Batch:
        """Return the batch that the networks see.

        Args:
            batch: samples, augmented and normalised.
            number: of the batch in its epoch, from 0: with the batch's view the key of everything that is drawn.
            num_classes: width of the target distributions of inputs beyond the samples; 0: they have no labels.
        """

    def check(self, sample_shape: tuple[int, ...]) -> None:  # noqa: B027  (most work on any)
        """Check that it works on samples of this shape.

        Raises:
            UsageError: when it does not.
        """

    def rows(self, batch_size: int) -> int:
        """Return how many rows it makes of a full batch."""
        return batch_size

    @property
    def goes_beyond(self) -> bool:
        """Whether there are batches that show no sample."""
        return False

    @property
    def mixes_rows(self) -> bool:
        """Whether what becomes of a row depends on the others of its batch, or on its place among them."""
        return False


class PlainInputs(Policy):
    """The samples as they are."""

    def __call__(self, batch: Batch, number: int, *, num_classes: int = 0) -> Batch:
        return batch


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn for one batch.

    Attributes:
        inputs: what becomes of the inputs, and of every further view of them.
        labels: what becomes of the target distributions.
    """

    inputs: _Recombine
    labels: _Recombine


@dataclass(frozen=True)
class MixedInputs(Policy):
    """Shows inputs beyond the samples, in place of them or beside them.

    Args:
        real_share: share of batches that are left as they are.
        add: show the samples too, in the same batch, which is then twice as long.
    """

    real_share: float = 0.0
    add: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.real_share < 1:
            raise ValueError(f"real_share: {self.real_share} is not in [0, 1)")

    @abstractmethod
    def draw(self, random: np.random.Generator, inputs: Tensor) -> Drawn:
        """Return what to do with a batch."""

    def __call__(self, batch: Batch, number: int, *, num_classes: int = 0) -> Batch:
        random = counter_rng(batch.view.seed, batch.view.epoch, number)
        if random.random() < self.real_share:
            return batch
        drawn = self.draw(random, batch.inputs)
        labels = None
        if num_classes and batch.labels is not None:
            labels = drawn.labels(targets(batch.labels, num_classes))
        beyond = replace(
            batch,
            inputs=drawn.inputs(batch.inputs),
            labels=labels,
            index=batch.index[:0],
            extra_views={name: drawn.inputs(inputs) for name, inputs in batch.extra_views.items()},
            renormalise=self.renormalise,
        )
        return _beside(batch, beyond, num_classes) if self.add else beyond

    @property
    def renormalise(self) -> bool:
        """Whether terms that cannot be applied hand their weight to the others."""
        return False

    def rows(self, batch_size: int) -> int:
        """Return how many rows it makes of a full batch."""
        return 2 * batch_size if self.add else batch_size

    @property
    def goes_beyond(self) -> bool:
        """Whether there are batches that show no sample."""
        return not self.add

    @property
    def mixes_rows(self) -> bool:
        """Whether what becomes of a row depends on the others of its batch, or on its place among them."""
        return True


@dataclass(frozen=True)
class Mixup(MixedInputs):
    """weight x + (1 - weight) x' with a random partner x', weight from Beta(alpha, alpha).

    Source: Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: Beyond Empirical Risk Minimization" (ICLR 2018, arXiv 1710.09412).

    Args:
        real_share: see `MixedInputs`.
        add: see `MixedInputs`.
        alpha: above 0; 1: uniform weights; near 0: weights near 0 or 1.
        per_sample: one weight a row instead of one a batch.
    """

    alpha: float = 1.0
    per_sample: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_alpha(self.alpha)

    def draw(self, random: np.random.Generator, inputs: Tensor) -> Drawn:
        """Return what to do with a batch."""
        weight = draw_weights(random, self.alpha, len(inputs) if self.per_sample else 1).to(inputs.device)
        partner = _partner(random, inputs)
        return Drawn(
            lambda values: lerp_rows(values, partner, weight.reshape(-1, *(1,) * (values.ndim - 1))),
            lambda labels: lerp_rows(labels, partner, weight[:, None]),
        )


@dataclass(frozen=True)
class FunctionMatching(MixedInputs):
    """Mixup with the next row: one weight a batch, max(u, 1 - u) with u uniform.

    Source: Beyer, Zhai, Royer, Markeeva, Anil, Kolesnikov, "Knowledge distillation: A good teacher is patient and consistent"
    (CVPR 2022, arXiv 2106.05237).
    """

    def draw(self, random: np.random.Generator, inputs: Tensor) -> Drawn:
        """Return what to do with a batch."""
        uniform = random.random()
        weight = torch.tensor(max(uniform, 1 - uniform), device=inputs.device)
        partner = torch.arange(len(inputs), device=inputs.device).roll(1)

        def mixed(values: Tensor) -> Tensor:
            return lerp_rows(values, partner, weight)

        return Drawn(mixed, mixed)


@dataclass(frozen=True)
class CutMix(MixedInputs):
    """A box of a random partner pasted over each image, the same box for the whole batch.

    Source: Yun, Han, Oh, Chun, Choe, Yoo, "CutMix" (ICCV 2019, arXiv 1905.04899): labels are mixed by the area that was
    really pasted.

    Args:
        real_share: see `MixedInputs`; the paper trains with 0.5.
        add: see `MixedInputs`.
        alpha: of Beta(alpha, alpha), which 1 - the box's share of the area is drawn from.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_alpha(self.alpha)

    def check(self, sample_shape: tuple[int, ...]) -> None:
        """Check that samples are images."""
        _check_images(sample_shape, "cutmix")

    def draw(self, random: np.random.Generator, inputs: Tensor) -> Drawn:
        """Return what to do with a batch."""
        share = float(draw_weights(random, self.alpha, 1))
        partner = _partner(random, inputs)
        weights = box_weights(random, share, *inputs.shape[-2:]).to(inputs.device)
        return _by_pixel(partner, weights)


@dataclass(frozen=True)
class MixPatch(MixedInputs):
    """Mixup patch by patch: every square patch has a weight of its own, the same for the whole batch.

    Source: Deng, Zheng, Zhang, "Personalized Education: Blind Knowledge Distillation" (ECCV 2022), section 3.

    Args:
        real_share: see `MixedInputs`.
        add: see `MixedInputs`.
        alpha: of Beta(alpha, alpha), which each patch's weight is drawn from.
        patch_size: side of a patch in pixels, a divisor of the images' sides; None: half their height. As large as the
            image: mixup.
    """

    alpha: float = 1.0
    patch_size: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_alpha(self.alpha)

    def check(self, sample_shape: tuple[int, ...]) -> None:
        """Check that samples are images that the patches tile."""
        _check_images(sample_shape, "mixpatch")
        height, width = sample_shape[-2:]
        size = self.side(height)
        if size < 1 or height % size or width % size:
            raise UsageError(f"inputs.patch_size: {size} does not divide images of {height} x {width}")

    def side(self, height: int) -> int:
        """Return the side of a patch in images of some height."""
        return height // 2 if self.patch_size is None else self.patch_size

    def draw(self, random: np.random.Generator, inputs: Tensor) -> Drawn:
        """Return what to do with a batch."""
        height, width = inputs.shape[-2:]
        size = self.side(height)
        each = draw_weights(random, self.alpha, (height // size) * (width // size))
        return _by_pixel(_partner(random, inputs), patch_weights(each, size, height, width).to(inputs.device))


@dataclass(frozen=True)
class KDPlus(MixedInputs):
    """Real batches with their labels, and in between MixPatch batches with the teacher's answer only, at full weight.

    Source: Deng, Zheng, Zhang, "Personalized Education: Blind Knowledge Distillation" (ECCV 2022), whose code is complete.
    That KD+ (Deng, Zhang, "Can Students Outperform Teachers in Knowledge Distillation based Model Compression?", 2021), which
    released none, is this method with a fixed region is an inference, not something its authors say.

    Args:
        real_share: share of batches that are left as they are; 0.3 or 0.1 in the released commands.
        add: see `MixedInputs`.
        alpha: of MixPatch, where the search starts if there is one.
        patch_size: of MixPatch, where the search starts if there is one.
        search: look for the region (alpha, patch_size) where student and teacher disagree most, again and again.
        alphas: of the search.
        patch_sizes: of the search; empty: the images' height and half of it.
        search_every: epochs between two searches; below 1: share of the run. Published: 50 of 240 epochs.
        search_temperature: at which disagreement is measured, as KL.
        match: what stays as it would be without this policy: "total_batches", the number of steps, or, as published,
            "real_batches": the run is 1 / real_share times as long.
    """

    real_share: float = 0.3
    alpha: float = 1.0
    patch_size: int | None = None
    search: bool = False
    alphas: tuple[float, ...] = (0.1, 0.5, 1.0)
    patch_sizes: tuple[int, ...] = ()
    search_every: float = 50 / 240
    search_temperature: float = 4.0
    match: Match = "total_batches"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.real_share == 0:
            raise ValueError("real_share: 0 would leave no batch with labels")
        for alpha in (self.alpha, *self.alphas):
            _check_alpha(alpha)
        for name, value in (("search_every", self.search_every), ("search_temperature", self.search_temperature)):
            if not value > 0:
                raise ValueError(f"{name}: {value} is not above 0")

    def check(self, sample_shape: tuple[int, ...]) -> None:
        """Check that samples are images that all patches tile."""
        for size in (self.patch_size, *(self.patch_sizes if self.search else ())):
            MixPatch(patch_size=size).check(sample_shape)

    def draw(self, random: np.random.Generator, inputs: Tensor) -> Drawn:
        """Return what to do with a batch."""
        return MixPatch(alpha=self.alpha, patch_size=self.patch_size).draw(random, inputs)

    @property
    def renormalise(self) -> bool:
        """Whether terms that cannot be applied hand their weight to the others."""
        return True


@dataclass(frozen=True)
class Noise(MixedInputs):
    """Normal noise added to the normalised inputs, drawn anew for each entry.

    Args:
        real_share: see `MixedInputs`.
        add: see `MixedInputs`.
        deviation: standard deviation of the noise, in units of the normalised inputs.
    """

    deviation: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.deviation > 0:
            raise ValueError(f"deviation: {self.deviation} is not above 0")

    def draw(self, random: np.random.Generator, inputs: Tensor) -> Drawn:
        """Return what to do with a batch."""

        def noisy(values: Tensor) -> Tensor:
            noise = torch.from_numpy(random.standard_normal(values.shape, dtype=np.float32))
            return values + self.deviation * noise.to(values.device)

        return Drawn(noisy, lambda labels: labels)


def _partner(random: np.random.Generator, inputs: Tensor) -> Tensor:
    return torch.from_numpy(random.permutation(len(inputs))).to(inputs.device)


def _by_pixel(partner: Tensor, weights: Tensor) -> Drawn:
    return Drawn(
        lambda values: lerp_rows(values, partner, weights),
        lambda labels: lerp_rows(labels, partner, weights.mean()),
    )


def _beside(batch: Batch, beyond: Batch, num_classes: int) -> Batch:
    """Return samples and inputs beyond them as one batch, samples first."""
    labels = batch.labels
    if labels is not None and beyond.labels is not None:
        labels = torch.cat([targets(labels, num_classes), beyond.labels])
    return replace(
        beyond,
        inputs=torch.cat([batch.inputs, beyond.inputs]),
        labels=labels,
        index=batch.index,
        extra_views={name: torch.cat([inputs, beyond.extra_views[name]]) for name, inputs in batch.extra_views.items()},
        renormalise=False,
    )


def _check_alpha(alpha: float) -> None:
    if not alpha > 0:
        raise ValueError(f"alpha: {alpha} is not above 0")


def _check_images(sample_shape: tuple[int, ...], name: str) -> None:
    if len(sample_shape) != 3:
        raise UsageError(f"inputs: {name} works on images, and the inputs have shape {sample_shape}")


POLICIES: dict[str, type[Policy]] = {
    "real": PlainInputs,
    "mixup": Mixup,
    "cutmix": CutMix,
    "mixpatch": MixPatch,
    "kd_plus": KDPlus,
    "function_matching": FunctionMatching,
    "noise": Noise,
}
