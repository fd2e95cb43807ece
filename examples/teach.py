"""Train a student-oriented teacher on handwritten digits."""

import preceptor

teacher = preceptor.teach(
    data="digits", model="convnet_m", objective="soteacher", out="runs/example-teacher", overwrite=True
)
print(f"{teacher.metrics.accuracy:.3f} accuracy, {teacher.metrics.ece:.3f} ECE, in {teacher.path}")
