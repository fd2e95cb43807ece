"""A teacher's network as several, or as one that knows how uncertain it is: `teacher.posterior`.

Source: Morad, Shlezinger, Eldar (ICLR 2026, arXiv 2601.01484): students learn more from
averaged probabilities of a posterior than from a single network.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from preceptor.artifacts.run_folder import RunFolder
from preceptor.artifacts.teachers import load_anchors
from preceptor.config.sections import TeacherSection
from preceptor.data import Data, plain_batches
from preceptor.errors import UsageError
from preceptor.models import DropoutOn, Laplace, Swag
from preceptor.training import Engine, update_batch_norm

__all__ = ["sample_posterior"]

_BATCH_SIZE = 256


def sample_posterior(
    networks: Sequence[nn.Module], section: TeacherSection, data: Data, engine: Engine, seed: int
) -> tuple[list[nn.Module], int]:
    """Return the networks of a teacher's posterior, and how often each is to run for a batch.

    Args:
        networks: the teacher as it was trained.
        section: names the posterior, and the run of its network.
        data: whose training split Laplace's curvature and the batch-norm statistics of SWAG's samples are measured on.
        engine: on which they run.
        seed: of SWAG's samples.

    Raises:
        UsageError: for several networks, or one of which no posterior can be made.
    """
    kind, samples = section.posterior, section.samples
    if kind is None:
        if samples is not None:
            raise UsageError(f"teacher.samples: {samples} samples of what? add teacher.posterior=dropout or swag")
        return list(networks), 1
    if len(networks) != 1:
        raise UsageError(f"teacher.posterior: {kind} is made of one network; {len(networks)} are an ensemble already")
    network = engine.place(networks[0]).eval()
    if kind == "laplace":
        if samples is not None:
            raise UsageError("teacher.samples: laplace needs none, its mean is known; leave it out")
        return [_laplace(network, data, engine)], 1
    if kind == "dropout":
        return [DropoutOn(network, section.passes)], section.passes
    return _swag(network, section, data, engine, seed), 1


def _laplace(network: nn.Module, data: Data, engine: Engine) -> nn.Module:
    if data.task == "multilabel":
        raise UsageError("teacher.posterior: laplace is defined for one class per sample; use dropout or swag")
    found = Laplace(network, data.num_classes).eval()
    batches = plain_batches(data.train, data.normalisation, _BATCH_SIZE, engine.device)
    found.fit(batch.inputs for batch in batches)
    return found


def _swag(network: nn.Module, section: TeacherSection, data: Data, engine: Engine, seed: int) -> list[nn.Module]:
    if not isinstance(section.path, str) or section.epoch is not None:
        raise UsageError("teacher.posterior: swag needs one run folder with kept epochs: teach with keep_every=1")
    epochs = sorted(RunFolder(section.path).kept_epochs())
    start = section.posterior_start
    first = start if start >= 1 else start * max(epochs, default=0)
    chosen = tuple(epoch for epoch in epochs if epoch >= first)
    if len(chosen) < 2:
        raise UsageError(
            f"teacher.posterior: swag needs at least two kept epochs from epoch {first:g} on, and {section.path} kept "
            f"{len(chosen)}; teach with keep_every=1, or set teacher.posterior_start"
        )
    kept = load_anchors(section.model_copy(update={"anchors": chosen}), data)
    gaussian = Swag.of([parameters_to_vector(each.parameters()).detach().float().cpu() for each in kept])
    random, found = torch.Generator().manual_seed(seed), []
    for _ in range(section.passes):
        noise = torch.randn(len(gaussian.mean), generator=random)
        sample = gaussian.sample(noise, torch.randn(len(gaussian.deviations), generator=random))
        member = copy.deepcopy(network)
        vector_to_parameters(sample.to(engine.device), member.parameters())
        batches = plain_batches(data.train, data.normalisation, _BATCH_SIZE, engine.device)
        update_batch_norm(member, batches, engine)
        found.append(member.eval())
    return found
