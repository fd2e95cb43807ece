"""Distil a small student from the teacher of teach.py, and read its results."""

import preceptor

teacher = "runs/example-teacher"  # written by teach.py
student = preceptor.distill(
    data="digits", teacher=teacher, model="convnet_s", method="dkd", out="runs/example-student", overwrite=True
)

metrics = student.metrics
print(f"accuracy {metrics.accuracy:.3f}, NLL {metrics.nll:.3f}, Brier {metrics.brier:.3f}, ECE {metrics.ece:.3f}")
print(f"{student.record.images_per_second:.0f} images/s; everything is in {student.path}")

network = preceptor.load(student.path)  # a plain nn.Module in eval mode
print(sum(parameter.numel() for parameter in network.parameters()), "parameters")
