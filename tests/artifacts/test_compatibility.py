"""A network met by other data than it was trained on: other classes, other columns, other samples."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import preceptor
from preceptor.errors import UsageError

QUICK: dict[str, Any] = {"epochs": 1, "batch_size": 32, "device": "cpu", "progress": False}


def images(root: Path, names: tuple[str, ...], count: int = 10, seed: int = 0) -> str:
    generator = np.random.default_rng(seed)
    for shade, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for k in range(count):
            pixels = generator.integers(80 * shade, 80 * shade + 60, (8, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{k}.png")
    return f"folder:{root}"


def table(path: Path, *, factor: float = 1.0, seed: int = 0, names: tuple[str, str] = ("no", "yes")) -> str:
    generator = np.random.default_rng(seed)
    with path.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(("a", "colour", "b", "kind"))
        for _ in range(200):
            a, b = generator.normal(size=2)
            colour = "red" if generator.random() < 0.5 else "blue"
            writer.writerow((factor * a, colour, b, names[int(a > 0)]))
    return f"table:{path}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("agreement")


@pytest.fixture(scope="module")
def run(place: Path) -> preceptor.Result:
    data = images(place / "own", ("ant", "bee", "cow"))
    return preceptor.teach(data=data, model="convnet_s", out=place / "run", **QUICK)


@pytest.fixture(scope="module")
def rows(place: Path) -> preceptor.Result:
    data = {"name": table(place / "own.csv"), "target": "kind"}
    return preceptor.teach(data=data, model="mlp", out=place / "rows", **{**QUICK, "epochs": 20})


def calls(run: preceptor.Result, data: Any, out: Path) -> list[Any]:
    """Return everything that brings a run and some data together."""
    file = out / "exported.safetensors"
    preceptor.export(run, file)
    new: dict[str, Any] = {"data": data, "model": "convnet_s", "out": out / "new", **QUICK}
    return [
        lambda: preceptor.evaluate(run.path, data=data, progress=False),
        lambda: preceptor.evaluate(file, data=data, progress=False),
        lambda: preceptor.assess(run.path, data=data, progress=False),
        lambda: preceptor.assess(run, data=data, progress=False),
        lambda: preceptor.distill(teacher=run.path, **new),
        lambda: preceptor.distill(teacher=run, **new),
        lambda: preceptor.distill(teacher=file, **new),
        lambda: preceptor.label(teacher=run, data=data, out=out / "labels", progress=False),
        lambda: preceptor.teach(start_from=run, **new),
        lambda: preceptor.teach(start_from=file, **new),
    ]


def test_other_classes_are_refused_everywhere(run: preceptor.Result, tmp_path: Path) -> None:
    data = images(tmp_path / "other", ("ant", "cow", "dog"))
    for call in calls(run, data, tmp_path):
        with pytest.raises(
            UsageError, match=r"has other classes than data folder:.*: class 1 is 'bee' there and 'cow' here"
        ):
            call()
    assert not (tmp_path / "new").exists()


def test_the_same_classes_in_another_order_are_mapped_by_name(run: preceptor.Result, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    pictures = [Image.new("RGB", (8, 8), (k, 3 * k, 200 - k)) for k in range(30)]
    found = []
    for names in (["ant", "bee", "cow"], ["bee", "ant", "cow"]):
        features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
        labels = [names.index(("ant", "bee", "cow")[k % 3]) for k in range(30)]
        made = datasets.Dataset.from_dict({"image": pictures, "label": labels}, features=features)
        made.save_to_disk(str(tmp_path / names[0]))
        section = {"name": f"hf:{tmp_path / names[0]}", "validation": 0.0}
        found.append(preceptor.evaluate(run.path, data=section, progress=False))
    assert found[1].as_dict() == pytest.approx(found[0].as_dict(), abs=1e-6)


def test_other_numbers_of_classes_are_named(run: preceptor.Result, tmp_path: Path) -> None:
    data = images(tmp_path / "four", ("ant", "bee", "cow", "dog"))
    with pytest.raises(UsageError, match=r"has 3 classes, data folder:.* has 4 \(only here: dog\)"):
        preceptor.evaluate(run.path, data=data, progress=False)


def test_data_without_names_are_only_counted(run: preceptor.Result) -> None:
    inputs = np.random.default_rng(0).integers(0, 255, (30, 8, 8, 3)).astype(np.uint8)
    assert preceptor.evaluate(run.path, data=(inputs, np.arange(30) % 3), progress=False).samples == 30
    with pytest.raises(
        UsageError, match=r"data python has 4, and none of its samples is of class 0: labels count from 0"
    ):
        preceptor.evaluate(run.path, data=(inputs, 1 + np.arange(30) % 3), progress=False)


def test_bare_weights_start_a_run_on_other_classes(run: preceptor.Result, tmp_path: Path) -> None:
    data = images(tmp_path / "other", ("x", "y", "z"))
    weights = run.path / "model.safetensors"
    tuned = preceptor.teach(data=data, model="convnet_s", start_from=weights, out=tmp_path / "tuned", **QUICK)
    assert tuned.record.class_names == ("x", "y", "z")


def test_all_samples_of_other_data_are_measured(
    run: preceptor.Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = images(tmp_path / "new", ("ant", "bee", "cow"), seed=1)
    assert preceptor.evaluate(run.path, data=data).samples == 30
    assert "note: test: 30 samples, because folder:" in capsys.readouterr().err.replace("\n", " ")
    (found,) = preceptor.assess(run.path, data=data, progress=False)
    assert found.validation is not None
    assert (found.validation.metrics.samples, found.test.metrics.samples) == (3, 27)


def test_of_its_own_data_only_the_test_part_is_measured(run: preceptor.Result, place: Path, tmp_path: Path) -> None:
    for data in (None, f"folder:{place / 'own'}", {"name": "folder", "path": f"{place}/own/", "validation": 0.3}):
        assert preceptor.evaluate(run.path, data=data, progress=False).samples == 6
    preceptor.export(run, tmp_path / "exported.safetensors")
    exported = preceptor.evaluate(tmp_path / "exported.safetensors", data=f"folder:{place / 'own'}", progress=False)
    assert exported.as_dict() == pytest.approx(run.metrics.as_dict(), abs=0.01)  # in another precision
    (found,) = preceptor.assess(run.path, data=f"folder:{place / 'own'}", progress=False)
    assert found.test.metrics.samples == 6
    assert found.notes == ()


def test_a_table_is_read_as_the_run_read_its_own(rows: preceptor.Result, tmp_path: Path) -> None:
    assert rows.metrics.accuracy > 0.9
    assert preceptor.evaluate(rows.path, progress=False).as_dict() == pytest.approx(rows.metrics.as_dict(), abs=1e-6)
    fresh = table(tmp_path / "fresh.csv", seed=1)
    found = preceptor.evaluate(rows.path, data=fresh, progress=False)
    assert (found.samples, found.accuracy > 0.9) == (200, True)
    lines = [line.split(",") for line in (tmp_path / "fresh.csv").read_text().splitlines()]
    turned = tmp_path / "turned.csv"
    turned.write_text("\n".join(",".join(reversed(line)) for line in lines))
    assert preceptor.evaluate(rows.path, data=f"table:{turned}", progress=False) == found
    scaled = table(tmp_path / "scaled.csv", seed=1, factor=1e-3)
    other = preceptor.evaluate(rows.path, data=scaled, progress=False)
    assert other.nll > 2 * found.nll  # of numbers in other units its answers are others
    preceptor.export(rows, tmp_path / "rows.safetensors")
    exported = preceptor.evaluate(tmp_path / "rows.safetensors", data=fresh, progress=False)
    assert exported.samples == 200
    assert exported.nll == pytest.approx(found.nll, abs=0.01)  # in another precision
    (seen,) = preceptor.assess(rows, data={"name": fresh, "validation": 0.0}, progress=False)
    assert seen.test.metrics.accuracy == pytest.approx(found.accuracy, abs=0.01)


def test_a_student_reads_another_table_as_its_teacher_does_or_not_at_all(
    rows: preceptor.Result, tmp_path: Path
) -> None:
    fresh = {"name": table(tmp_path / "fresh.csv", seed=1), "target": "kind"}
    student: dict[str, Any] = {"teacher": rows.path, "model": "mlp", "out": tmp_path / "student", **QUICK}
    with pytest.raises(
        UsageError, match=r"reads a table otherwise than data table:.*: column a is numbers .*; data\.fit="
    ):
        preceptor.distill(data=fresh, **student)
    found = preceptor.distill(data={**fresh, "fit": str(rows.path)}, **student)
    assert found.record.table == rows.record.table
    with pytest.raises(UsageError, match=r"class 'a' is not among those of the training rows: no, yes"):
        preceptor.evaluate(rows.path, data=table(tmp_path / "ab.csv", names=("a", "b")), progress=False)
