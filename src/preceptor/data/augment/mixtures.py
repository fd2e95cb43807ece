"""The ways to mix the inputs of a batch: Mixup, CutMix, MixPatch, function matching; and noise added to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from preceptor.data.augment.mixed_inputs import MixedInputs, Mixing
from preceptor.data.augment.mixing import box_weights, draw_weights, lerp_rows, patch_weights, upload
from preceptor.errors import UsageError

__all__ = ["CutMix", "FunctionMatching", "MixPatch", "Mixup", "Noise", "check_alpha"]


@dataclass(frozen=True)
class Mixup(MixedInputs):
    """weight x + (1 - weight) x' with a random partner x', weight from Beta(alpha, alpha).

    Source: Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: Beyond Empirical Risk Minimization" (ICLR 2018, arXiv 1710.09412).

    Args:
        real_share: see `MixedInputs`.
        add: see `MixedInputs`.
        alpha: above 0; 1: uniform weights; near 0: weights near 0 or 1.
        per_sample: one weight per row instead of one per batch.
    """

    alpha: float = 1.0
    per_sample: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_alpha(self.alpha)

    def draw(self, random: np.random.Generator, inputs: Tensor) -> Mixing:
        """Return how to mix a batch."""
        weight = upload(draw_weights(random, self.alpha, len(inputs) if self.per_sample else 1), inputs.device)
        partner = _partner(random, inputs)
        return Mixing(
            lambda values: lerp_rows(values, partner, weight.reshape(-1, *(1,) * (values.ndim - 1))),
            lambda labels: lerp_rows(labels, partner, weight[:, None]),
        )


@dataclass(frozen=True)
class FunctionMatching(MixedInputs):
    """Mixup with the next row: one weight per batch, max(u, 1 - u) with u uniform.

    Source: Beyer, Zhai, Royer, Markeeva, Anil, Kolesnikov, "Knowledge distillation: A good teacher is patient and consistent"
    (CVPR 2022, arXiv 2106.05237).
    """

    def draw(self, random: np.random.Generator, inputs: Tensor) -> Mixing:
        """Return how to mix a batch."""
        uniform = random.random()
        weight = upload(torch.tensor(max(uniform, 1 - uniform)), inputs.device)
        partner = torch.arange(len(inputs), device=inputs.device).roll(1)

        def mixed(values: Tensor) -> Tensor:
            return lerp_rows(values, partner, weight)

        return Mixing(mixed, mixed)


@dataclass(frozen=True)
class CutMix(MixedInputs):
    """A box of a random partner pasted over each image, the same box for the whole batch.

    Source: Yun, Han, Oh, Chun, Choe, Yoo, "CutMix" (ICCV 2019, arXiv 1905.04899): labels are mixed by the area
    actually pasted.

    Args:
        real_share: see `MixedInputs`; the paper trains with 0.5.
        add: see `MixedInputs`.
        alpha: of Beta(alpha, alpha), the distribution of 1 - the box's share of the area.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_alpha(self.alpha)

    def check(self, sample_shape: tuple[int, ...]) -> None:
        """Check that samples are images."""
        _check_images(sample_shape, "cutmix")

    def draw(self, random: np.random.Generator, inputs: Tensor) -> Mixing:
        """Return how to mix a batch."""
        share = float(draw_weights(random, self.alpha, 1))
        partner = _partner(random, inputs)
        weights = upload(box_weights(random, share, *inputs.shape[-2:]), inputs.device)
        return _by_pixel(partner, weights)


@dataclass(frozen=True)
class MixPatch(MixedInputs):
    """Mixup patch by patch: every square patch has its own weight, the same for the whole batch.

    Source: Deng, Zheng, Zhang, "Personalized Education: Blind Knowledge Distillation" (ECCV 2022), section 3.

    Args:
        real_share: see `MixedInputs`.
        add: see `MixedInputs`.
        alpha: of Beta(alpha, alpha), the distribution of each patch's weight.
        patch_size: side of a patch in pixels, a divisor of the images' sides; None: half their height. As large as the
            image: mixup.
    """

    alpha: float = 1.0
    patch_size: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_alpha(self.alpha)

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

    def draw(self, random: np.random.Generator, inputs: Tensor) -> Mixing:
        """Return how to mix a batch."""
        height, width = inputs.shape[-2:]
        size = self.side(height)
        weights = draw_weights(random, self.alpha, (height // size) * (width // size))
        return _by_pixel(_partner(random, inputs), upload(patch_weights(weights, size, height, width), inputs.device))


@dataclass(frozen=True)
class Noise(MixedInputs):
    """Normal noise added to the normalised inputs, drawn for each entry.

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

    def draw(self, random: np.random.Generator, inputs: Tensor) -> Mixing:
        """Return how to mix a batch."""

        def noisy(values: Tensor) -> Tensor:
            noise = torch.from_numpy(random.standard_normal(values.shape, dtype=np.float32))
            return values + self.deviation * upload(noise, values.device)

        return Mixing(noisy, lambda labels: labels)


def _partner(random: np.random.Generator, inputs: Tensor) -> Tensor:
    return upload(torch.from_numpy(random.permutation(len(inputs))), inputs.device)


def _by_pixel(partner: Tensor, weights: Tensor) -> Mixing:
    return Mixing(
        lambda values: lerp_rows(values, partner, weights),
        lambda labels: lerp_rows(labels, partner, weights.mean()),
    )


def check_alpha(alpha: float) -> None:
    """Check the parameter of a Beta distribution.

    Raises:
        ValueError: when it is not above 0.
    """
    if not alpha > 0:
        raise ValueError(f"alpha: {alpha} is not above 0")


def _check_images(sample_shape: tuple[int, ...], name: str) -> None:
    if len(sample_shape) != 3:
        raise UsageError(f"inputs: {name} works on images, and the inputs have shape {sample_shape}")
