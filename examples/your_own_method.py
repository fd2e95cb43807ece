"""Your own method: a module with `loss(step)`, in a sum with others, trained by the library's loop."""

import torch
from torch import Tensor

import preceptor
from preceptor.objectives.base import Objective, teacher_outputs
from preceptor.objectives.teacher import CrossEntropy
from preceptor.objectives.weighted import Sum
from preceptor.types import Step


class LogitDistance(Objective):
    """Mean squared distance of centred logits: what KD becomes at a high temperature."""

    def forward(self, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
        student = student_logits - student_logits.mean(1, keepdim=True)
        teacher = teacher_logits - teacher_logits.mean(1, keepdim=True)
        return (student - teacher.detach()).square().mean()

    def loss(self, step: Step) -> Tensor:
        """Say where the tensors come from."""
        distance: Tensor = self(step.student.logits.float(), teacher_outputs(step).logits.float())
        return distance


teacher = preceptor.teach(data="digits", model="convnet_m", epochs=8, out="runs/method-teacher", overwrite=True)
method = Sum(cross_entropy=(0.1, CrossEntropy()), distance=(0.9, LogitDistance()))
student = preceptor.distill(
    data="digits",
    teacher=teacher,
    model="convnet_s",
    method=method,
    epochs=8,
    out="runs/method-student",
    overwrite=True,
)
print(f"teacher {teacher.metrics.accuracy:.3f}, student {student.metrics.accuracy:.3f}")

own_loop = method.objectives["distance"](torch.randn(8, 10), torch.randn(8, 10))  # the same loss in a loop of your own
print(f"loss of random logits {own_loop.item():.3f}")
