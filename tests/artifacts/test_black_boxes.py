"""Teachers that are no modules, fitted to data: their inputs, their classes, their fingerprints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto
from sklearn.ensemble import RandomForestClassifier
from torch import nn

import preceptor
from onnx_files import write_linear
from preceptor.artifacts.black_boxes import as_teacher, fitted_to_data, load_onnx
from preceptor.artifacts.classes import select_stated
from preceptor.artifacts.create import reading_notes
from preceptor.artifacts.fingerprints import fingerprint
from preceptor.config.sections import OnnxSection
from preceptor.data import Data, from_objects, load, plain_batches
from preceptor.errors import UsageError
from preceptor.models import EstimatorTeacher, FunctionTeacher, black_box_in

COUNT = 120
X = (np.random.default_rng(0).normal(size=(COUNT, 4)) * [1, 20, 300, 4000] + 50).astype(np.float32)
LABELS = np.arange(COUNT) % 3
PIXELS = np.random.default_rng(1).integers(0, 256, (COUNT, 3, 4, 4), dtype=np.uint8)
WEIGHT = np.random.default_rng(2).normal(size=(48, 3)) / 255


@pytest.fixture(scope="module")
def numbers() -> Data:
    return from_objects((X, LABELS))


@pytest.fixture(scope="module")
def images() -> Data:
    return from_objects((PIXELS, LABELS))


def forest(inputs: Any = X, labels: Any = LABELS, seed: int = 0) -> Any:
    return RandomForestClassifier(8, random_state=seed).fit(inputs, labels)


def outputs(network: nn.Module, data: Data) -> Any:
    batch = next(plain_batches(data.train, data.normalisation, 40, torch.device("cpu")))
    return network(batch.inputs).numpy()


def held(data: Data) -> Any:
    return data.train.inputs(torch.arange(40)).numpy()


def test_which_objects_are_teachers() -> None:
    module = nn.Linear(4, 3)
    assert as_teacher(module) is module
    assert isinstance(as_teacher(forest()), EstimatorTeacher)
    assert isinstance(as_teacher(lambda x: x), FunctionTeacher)
    for other in ("runs/t", Path("t.onnx"), {"path": "t"}, 3, RandomForestClassifier, nn.Linear):
        assert as_teacher(other) is None
    with pytest.raises(UsageError, match="has no classes_; fit it first"):
        as_teacher(RandomForestClassifier())


def test_an_estimator_reads_numbers_as_the_data_hold_them(numbers: Data) -> None:
    assert numbers.preprocessing.mean
    fitted = forest()
    network = fitted_to_data(EstimatorTeacher(fitted), numbers)
    expected = fitted.predict_proba(held(numbers))
    assert torch.from_numpy(outputs(network, numbers)).softmax(1).numpy() == pytest.approx(expected, abs=1e-5)
    assert reading_notes("teacher", [network]) == ["teacher: normalisation undone; reads samples as the data hold them"]


def test_an_estimator_reads_pixels_from_0_to_255(images: Data) -> None:
    fitted = forest(PIXELS.reshape(COUNT, -1))
    network = fitted_to_data(EstimatorTeacher(fitted), images)
    expected = fitted.predict_proba(held(images).reshape(40, -1))
    assert torch.from_numpy(outputs(network, images)).softmax(1).numpy() == pytest.approx(expected, abs=1e-5)


def table(folder: Path) -> Data:
    rows = [f"{X[k, 0]},{X[k, 3]},{'ab'[k % 2]},{('low', 'middle', 'high')[LABELS[k]]}" for k in range(COUNT)]
    (folder / "t.csv").write_text("\n".join(["age,pay,job,income", *rows]) + "\n")
    return load(f"table:{folder / 't.csv'}", options={"target": "income"})


def test_an_estimator_reads_the_columns_of_a_table(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    from sklearn.compose import make_column_transformer  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import OneHotEncoder  # noqa: PLC0415

    data = table(tmp_path)
    frame = pandas.read_csv(tmp_path / "t.csv")
    encode = make_column_transformer((OneHotEncoder(), ["job"]), remainder="passthrough")
    fitted = make_pipeline(encode, RandomForestClassifier(8, random_state=0))
    fitted.fit(frame[["job", "pay", "age"]], frame["income"])
    network = fitted_to_data(EstimatorTeacher(fitted), data)
    network = select_stated("teacher", network, data, None)
    assert data.train.numbers is not None
    expected = fitted.predict_proba(frame[["job", "pay", "age"]].iloc[data.train.numbers[:40].numpy()])
    assert data.class_names == ("high", "low", "middle")
    assert torch.from_numpy(outputs(network, data)).softmax(1).numpy() == pytest.approx(expected, abs=1e-5)


def test_classes_in_another_order_are_put_in_that_of_the_data(tmp_path: Path) -> None:
    data = table(tmp_path)

    class Reversed:
        classes_ = np.array(["middle", "low", "high"])

        def predict_proba(self, rows: Any) -> Any:
            return np.tile([[0.2, 0.3, 0.5]], (len(rows), 1))

        feature_names_in_ = np.array(["age"])

    network = select_stated("teacher", fitted_to_data(EstimatorTeacher(Reversed()), data), data, None)
    assert torch.from_numpy(outputs(network, data)).softmax(1)[0].tolist() == pytest.approx([0.5, 0.3, 0.2], abs=1e-6)
    Reversed.classes_ = np.array(["middle", "low", "hgh"])
    with pytest.raises(UsageError, match="only there: hgh"):
        select_stated("teacher", fitted_to_data(EstimatorTeacher(Reversed()), data), data, None)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS + 1, r"has 3 classes, data python has 3 \(only there: 3; only here: 0\); fit it on the same labels"),
        (LABELS % 2, r"has 2 classes, data python has 3 \(only here: 2\); fit it on the same labels"),
    ],
)
def test_an_estimator_of_other_labels(numbers: Data, labels: Any, message: str) -> None:
    with pytest.raises(UsageError, match=f"^teacher RandomForestClassifier {message}$"):
        fitted_to_data(EstimatorTeacher(forest(X, labels)), numbers)


def test_fingerprints_tell_estimators_and_functions_apart(numbers: Data) -> None:
    def of(value: Any) -> str:
        return fingerprint(fitted_to_data(as_teacher(value) or nn.Identity(), numbers))

    assert of(forest()) == of(forest()) != of(forest(seed=1))
    assert of(lambda x: x[:, :3]) == of(lambda x: x[:, :3].numpy()) != of(lambda x: x[:, 1:])


def test_a_function_reads_what_a_module_reads(numbers: Data) -> None:
    network = fitted_to_data(FunctionTeacher(lambda inputs: inputs[:, :3]), numbers)
    assert outputs(network, numbers) == pytest.approx(
        numbers.normalisation(torch.from_numpy(held(numbers)))[:, :3].numpy()
    )
    module = nn.Linear(4, 3)
    assert fitted_to_data(module, numbers) is module


@pytest.mark.parametrize(
    ("section", "reads"),
    [
        ({}, lambda pixels, data: data.normalisation(torch.from_numpy(pixels)).numpy()),
        ({"scale": 1}, lambda pixels, _: pixels / 255),
        ({"scale": 255}, lambda pixels, _: pixels.astype(float)),
        ({"mean": [0.5], "std": [0.25]}, lambda pixels, _: (pixels / 255 - 0.5) / 0.25),
        (
            {"mean": [100, 110, 120], "std": [2, 3, 4], "scale": 255},
            lambda pixels, _: (
                (pixels - np.array([100, 110, 120]).reshape(3, 1, 1)) / np.array([2, 3, 4]).reshape(3, 1, 1)
            ),
        ),
    ],
)
def test_the_inputs_of_an_onnx_file_of_another_program(images: Data, section: Any, reads: Any, tmp_path: Path) -> None:
    path = write_linear(tmp_path / "a.onnx", WEIGHT, ["n", 3, 4, 4])
    network = load_onnx(path, images, OnnxSection(**section))
    expected = reads(held(images), images).reshape(40, -1) @ WEIGHT
    assert outputs(network, images) == pytest.approx(expected, abs=1e-4)
    (note,) = reading_notes("teacher", [network]) or [""]
    assert ("its inputs are normalised as the data are; teacher.onnx.mean=[...]" in note) == (section == {})


def test_a_file_that_takes_bytes_gets_them(images: Data, tmp_path: Path) -> None:
    path = write_linear(tmp_path / "a.onnx", WEIGHT, ["n", 3, 4, 4], kind=TensorProto.UINT8)
    network = load_onnx(path, images, OnnxSection())
    assert outputs(network, images) == pytest.approx(held(images).reshape(40, -1) @ WEIGHT, abs=1e-4)


def test_images_are_resized_for_a_file_of_fixed_size(images: Data, tmp_path: Path) -> None:
    path = write_linear(tmp_path / "a.onnx", np.ones((3 * 36, 3)), ["n", 3, 6, 6])
    network = load_onnx(path, images, OnnxSection())
    assert "resized 4 -> 6" in reading_notes("teacher", [network])[0]
    assert outputs(network, images).shape == (40, 3)


@pytest.mark.parametrize(
    ("shape", "section", "message"),
    [
        (["n", 5], {}, r"takes samples of shape \(5,\), and those of the data have \(3, 4, 4\)"),
        (["n", 1, 4, 4], {}, "reads 1 channels, and the samples have 3"),
        (["n", 3, 4, 4], {"mean": [0.5]}, "teacher.onnx: mean has 1 numbers, std 0"),
        (["n", 3, 4, 4], {"mean": [0.5, 0.5], "std": [1, 1]}, "is normalised over 2 channels, and reads 3"),
    ],
)
def test_files_that_do_not_fit(images: Data, shape: Any, section: Any, message: str, tmp_path: Path) -> None:
    path = write_linear(tmp_path / "a.onnx", np.ones((int(np.prod(shape[1:])), 3)), shape)
    with pytest.raises(UsageError, match=message) as caught:
        load_onnx(path, images, OnnxSection(**section))
    assert "\n" not in str(caught.value)


def test_a_file_of_other_classes(images: Data, tmp_path: Path) -> None:
    path = write_linear(tmp_path / "a.onnx", np.eye(48)[:, :5], ["n", 3, 4, 4])
    network = load_onnx(path, images, OnnxSection(), classes=(4, 0, 2))
    whole = images.normalisation(torch.from_numpy(held(images))).reshape(40, -1).numpy()
    assert outputs(network, images) == pytest.approx(whole[:, [4, 0, 2]], abs=1e-5)


@pytest.mark.parametrize("how", [{}, {"normalise": "inside", "output": "probabilities"}])
def test_a_file_of_ours_says_itself_how_it_reads(how: Any, tmp_path: Path) -> None:
    data: Any = {"name": "digits", "limit": 60, "test_limit": 20}
    run = preceptor.teach(
        data=data, model="convnet_s", epochs=1, device="cpu", precision="fp32", out=tmp_path / "t", progress=False
    )
    preceptor.export(run, tmp_path / "t.onnx", **how)
    digits = load("digits", limit=60)
    network = load_onnx(tmp_path / "t.onnx", digits, OnnxSection())
    batch = next(plain_batches(digits.train, digits.normalisation, 40, torch.device("cpu")))
    expected = run.model.eval()(batch.inputs).log_softmax(1).detach().numpy()
    assert torch.from_numpy(outputs(network, digits)).log_softmax(1).numpy() == pytest.approx(expected, abs=1e-4)
    assert black_box_in(network) is not None
    assert preceptor.evaluate(tmp_path / "t.onnx", data=data, progress=False).accuracy == run.metrics.accuracy
    with pytest.raises(
        UsageError, match=r"^teacher\.onnx: .*t\.onnx says itself how it reads its inputs; leave it out$"
    ):
        load_onnx(tmp_path / "t.onnx", digits, OnnxSection(output="probabilities"))
    others = from_objects((np.zeros((60, 1, 8, 8), np.uint8), np.arange(60) % 3))
    with pytest.raises(UsageError, match="has 10 classes, data python has 3"):
        load_onnx(tmp_path / "t.onnx", others, OnnxSection())
