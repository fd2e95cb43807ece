"""The usual research loop, as in most released distillation code: the baseline of the comparison.

Plain and fair: a DataLoader with worker processes that augment sample by sample (pad, crop, flip, to float, normalise),
both networks in float32, torch's SGD, running averages of loss and accuracy.
"""

from __future__ import annotations

import os
import random
from collections.abc import Generator

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from preceptor.bench.job import Job, images
from preceptor.models import create

__all__ = ["baseline_steps"]

_TEMPERATURE = 4.0


class _Images(Dataset[tuple[Tensor, int]]):
    def __init__(self, job: Job) -> None:
        split, normalisation = images(job)
        self._pixels = split.values.permute(0, 2, 3, 1).contiguous().numpy()
        self._labels = split.labels.tolist()
        self._mean = torch.tensor(normalisation.mean).reshape(3, 1, 1)
        self._std = torch.tensor(normalisation.std).reshape(3, 1, 1)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        image = ImageOps.expand(Image.fromarray(self._pixels[row]), border=4, fill=0)
        left, top = random.randint(0, 8), random.randint(0, 8)
        image = image.crop((left, top, left + 32, top + 32))
        if random.random() < 0.5:
            image = ImageOps.mirror(image)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        return pixels.sub(self._mean).div(self._std), self._labels[row]


class _Average:
    def __init__(self) -> None:
        self.sum = 0.0
        self.count = 0

    def update(self, value: float, count: int) -> None:
        self.sum += value * count
        self.count += count


def baseline_steps(job: Job, device: torch.device) -> Generator[float, None, None]:
    """Train without end, yielding each step's loss."""
    teacher = create(job.teacher, num_classes=job.num_classes, input_shape=(3, 32, 32)).to(device).eval()
    student = create(job.student, num_classes=job.num_classes, input_shape=(3, 32, 32)).to(device).train()
    cross_entropy = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    loader = DataLoader(
        _Images(job), batch_size=job.batch_size, shuffle=True, num_workers=min(8, os.cpu_count() or 1), drop_last=True
    )
    losses, top1, top5 = _Average(), _Average(), _Average()
    while True:
        for pixels, labels in loader:
            inputs, targets = pixels.float().to(device), labels.to(device)
            logits = student(inputs)
            with torch.no_grad():
                teacher_logits = teacher(inputs)
            soft = functional.softmax(teacher_logits / _TEMPERATURE, dim=1)
            divergence = functional.kl_div(
                functional.log_softmax(logits / _TEMPERATURE, dim=1), soft, reduction="batchmean"
            )
            loss = 0.1 * cross_entropy(logits, targets) + 0.9 * divergence * _TEMPERATURE**2
            correct = logits.topk(min(5, job.num_classes), 1).indices.eq(targets[:, None])
            value = loss.item()
            losses.update(value, len(targets))
            top1.update(correct[:, :1].sum().item() / len(targets), len(targets))
            top5.update(correct.sum().item() / len(targets), len(targets))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield value
