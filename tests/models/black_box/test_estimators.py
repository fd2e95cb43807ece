"""Classifiers of scikit-learn as teachers: probabilities, classes, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.svm import LinearSVC
from torch import nn

from preceptor.errors import UsageError
from preceptor.models.black_box.estimators import Classifier, EstimatorTeacher

X = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)
LABELS = np.arange(90) % 3
ROWS = torch.from_numpy(X[:5])


def forest(labels: Any = LABELS) -> Any:
    return RandomForestClassifier(10, random_state=0).fit(X, labels)


def test_logits_are_logarithms_of_probabilities() -> None:
    fitted = forest()
    expected = fitted.predict_proba(X[:5])
    assert (expected == 0).any()
    logits = EstimatorTeacher(fitted)(ROWS)
    assert logits.softmax(1).numpy() == pytest.approx(expected, abs=1e-6)
    assert logits.numpy()[expected == 0].tolist() == pytest.approx([np.log(1e-12)] * int((expected == 0).sum()))
    assert EstimatorTeacher(fitted)(ROWS.reshape(5, 1, 2, 2)).equal(logits)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (LABELS, ("0", "1", "2")),
        (LABELS.astype(float), ("0", "1", "2")),
        (np.array(["low", "middle", "high"])[LABELS], ("high", "low", "middle")),
        (LABELS > 0, ("False", "True")),
    ],
)
def test_its_classes(labels: Any, names: tuple[str, ...]) -> None:
    assert EstimatorTeacher(forest(labels)).class_names == names


def test_several_labels_at_once() -> None:
    labels = np.stack([LABELS > 0, LABELS < 2], 1).astype(int)
    fitted = OneVsRestClassifier(LogisticRegression()).fit(X, labels)
    logits = EstimatorTeacher(fitted, is_multilabel=True)(ROWS)
    assert logits.sigmoid().numpy() == pytest.approx(fitted.predict_proba(X[:5]), abs=1e-6)
    several = MultiOutputClassifier(LogisticRegression()).fit(X, labels)
    with pytest.raises(UsageError, match="MultiOutputClassifier returns one table of probabilities per label"):
        EstimatorTeacher(several, is_multilabel=True)(ROWS)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (RandomForestClassifier(), "RandomForestClassifier has no classes_; fit it first"),
        (LinearSVC().fit(X, LABELS), "LinearSVC has no predict_proba"),
        (nn.Linear(4, 3), "Linear has no predict_proba"),
    ],
)
def test_what_cannot_be_a_teacher(estimator: object, message: str) -> None:
    with pytest.raises(UsageError, match=f"^teacher: {message}$"):
        EstimatorTeacher(estimator)


def test_other_samples_are_refused_in_one_line() -> None:
    with pytest.raises(
        UsageError, match=r"^teacher: RandomForestClassifier cannot predict these samples \(X has 3 features[^\n]*$"
    ):
        EstimatorTeacher(forest())(torch.ones(2, 3))


class Boosted:
    """What XGBoost's and LightGBM's classifiers have in common."""

    classes_ = np.arange(3)

    def predict_proba(self, rows: Any) -> Any:
        return np.tile(np.array([[0.5, 0.25, 0.25]], dtype=np.float32), (len(rows), 1))


def test_any_object_with_both_will_do() -> None:
    assert isinstance(Boosted(), Classifier)
    assert EstimatorTeacher(Boosted())(ROWS).softmax(1)[0].tolist() == pytest.approx([0.5, 0.25, 0.25])


def test_columns_of_a_table() -> None:
    pandas = pytest.importorskip("pandas")
    columns = {"b": X[:, 1].astype(float), "a": X[:, 0].astype(float), "word": np.array(["x"] * 90, dtype=object)}
    fitted = RandomForestClassifier(5, random_state=0).fit(pandas.DataFrame(columns)[["a", "b"]], LABELS)
    teacher = EstimatorTeacher(fitted, decode=lambda rows: columns)
    expected = fitted.predict_proba(pandas.DataFrame(columns)[["a", "b"]])
    assert teacher(torch.zeros(90, 9)).softmax(1).numpy() == pytest.approx(expected, abs=1e-6)
    with pytest.raises(UsageError, match="was fitted on column 'a', which the data do not have; they have c"):
        EstimatorTeacher(fitted, decode=lambda rows: {"c": X[:, 0]})(torch.zeros(90, 9))
    with pytest.raises(UsageError, match="was fitted on an array, and columns word of the data are words"):
        EstimatorTeacher(forest(), decode=lambda rows: columns)(torch.zeros(90, 9))
