"""Overhaul of feature distillation: match the teacher's maps before the ReLU, where they matter after it.

Source: Heo, Kim, Yun, Park, Kwak, Choi, "A Comprehensive Overhaul of Feature Distillation" (ICCV 2019, arXiv 1904.01866),
equations 2 to 6; connectors of 1x1 convolution and batch-norm, weights 2^(i - n + 1) by level.
Differs from the authors' code: the teacher stays in eval mode; where no batch-norm stands before the ReLU, the margin is the
mean of the negative values that a dry forward pass shows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from preceptor.divergences import promote
from preceptor.models import FeatureNetwork
from preceptor.objectives.base import BuildContext
from preceptor.objectives.connectors import pool_to
from preceptor.objectives.features import Pairing, maps_of
from preceptor.objectives.paired import PairedObjective
from preceptor.objectives.tensor_checks import check_levels, check_shapes

__all__ = ["OFD", "ofd_loss", "ofd_margin"]

_RARE = 1e-3  # below this chance of a negative value the margin is -3 standard deviations


def ofd_loss(
    student_map: Float[Tensor, "batch channels height width"],
    teacher_map: Float[Tensor, "batch channels height width"],
    margin: Float[Tensor, " channels"],
) -> Float[Tensor, ""]:
    """Return sum of (S - max(T, margin))^2 where S > max(T, margin) or T > 0.

    Args:
        student_map: before the ReLU, after the connector.
        teacher_map: before the ReLU; constant in the gradient.
        margin: negative, one per channel: below it the teacher's values are not told apart.

    Returns:
        a sum over channels and positions, batch mean, so it grows with the map; 0 where they are equal, and where the teacher
        is off and the student not above its margin.

    Raises:
        ValueError: for maps whose shapes differ, or a margin that is not one per channel.

    Examples:
        >>> ofd_loss(torch.tensor([[[[-5.0, 1.0]]]]), torch.tensor([[[[-9.0, -9.0]]]]), torch.tensor([-1.0])).item()
        4.0
    """
    check_shapes(student_map, teacher_map, "student_map and teacher_map", " (after the connector)")
    if margin.shape != teacher_map.shape[1:2]:
        raise ValueError(f"margin: shape {tuple(margin.shape)} for maps of {teacher_map.shape[1]} channels")
    student, teacher = promote(student_map), promote(teacher_map.detach())
    target = torch.maximum(teacher, margin.to(teacher)[:, None, None])
    counts = (student > target) | (teacher > 0)
    return torch.where(counts, student - target, 0.0).square().sum() / len(student)


def ofd_margin(weight: Float[Tensor, " channels"], bias: Float[Tensor, " channels"]) -> Float[Tensor, " channels"]:
    """Return E[x | x < 0] for x normal with mean `bias` and standard deviation |weight|, as a batch-norm gives them.

    Where x < 0 has a chance of at most 0.001 it is -3 |weight|; where the weight is 0, min(bias, 0).

    Examples:
        >>> round(ofd_margin(torch.ones(1), torch.zeros(1)).item(), 4)  # -sqrt(2 / pi)
        -0.7979
    """
    mean, deviation = bias.double(), weight.double().abs()
    ratio = mean / deviation.clamp_min(1e-300)
    log_density = -ratio.square() / 2 - math.log(2 * math.pi) / 2
    log_below = torch.special.log_ndtr(-ratio)
    margin = mean - deviation * torch.exp(log_density - log_below)
    margin = torch.where(log_below > math.log(_RARE), margin, -3 * deviation)
    return torch.where(deviation == 0, mean.clamp_max(0), margin).to(weight.dtype)


def _norm_before(network: nn.Module | None, name: str) -> nn.BatchNorm2d | None:
    """Return the last batch-norm in the module that gives a map, or beside the ReLU that the map enters."""
    path = network.preactivation_paths.get(name, name) if isinstance(network, FeatureNetwork) else name
    where = path.rpartition(".")[0] if path.endswith(":input") else path
    modules = {} if network is None else dict(network.named_modules(remove_duplicate=False))
    return _last_norm(modules[where]) if where and where in modules else None


def _last_norm(module: nn.Module) -> nn.BatchNorm2d | None:
    """Look among the module and its children first: a shortcut's norm, registered after the others, lies deeper."""
    children = list(module.children())[::-1]
    near = (layer for layer in (*children, module) if isinstance(layer, nn.BatchNorm2d))
    return next(near, None) or next((norm for child in children if (norm := _last_norm(child))), None)


class OFD(PairedObjective):
    """Partial distance of maps before the ReLU, the blocks paired from the end or as the user says."""

    multilabel = "as_is"

    def __init__(self, pairs: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.pairing = Pairing("ofd", pairs, which="from_the_end", student_preact=True, teacher_preact=True)
        self.connectors = nn.ModuleList()
        self._estimated: list[str] = []

    def forward(self, student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor]) -> Tensor:
        """Return the sum over levels of maps before the ReLU; after `build`."""
        check_levels(student_maps, teacher_maps)
        depth, losses = len(student_maps), []
        for level, (student, teacher, connector) in enumerate(
            zip(student_maps, teacher_maps, self.connectors, strict=True)
        ):
            mine = promote(connector(student))
            its = pool_to(promote(teacher), (mine.shape[2], mine.shape[3]))
            losses.append(2.0 ** (level - depth + 1) * ofd_loss(mine, its, self.get_buffer(f"margin{level}")))
        return torch.stack(losses).sum()

    def build(self, context: BuildContext) -> None:
        """Make the connectors, and the margins from the teacher's batch-norms."""
        device, names = context.student.logits.device, [name for _, name in self.pairing.pairs]
        connectors = []
        maps = maps_of(context.teacher, names, "teacher", "ofd")
        for level, ((mine, its), name, dry) in enumerate(zip(self.pairing.shapes(context), names, maps, strict=True)):
            conv = nn.Conv2d(mine[0], its[0], 1, bias=False)
            nn.init.normal_(conv.weight, std=math.sqrt(2 / its[0]))
            connectors.append(nn.Sequential(conv, nn.BatchNorm2d(its[0])))
            self.register_buffer(f"margin{level}", self._margin(context.teacher_model, name, dry).to(device))
        self.connectors = nn.ModuleList(connectors).to(device)

    def _margin(self, teacher: nn.Module | None, name: str, dry: Tensor) -> Tensor:
        norm = _norm_before(teacher, name)
        if norm is not None and norm.affine and norm.num_features == dry.shape[1]:
            return ofd_margin(norm.weight.detach().float(), norm.bias.detach().float())
        self._estimated.append(name)
        values = promote(dry).transpose(0, 1).flatten(1)
        return values.clamp_max(0).sum(1) / (values < 0).sum(1).clamp_min(1)

    def notes(self) -> tuple[str, ...]:
        """Name the pairs, and the margins that are estimates."""
        estimates = f"margins of {', '.join(self._estimated)} estimated from two samples: no batch-norm of their width"
        return (*self.pairing.notes(), *([estimates] if self._estimated else []))
