"""The library's losses in a subclass of transformers' Trainer (pip install 'preceptor[hf]' accelerate)."""

from preceptor.extras import fit_torchvision

fit_torchvision()  # before transformers, which imports torchvision: for a torchvision that does not fit torch

from typing import Any

import torch
from torch.nn.functional import interpolate
from transformers import Trainer, TrainingArguments, ViTConfig, ViTForImageClassification

import preceptor
from preceptor.data import load
from preceptor.objectives.distill import KD

data = load("digits")
teacher = preceptor.teach(
    data=data, model="convnet_m", epochs=8, out="runs/trainer-teacher", overwrite=True
).model.eval()


def rows(split: Any) -> list[dict[str, torch.Tensor]]:
    inputs = data.normalisation(split.inputs(torch.arange(len(split))))
    return [{"pixel_values": image, "labels": label} for image, label in zip(inputs, split.labels, strict=True)]


class DistillationTrainer(Trainer):
    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        pixels, labels = inputs["pixel_values"], inputs["labels"]
        outputs = model(pixel_values=interpolate(pixels, 16), labels=labels)
        with torch.no_grad():
            teacher_logits = teacher(pixels)
        loss = 0.1 * outputs.loss + 0.9 * KD(temperature=4.0)(outputs.logits, teacher_logits)
        return (loss, outputs) if return_outputs else loss


student = ViTForImageClassification(
    ViTConfig(
        image_size=16,
        patch_size=4,
        num_channels=1,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        num_labels=10,  # type: ignore[call-arg]
    )
)
settings = TrainingArguments(
    "runs/trainer",
    num_train_epochs=25,
    per_device_train_batch_size=64,
    learning_rate=3e-3,
    report_to=[],
    save_strategy="no",
    use_cpu=True,
)
trainer = DistillationTrainer(student, settings, train_dataset=rows(data.train), eval_dataset=rows(data.test))
trainer.train()
output = trainer.predict(rows(data.test))  # type: ignore[arg-type]
print(
    f"test accuracy {(torch.from_numpy(output.predictions).argmax(1) == data.test.labels).double().mean().item():.3f}"
)
