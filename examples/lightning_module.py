"""The library's losses in a Lightning module (pip install lightning)."""

from preceptor.extras import fit_torchvision

fit_torchvision()  # before lightning, which imports torchvision: for a torchvision that does not fit torch

import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

import preceptor
from preceptor.data import load
from preceptor.objectives.distill import KD
from preceptor.objectives.teacher import CrossEntropy

data = load("digits")
rows = torch.arange(len(data.train))
train = TensorDataset(data.normalisation(data.train.inputs(rows)), data.train.labels)
teacher = preceptor.teach(data=data, model="convnet_m", epochs=8, out="runs/lightning-teacher", overwrite=True).model


class Distillation(lightning.LightningModule):
    def __init__(self, student: torch.nn.Module, teacher: torch.nn.Module) -> None:
        super().__init__()
        self.student = student
        self.teachers = [teacher.eval().requires_grad_(False)]  # in a list, so that it is neither trained nor saved
        self.kd, self.cross_entropy = KD(temperature=4.0), CrossEntropy()

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], number: int) -> torch.Tensor:
        inputs, labels = batch
        student, teacher = self.student(inputs), self.teachers[0](inputs)
        loss: torch.Tensor = 0.1 * self.cross_entropy(student, labels) + 0.9 * self.kd(student, teacher)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.student.parameters(), lr=3e-3)


student = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
trainer = lightning.Trainer(
    max_epochs=10, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
)
trainer.fit(Distillation(student, teacher), DataLoader(train, batch_size=64, shuffle=True))
test = data.normalisation(data.test.inputs(torch.arange(len(data.test))))
print(f"test accuracy {(student(test).argmax(1) == data.test.labels).double().mean().item():.3f}")
