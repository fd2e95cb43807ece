"""A data set as the rest of the library sees it, and what a source gives before it is cut into splits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Shaped
from numpy.typing import NDArray
from torch import Tensor

from preceptor.constants import constant
from preceptor.data.augment.composition import described
from preceptor.data.sources.table_fit import TableFit
from preceptor.data.split import Arrays, Split
from preceptor.messages import first_few
from preceptor.types import Preprocessing, Task, Vocabulary

__all__ = ["Data", "Normalisation", "Source", "fingerprint"]

Ids = Mapping[str, Sequence[str | None] | NDArray[Any]]  # arrays: names of files, in bytes

_CLASSES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Per-channel mean and standard deviation, on inputs scaled to [0, 1] where they are uint8; empty: none."""

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __call__(self, inputs: Shaped[Tensor, "rows channels ..."]) -> Float[Tensor, "rows channels ..."]:
        """Return float32 inputs, normalised along axis 1."""
        scaled = inputs.float() / 255 if inputs.dtype == torch.uint8 else inputs.float()
        if not self.mean:
            return scaled
        mean, std = (constant(values, inputs.device) for values in (self.mean, self.std))
        shape = (1, -1, *(1,) * (inputs.ndim - 2))
        return (scaled - mean.reshape(shape)) / std.reshape(shape)


@dataclass(frozen=True, slots=True)
class Source:
    """What a source's reader gives, before validation is split off.

    Attributes:
        name: what the user called it.
        train: all training samples.
        test: the test samples.
        class_names: one per class.
        validation: validation samples that come with the data, or None: they are split from train.
        preprocessing: how samples become what a network sees.
        normalised_by: whose mean and std those are, in words; empty: not worth a note.
        view: default augmentation of training samples.
        protocol: which default training settings fit.
        validation_share: default share of train to hold out.
        notes: choices the user should hear about.
        vocabulary: of texts: which token each number stands for.
        test_name: what the data call the test split.
        table: of tables: how their columns became numbers.
        is_cut: whether test was split off from train, because the source has no test split.
        is_labelled: whether the samples have labels; else those in the splits are zeros.
        ids: what the source calls its samples, by the name of the column that does, in the order of `Split.numbers`.
    """

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    validation: Split | None = None
    preprocessing: Preprocessing = Preprocessing()
    view: str = "none"
    protocol: str = "default"
    validation_share: float = 0.1
    notes: tuple[str, ...] = ()
    vocabulary: Vocabulary | None = None
    test_name: str = "test"
    table: TableFit | None = None
    is_cut: bool = False
    is_labelled: bool = True
    normalised_by: str = ""
    ids: Ids = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Data:
    """A data set, cut into splits and checked.

    Attributes:
        name: what the user called it.
        train: what is trained on; `Batch.index` counts its rows.
        pool: what students may learn from without labels, or None.
        validation: for every choice made along the way; may be empty.
        test: read once, at the end.
        num_classes: width of the logits.
        class_names: one per class.
        input_shape: of one sample.
        preprocessing: how samples become what a network sees.
        normalised_by: whose mean and std those are, in words; empty: not worth a note.
        view: default augmentation of training samples.
        protocol: which default training settings fit.
        validation_share: share of train that was held out; 0 where validation came with the data.
        fingerprint: of inputs and labels: 16 hexadecimal digits. Equal fingerprints mean that networks see the same samples,
            so that their outputs can be stored and compared. The true distribution, which networks do not see, does not count.
        notes: choices the user should hear about.
        vocabulary: of texts: which token each number stands for; None: the samples are no texts.
        test_name: what the data call the test split: "val" where there is no other.
        source_fingerprint: of all samples of a source without a test split, however it was cut; None: it has a test split.
        table: of tables: how their columns became numbers.
        is_labelled: whether the samples have labels; else those in the splits are zeros, and they can be a pool only.
        source_samples: how many samples `train.numbers` counts: those of train, and of test where that was split off.
        ids: see `Source`.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    num_classes: int
    class_names: tuple[str, ...]
    input_shape: tuple[int, ...]
    preprocessing: Preprocessing
    view: str
    protocol: str
    validation_share: float
    fingerprint: str
    notes: tuple[str, ...]
    pool: Split | None = None
    vocabulary: Vocabulary | None = None
    test_name: str = "test"
    source_fingerprint: str | None = None
    table: TableFit | None = None
    normalised_by: str = ""
    is_labelled: bool = True
    source_samples: int = 0
    ids: Ids = field(default_factory=dict, compare=False, repr=False)

    @property
    def normalisation_notes(self) -> tuple[str, ...]:
        """A note on the normalisation of inputs, for networks that have none of their own."""
        return (f"inputs are normalised by {self.normalised_by}",) if self.normalised_by else ()

    @property
    def normalisation(self) -> Normalisation:
        """Of inputs: the last step of preprocessing."""
        return Normalisation(self.preprocessing.mean, self.preprocessing.std)

    @property
    def task(self) -> Task:
        """What a network has to predict."""
        if self.train.labels.ndim == 2:
            return "multilabel"
        return "binary" if self.num_classes == 2 else "multiclass"

    def view_named(self, name: str | None) -> str:
        """Return the name of a view in full: None is the default, and "+trivial_augment" the default and more."""
        if name is None:
            return self.view
        if not name.startswith("+"):
            return name
        return name[1:] if self.view == "none" else self.view + name

    def summary(self, view: str) -> str:
        """Return one line on what is read: the splits, the classes, the inputs, the view that training makes of them."""
        splits = {
            "train": self.train,
            "validation": self.validation,
            self.test_name: self.test,
            "unlabelled": self.pool,
        }
        sizes = ", ".join(f"{name} {len(split):,}" for name, split in splits.items() if split is not None)
        are_numbers = self.class_names == tuple(map(str, range(self.num_classes)))
        names = "" if are_numbers else f" ({first_few(self.class_names, _CLASSES_SHOWN)})"
        sample = self.train.inputs(torch.tensor([0]))
        inputs = f"{'x'.join(map(str, self.input_shape))} {str(sample.dtype).removeprefix('torch.')}"
        kind = "labels" if self.task == "multilabel" else "classes"
        views = f"; view {view} ({described(view)}; data.view=...)" if sample.dtype == torch.uint8 else ""
        return f"{sizes}; {self.num_classes} {kind}{names}; inputs {inputs}{views}"

    @property
    def truth_fingerprint(self) -> str | None:
        """Sixteen hexadecimal digits over the true label distribution of all samples; None where no split has one."""
        truths = {
            name: split.truth
            for name, split in (("train", self.train), ("validation", self.validation), ("test", self.test))
            if split.truth is not None
        }
        digest = hashlib.sha256()
        for name, truth in truths.items():
            digest.update(f"{name} {tuple(truth.shape)}".encode())
            digest.update(truth.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16] if truths else None


def fingerprint(*splits: Split) -> str:
    """Return 16 hexadecimal digits of a sha256 over labels, inputs and their shapes.

    Of splits read on demand only the first and last input count, and their `identity_bytes`.
    """
    digest = hashlib.sha256()
    for split in splits:
        rows = torch.arange(len(split)) if isinstance(split, Arrays) else torch.tensor([0, -1])[: 2 * bool(len(split))]
        digest.update(split.labels.numpy().tobytes())
        digest.update(split.identity_bytes())
        if len(rows):
            inputs = split.inputs(rows).contiguous().numpy()
            digest.update(f"{len(split)} {inputs.shape} {inputs.dtype.str}".encode())
            digest.update(inputs.tobytes())
    return digest.hexdigest()[:16]
