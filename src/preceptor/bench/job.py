"""The comparison: a pair of networks, a batch size, and the variants of training."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from preceptor.data import Arrays, Normalisation, load

__all__ = ["VARIANTS", "Job", "images"]

VARIANTS = {
    "baseline": "the usual research loop: float32, as written, samples augmented one by one",
    "plain": "preceptor, engine=plain: float32, not compiled, batches augmented at once",
    "auto": "preceptor, engine=auto in a short run: bf16 where the machine has it, not compiled",
    "graph": "the same on CUDA, each step one graph (graph=on)",
    "live": "preceptor, engine=fast: bf16 where the machine has it, compiled",
    "stored": "the same, the teacher's outputs read from a label store",
    "stored_graph": "graph, the teacher's outputs read from a label store",
}


@dataclass(frozen=True, slots=True)
class Job:
    """A comparison.

    Attributes:
        teacher: name of a network.
        student: name of a network.
        batch_size: rows per step.
        num_classes: width of the logits.
        views: of each sample in the label store.
        steps: per round; None: as many as take about two seconds.
        rounds: per variant, interleaved.
        variants: names from `VARIANTS`.
        root: folder of the unpacked CIFAR-100 files; None: random pixels of their shape.
        num_images: of an epoch, rounded up to full batches.
        device: a torch device, or "auto".
        threads: per process; None: torch's choice.
    """

    teacher: str = "wrn_40_2"
    student: str = "wrn_16_2"
    batch_size: int = 64
    num_classes: int = 100
    views: int = 1
    steps: int | None = None
    rounds: int = 5
    variants: tuple[str, ...] = ("baseline", "auto", "live", "stored")
    root: str | None = None
    num_images: int = 4096
    device: str = "auto"
    threads: int | None = None


def images(job: Job) -> tuple[Arrays, Normalisation]:
    """Return the images that every variant trains on, and their normalisation."""
    number = job.batch_size * math.ceil(job.num_images / job.batch_size)  # full batches only
    if job.root is not None:
        data = load("cifar100", validation=0.0, limit=number, options={"root": job.root})
        assert isinstance(data.train, Arrays)
        return data.train, data.normalisation
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (number, 3, 32, 32), dtype=torch.uint8, generator=random)
    labels = torch.randint(0, job.num_classes, (number,), generator=random)
    return Arrays(pixels, labels), Normalisation((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))
