"""A classifier with `predict_proba`, as scikit-learn, XGBoost, LightGBM and CatBoost have them, as a teacher."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from preceptor.divergences import as_logits
from preceptor.errors import UsageError
from preceptor.messages import first_few, first_line
from preceptor.models.black_box.base import BlackBox

__all__ = ["Classifier", "EstimatorTeacher", "PredictsProbabilities"]

Decode = Callable[[Tensor], Mapping[str, NDArray[Any]]]
# what estimators raise on inputs that they cannot take
_REFUSALS = (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, NotImplementedError)


@runtime_checkable
class PredictsProbabilities(Protocol):
    """What scikit-learn calls a classifier with probabilities, fitted or not."""

    def predict_proba(self, X: Any) -> Any: ...  # noqa: N803


@runtime_checkable
class Classifier(PredictsProbabilities, Protocol):
    """The same, fitted: it knows its classes."""

    classes_: Any


@runtime_checkable
class _FittedOnColumns(Protocol):
    """What was fitted on a DataFrame."""

    feature_names_in_: Any


class EstimatorTeacher(BlackBox):
    """A fitted classifier, whose logits are the logarithms of its probabilities; below 1e-12 they count as 1e-12.

    Args:
        estimator: with `predict_proba` and `classes_`.
        is_multilabel: whether each class is present or not; its logits are then log-odds.
        decode: of a table: returns the columns, in their own units, of encoded rows. None: the samples are no table, and are
            passed flattened, one row of numbers per sample.

    Raises:
        UsageError: when it has not been fitted.
    """

    def __init__(self, estimator: object, *, is_multilabel: bool = False, decode: Decode | None = None) -> None:
        kind = type(estimator).__name__
        super().__init__(kind)
        if not isinstance(estimator, Classifier):
            lacks = "classes_; fit it first" if isinstance(estimator, PredictsProbabilities) else "predict_proba"
            raise UsageError(f"teacher: {kind} has no {lacks}")
        self._estimator = estimator
        self._is_multilabel = is_multilabel
        self._decode = decode
        self._columns = tuple(map(str, estimator.feature_names_in_)) if isinstance(estimator, _FittedOnColumns) else ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Its classes, in the order of its columns."""
        return tuple(_name(each) for each in np.asarray(self._estimator.classes_).tolist())

    @property
    def estimator(self) -> Classifier:
        """What predicts."""
        return self._estimator

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits of samples as the data hold them."""
        rows = self._rows(inputs)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*feature names.*")  # of a table passed as an array
                found = self._estimator.predict_proba(rows)
        except _REFUSALS as error:
            raise UsageError(f"teacher: {self.name} cannot predict these samples ({first_line(error)})") from error
        if isinstance(found, list) or np.ndim(found) != 2:
            raise UsageError(
                f"teacher: {self.name} returns one table of probabilities per label; fit one that returns [samples, classes]"
            )
        probabilities = torch.from_numpy(np.asarray(found, dtype=np.float64))
        return as_logits(probabilities, is_multilabel=self._is_multilabel).float().to(inputs.device)

    def _rows(self, inputs: Tensor) -> Any:
        if self._decode is None:
            return inputs.flatten(1).cpu().numpy()
        columns = self._decode(inputs.cpu())
        if self._columns:
            return _frame(self.name, columns, self._columns)
        texts = [name for name, values in columns.items() if values.dtype == object]
        if texts:
            raise UsageError(
                f"teacher: {self.name} was fitted on an array, and columns {first_few(texts)} of the data are words; fit it on a "
                "DataFrame, so that it knows its columns by name"
            )
        return np.stack(list(columns.values()), axis=1)


def _frame(who: str, columns: Mapping[str, NDArray[Any]], wanted: Sequence[str]) -> Any:
    """Return a DataFrame of some columns."""
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise UsageError(
            f"teacher: {who} was fitted on column {missing[0]!r}, which the data do not have; they have "
            f"{first_few(list(columns), 5)}"
        )
    try:
        pandas = importlib.import_module("pandas")
    except ModuleNotFoundError as error:
        raise UsageError(f"teacher: {who} was fitted on a DataFrame, which needs pandas: pip install pandas") from error
    return pandas.DataFrame({name: columns[name] for name in wanted})


def _name(value: object) -> str:
    """Return the name of a class: of a whole number, without a point."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
