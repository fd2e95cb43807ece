"""What a run costs, and how fast this machine is."""

from __future__ import annotations

import pytest

from preceptor.config.sections import DataSection, LabelRecipe, ModelSection, TeacherSection
from preceptor.experiments.recipes import recipe_of
from preceptor.runner.cost import Speed, cost_of, cost_of_labels, measure_speed

WORDS = ("data=digits", "data.limit=100", "data.test_limit=50", "model=mlp", "model.widths=[8]")
FORWARD = 2 * (64 * 8 + 8 * 10)  # a multiply-add is two
PARAMETERS = 64 * 8 + 8 + 8 * 10 + 10


def test_a_teacher_costs_three_forward_passes_a_row_and_a_student_its_teachers_too() -> None:
    teacher = recipe_of("teach", (*WORDS, "epochs=3"))
    cost = cost_of(teacher)  # type: ignore[arg-type]
    assert (cost.flops, cost.epochs) == (3 * FORWARD * 100 * 3, 3)
    assert cost.bytes == 4 * PARAMETERS * 3  # result, checkpoint, momentum
    student = recipe_of("distill", (*WORDS, "epochs=3", "teacher=x"), "mlp")
    network = ModelSection.model_validate({"name": "mlp", "widths": (4,)})
    assert cost_of(student, network).flops == cost.flops + 2 * (64 * 4 + 4 * 10) * 100 * 3  # type: ignore[arg-type]
    assert cost_of(student, network, stored=True).flops == cost.flops  # type: ignore[arg-type]
    sampled = recipe_of(
        "distill", (*WORDS, "epochs=3", "teacher=x", "teacher.posterior=swag", "teacher.samples=5"), "mlp"
    )
    assert cost_of(sampled, network).flops == cost.flops + 5 * 2 * (64 * 4 + 4 * 10) * 100 * 3  # type: ignore[arg-type]


def test_a_teacher_of_few_labels_costs_those_rows_and_its_student_all() -> None:
    few = ("data.labelled_fraction=0.1", "epochs=3")
    teacher, all_rows = recipe_of("teach", (*WORDS, *few)), recipe_of("teach", (*WORDS, "epochs=3"))
    assert cost_of(teacher).flops == cost_of(all_rows).flops / 10  # type: ignore[arg-type]
    student = recipe_of("distill", (*WORDS, *few, "teacher=x"), "mlp")
    assert cost_of(student).flops == cost_of(all_rows).flops  # type: ignore[arg-type]
    slow, fast = measure_speed(teacher, threads=1), measure_speed(all_rows, threads=1)  # type: ignore[arg-type]
    assert slow.flops_per_second > fast.flops_per_second / 5  # not that of batches of a few rows


@pytest.mark.parametrize(
    ("words", "epochs", "copies"),
    [
        ((), 40, 3),  # as the data's protocol says
        (("epochs=4", "stop_at=2"), 2, 3),
        (("epochs=4", "stop_at=best_val_nll"), 4, 4),
        (("epochs=4", "optim=adamw"), 4, 4),
        (("epochs=4", "inputs=kd_plus", "inputs.match=real_batches", "inputs.real_share=0.5"), 8, 3),
    ],
)
def test_length_and_disk_follow_the_recipe(words: tuple[str, ...], epochs: int, copies: int) -> None:
    cost = cost_of(recipe_of("teach", (*WORDS, *words)))  # type: ignore[arg-type]
    assert (cost.epochs, cost.bytes) == (epochs, 4 * PARAMETERS * copies)
    assert cost_of(recipe_of("teach", (*WORDS, *words)), kept=2).bytes == 4 * PARAMETERS * (copies + 2)  # type: ignore[arg-type]


def test_stored_outputs_cost_a_forward_pass_a_view() -> None:
    recipe = LabelRecipe(data=DataSection(name="digits", limit=100), teacher=TeacherSection(path="t"), out="x", views=2)
    cost = cost_of_labels(recipe, ModelSection.model_validate({"name": "mlp", "widths": (8,)}))
    assert (cost.flops, cost.bytes) == (FORWARD * 100 * 2, 10 * 2 * 100 * 2)


def test_the_speed_is_that_of_a_short_training() -> None:
    speed = measure_speed(recipe_of("teach", (*WORDS, "batch_size=10")), threads=1)  # type: ignore[arg-type]
    assert speed.flops_per_second > 0
    assert 0 < speed.start_seconds < 100
    assert Speed(2.0, 5.0).seconds(cost_of(recipe_of("teach", (*WORDS, "epochs=1")))) == 5 + 3 * FORWARD * 100 / 2  # type: ignore[arg-type]
