"""A loop of your own with parts of the library: a loader, an input policy, a loss, an assessment."""

import torch

import preceptor
from preceptor.assessment import compare, measure
from preceptor.data import Loader, LoaderSettings, load, plain_batches
from preceptor.data.augment.mixtures import Mixup
from preceptor.objectives.distill import DKD

data = load("digits")
teacher = preceptor.teach(data=data, model="convnet_m", epochs=8, out="runs/loop-teacher", overwrite=True).model.eval()
student = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
optimizer = torch.optim.AdamW(student.parameters(), lr=3e-3)
cpu, dkd = torch.device("cpu"), DKD(temperature=4.0)
loader = Loader(
    data.train, LoaderSettings(batch_size=64, view="none", normalisation=data.normalisation, seed=0, device=cpu)
)
mixup = Mixup(alpha=0.5, real_share=0.5)

for epoch in range(1, 16):
    for number, batch in enumerate(loader.batches(epoch)):
        mixed = mixup(batch, number)  # half of the batches; mixed ones have no labels
        with torch.no_grad():
            teacher_logits = teacher(mixed.inputs)
        labels = mixed.labels if mixed.labels is not None else teacher_logits.argmax(1)
        loss = dkd(student(mixed.inputs), teacher_logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

with torch.no_grad():
    inputs = torch.cat([batch.inputs for batch in plain_batches(data.test, data.normalisation, 256, cpu)])
    logits, teacher_logits = student(inputs), teacher(inputs)
print(
    f"test accuracy {measure(logits, data.test.labels).accuracy:.3f}, NLL {measure(logits, data.test.labels).nll:.3f}"
)
print(f"agrees with its teacher on {100 * compare(logits, teacher_logits, data.test.labels).agreement:.1f} %")
