"""Images decoded as they are needed, from teaching to evaluation."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import preceptor
from started import run, start


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real digits in colour and in sizes that differ."""
    root = tmp_path_factory.mktemp("tree")
    table = load_digits()
    for number in range(360):
        image = Image.fromarray((table.images[number] / 16 * 255).astype(np.uint8))
        file = root / ("train" if number < 280 else "val") / str(table.target[number]) / f"{number:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        image.resize((10 + number % 4, 12 + number % 3), Image.Resampling.BILINEAR).save(file)
    return root


def section(tree: Path) -> dict[str, object]:
    return {"name": f"folder:{tree}", "size": 10}


@pytest.fixture(scope="module")
def teacher(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> preceptor.Result:
    out = tmp_path_factory.mktemp("runs") / "t"
    return preceptor.teach(
        data=section(tree), model="convnet_m", epochs=10, batch_size=40, optim={"lr": 0.1}, out=out, progress=False
    )


def test_a_teacher_learns_from_parts_of_images(teacher: preceptor.Result) -> None:
    assert teacher.metrics.accuracy > 0.4
    assert teacher.record.input_shape == (3, 10, 10)
    assert preceptor.evaluate(teacher.path) == preceptor.evaluate(teacher.path, workers=2) == teacher.metrics
    assert preceptor.assess(teacher, workers=1) == preceptor.assess(teacher)


def test_a_student_of_stored_labels_is_a_student_of_the_teacher(
    tree: Path, teacher: preceptor.Result, tmp_path: Path
) -> None:
    """The keyed parts and what is done to them are the same for both, so that what was stored fits what is seen."""
    data = {**section(tree), "view": "+trivial_augment+random_erasing"}
    preceptor.label(data=data, teacher=teacher, out=tmp_path / "l", views=2, seed=1, precision="fp32", progress=False)

    def losses(out: str, *, teacher: preceptor.Result | None = None, labels: Path | None = None) -> list[float]:
        student = preceptor.distill(
            data=data,
            model="convnet_s",
            teacher=teacher,
            labels=labels,
            out=tmp_path / out,
            epochs=2,
            batch_size=40,
            seed=1,
            precision="fp32",
            progress=False,
        )
        return [row["train"]["loss"] for row in student.record.history]

    assert losses("stored", labels=tmp_path / "l") == pytest.approx(losses("live", teacher=teacher), rel=2e-3)


def test_labels_are_the_same_whoever_reads(tree: Path, teacher: preceptor.Result, tmp_path: Path) -> None:
    for workers in (0, 2):
        preceptor.label(
            data=section(tree),
            teacher=teacher,
            out=tmp_path / str(workers),
            views=2,
            rows_per_shard=90,
            batch_size=40,
            workers=workers,
            progress=False,
        )
    for file in (tmp_path / "0").iterdir():
        assert (tmp_path / "2" / file.name).read_bytes() == file.read_bytes()


def stop_in_mid_epoch(words: list[str], out: Path) -> None:
    process = start(words)
    deadline, metrics = time.monotonic() + 60, out / "metrics.jsonl"
    while not metrics.exists() or not metrics.read_text().splitlines():
        assert time.monotonic() < deadline, "the run did not get going"
        assert process.poll() is None, "the run ended before it was stopped"
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    assert process.finish(60).returncode == 128 + signal.SIGTERM
    assert not (out / "result.json").exists(), "the run finished before it was stopped"


def test_a_stopped_run_goes_on_to_the_same_bits_with_any_readers(
    tree: Path, teacher: preceptor.Result, tmp_path: Path
) -> None:
    words = ["distill", f"data=folder:{tree}", "data.size=10", "epochs=3"]
    words += [f"teacher={teacher.path}", "model=convnet_s", "batch_size=10", "precision=fp32"]
    run([*words, f"out={tmp_path / 'whole'}"], check=True)
    whole = preceptor.load(tmp_path / "whole").state_dict()
    cut = [*words, f"out={tmp_path / 'cut'}"]
    stop_in_mid_epoch([*cut, "workers=2"], tmp_path / "cut")
    run([*cut, "workers=0", "resume=true"], check=True)
    assert all(value.equal(whole[name]) for name, value in preceptor.load(tmp_path / "cut").state_dict().items())


def test_a_network_is_said_to_read_by_its_own_mean(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The mean of the data that it is measured on is not used."""
    small = {"name": f"folder:{tree}", "size": 10, "in_memory": True}
    done = preceptor.teach(data=small, model="convnet_s", epochs=1, out=tmp_path / "t")
    assert "note: inputs are normalised by the training images' own mean (" in capsys.readouterr().err
    other = {**section(tree), "in_memory": False}  # the same files, but normalised by ImageNet's mean
    preceptor.evaluate(done.path, data=other)
    preceptor.assess(done.path, data=other)
    said = capsys.readouterr().err
    assert "ImageNet" not in said
    assert said.count("normalised by its own mean") == 1  # each assessment holds it among its notes
    preceptor.evaluate(done.path)
    assert "note: inputs are normalised by the training images' own mean (" in capsys.readouterr().err
