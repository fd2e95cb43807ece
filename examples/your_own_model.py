"""Your own networks and data: any module that returns logits, any Dataset of (input, label).

The teacher's `body.5` teaches the student's `layers.4`: features are named by dotted module path.
"""

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import preceptor


class Teacher(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
            *(nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.BatchNorm2d(64), nn.ReLU()),
        )
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(images).mean((2, 3)))
        return logits


class Student(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3, stride=2), nn.ReLU()
        )
        self.head = nn.Linear(16, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.layers(images).mean((2, 3)))
        return logits


table = load_digits()
images = torch.tensor(table.images, dtype=torch.float32)[:, None] / 16
data = TensorDataset(images, torch.tensor(table.target))

teacher = preceptor.teach(data=data, model=Teacher(), epochs=15, out="runs/own-teacher", overwrite=True)
student = preceptor.distill(
    data=data,
    teacher=teacher,
    model=Student(),
    method={"name": "at", "weight": 100.0, "pairs": {"layers.4": "body.5"}, "kd": {"weight": 1.0}},
    epochs=15,
    out="runs/own-student",
    overwrite=True,
)
print(f"teacher {teacher.metrics.accuracy:.3f}, student {student.metrics.accuracy:.3f}")
