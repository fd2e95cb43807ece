"""A data set as the rest of the library sees it, and the rules that cut it into train, validation and test."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from preceptor.data.augment.views import ORDER, random_bits
from preceptor.data.sources.table_fit import TableFit
from preceptor.data.split import Arrays, Joined, Split
from preceptor.errors import UsageError
from preceptor.types import Task, Vocabulary

__all__ = ["Data", "Normalisation", "Source", "assemble", "fingerprint", "held_out", "stratified"]


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
        shape = (1, -1, *(1,) * (inputs.ndim - 2))
        mean = torch.tensor(self.mean, device=inputs.device).reshape(shape)
        return (scaled - mean) / torch.tensor(self.std, device=inputs.device).reshape(shape)


@dataclass(frozen=True, slots=True)
class Source:
    """What a reader of some format found, before validation is split off.

    Attributes:
        name: what the user called it.
        train: all training samples.
        test: the test samples.
        class_names: one a class.
        validation: given validation samples, or None: they are split from train.
        normalisation: of inputs.
        view: default augmentation of training samples.
        protocol: which default training settings fit.
        validation_share: default share of train to hold out.
        notes: choices the user should hear about.
        vocabulary: of texts: which token each number stands for.
        test_name: what the data call the test part.
        table: of tables: how their columns became numbers.
        is_cut: whether test was split from the samples of train, for the source has one part only.
    """

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    validation: Split | None = None
    normalisation: Normalisation = Normalisation()
    view: str = "none"
    protocol: str = "default"
    validation_share: float = 0.1
    notes: tuple[str, ...] = ()
    vocabulary: Vocabulary | None = None
    test_name: str = "test"
    table: TableFit | None = None
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Data:
    """A data set, cut and checked.

    Attributes:
        name: what the user called it.
        train: what is trained on; `Batch.index` counts its rows.
        pool: what students may learn from without labels, or None.
        validation: for every choice made along the way; may be empty.
        test: read once, at the end.
        num_classes: width of the logits.
        class_names: one a class.
        input_shape: of one sample.
        normalisation: of inputs.
        view: default augmentation of training samples.
        protocol: which default training settings fit.
        validation_share: share of train that was held out; 0 where validation came with the data.
        fingerprint: of inputs and labels: 16 hexadecimal digits. It says whether networks see the same samples, so that their
            answers can be stored and compared, and leaves the truth out, which they do not see.
        notes: choices the user should hear about.
        vocabulary: of texts: which token each number stands for; None: the samples are no texts.
        test_name: what the data call the test part: "val", where there is no other.
        source_fingerprint: of all samples of a source that has one part only, however that was cut; None: it has parts.
        table: of tables: how their columns became numbers.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    num_classes: int
    class_names: tuple[str, ...]
    input_shape: tuple[int, ...]
    normalisation: Normalisation
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

    @property
    def task(self) -> Task:
        """What is asked of a network."""
        if self.train.labels.ndim == 2:
            return "multilabel"
        return "binary" if self.num_classes == 2 else "multiclass"

    @property
    def truth_fingerprint(self) -> str | None:
        """Sixteen hexadecimal digits over the true label distribution of all samples; None where it is known of none."""
        known = {
            name: part.truth
            for name, part in (("train", self.train), ("validation", self.validation), ("test", self.test))
            if part.truth is not None
        }
        digest = hashlib.sha256()
        for name, truth in known.items():
            digest.update(f"{name} {tuple(truth.shape)}".encode())
            digest.update(truth.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16] if known else None


def assemble(
    source: Source,
    *,
    validation: float | None,
    limit: int | None,
    test_limit: int | None,
    split_seed: int,
    labelled_fraction: float | None = None,
    trained_on: Collection[str] | None = None,
) -> Data:
    """Return the data set that a source makes under these rules.

    Args:
        source: what a reader found.
        validation: share of train to hold out, stratified; None: the source's own share.
        limit: train on this many samples, a stratified choice made after validation is split off.
        test_limit: validate and test on at most this many.
        split_seed: of all these choices.
        labelled_fraction: share of the training samples whose labels are known, stratified, smaller shares being parts of
            larger ones; the others become the pool.
        trained_on: not None: networks are measured and not trained, so that all samples of a source of one part are test,
            less those held out. But not of sources with one of these `source_fingerprint`s: they were trained on those.

    Raises:
        UsageError: for a share out of its range, a limit below 1, no training or test samples, or some of validation or test
            that cannot be read.
    """
    _check_rules(validation, limit, test_limit, labelled_fraction)
    notes, train, held, share = list(source.notes), source.train, source.validation, 0.0
    test, whole_fingerprint = source.test, fingerprint(train, source.test) if source.is_cut else None
    is_measured = source.is_cut and trained_on is not None and whole_fingerprint not in trained_on
    if is_measured:
        train = test = Joined([source.train, source.test])
    elif source.is_cut:
        of = f"{len(test):,} of {len(train) + len(test):,} samples"
        kind = "drawn" if train.labels.ndim == 2 else "stratified"
        notes.append(f"test: {of}, {kind}, for {source.name} has no test part")
    if not train.has_rows:
        _check_stream(validation, limit, labelled_fraction)
        held = held or Arrays(train.inputs(torch.empty(0, dtype=torch.int64)), torch.empty(0, dtype=torch.int64))
        notes.append(f"stream: {len(train):,} samples make an epoch, in the order in which they come")
    how = "stratified"
    if train.labels.ndim == 2:
        how = "drawn"
        present = float(train.labels.sum(1).double().mean())
        notes.append(
            f"multi-label: {train.labels.shape[1]} classes, {present:.2g} present in a sample on average; accuracy is the "
            "share of all answers yes or no that are right; splits are drawn without stratification"
        )
    if held is None:
        share = source.validation_share if validation is None else validation
        chosen = held_out(train.labels, round(share * len(train)), split_seed, stream=0)
        what = "samples" if is_measured else "training samples"
        notes += [f"validation: {len(chosen):,} of {len(train):,} {what}, {how}, seed {split_seed}"] if share else []
        held, train = train.take(chosen), train.take(_rest(chosen, len(train)))
    elif validation:
        notes.append(f"validation: {source.name} has its own {len(held):,} samples; the share {validation} is not used")
    if is_measured:
        train, test, limit, labelled_fraction = source.train, train, None, None
        notes.append(f"test: {len(test):,} samples, for {source.name} has no test part and nothing is trained")
    if limit is not None and limit < len(train):
        classes, of = train.labels.unique(), f"{limit:,} of {len(train):,} training samples"
        train = train.take(stratified(train.labels, limit, split_seed, stream=1))
        lost = 0 if train.labels.ndim == 2 else len(classes) - len(train.labels.unique())
        notes.append(f"limit: {of}, {how}" + (f"; {lost:,} of {len(classes):,} classes have none" if lost else ""))
    pool = None
    if labelled_fraction is not None:
        chosen = stratified(train.labels, max(1, round(labelled_fraction * len(train))), split_seed, stream=3)
        notes.append(f"labelled: {len(chosen):,} of {len(train):,} training samples, stratified")
        train, pool = train.take(chosen), train.take(_rest(chosen, len(train)))
    if len(train) == 0 or len(test) == 0:
        raise UsageError(f"data {source.name}: {len(train)} training and {len(test)} test samples; both are needed")
    held, test = _at_most(held, test_limit, split_seed), _at_most(test, test_limit, split_seed)
    for part in (held, test):
        part.check()  # training meets its own samples soon, but these after an epoch, or at the very end
    return Data(
        name=source.name,
        train=train,
        validation=held,
        test=test,
        num_classes=len(source.class_names),
        class_names=source.class_names,
        input_shape=tuple(train.inputs(torch.tensor([0])).shape[1:]),
        normalisation=source.normalisation,
        view=source.view,
        protocol=source.protocol,
        validation_share=share,
        fingerprint=fingerprint(train, held, test),
        notes=tuple(notes),
        pool=pool,
        vocabulary=source.vocabulary,
        test_name=source.test_name,
        source_fingerprint=whole_fingerprint,
        table=source.table,
    )


def _check_rules(
    validation: float | None, limit: int | None, test_limit: int | None, labelled_fraction: float | None
) -> None:
    if labelled_fraction is not None and not 0 < labelled_fraction < 1:
        raise UsageError(f"data.labelled_fraction: {labelled_fraction} is not in (0, 1)")
    if validation is not None and not 0 <= validation < 1:
        raise UsageError(f"data.validation: {validation} is not in [0, 1)")
    for key, value in (("limit", limit), ("test_limit", test_limit)):
        if value is not None and value < 1:
            raise UsageError(f"data.{key}: {value} is not at least 1")


def _check_stream(validation: float | None, limit: int | None, labelled_fraction: float | None) -> None:
    for key, value in (("validation", validation), ("limit", limit), ("labelled_fraction", labelled_fraction)):
        if value:
            raise UsageError(
                f"data.{key}: {value} needs samples that can be asked for by their number, and this is a stream"
            )


def stratified(labels: Int[Tensor, samples * classes], count: int, seed: int, *, stream: int) -> Int[Tensor, " chosen"]:
    """Return `count` rows, as many of each class as its share asks (largest remainders first), in rising order.

    Of multi-label samples any rows, for they are of no single class. Which rows of a class are taken is a pure function of
    seed, stream and row.

    Raises:
        UsageError: when there are fewer than `count` samples.
    """
    if count > len(labels):
        raise UsageError(f"data: {count} samples asked for, {len(labels)} there")
    labels = _strata(labels)
    classes, sizes = np.unique(labels.numpy(), return_counts=True)
    exact = sizes * count / max(len(labels), 1)
    quota = np.floor(exact).astype(np.int64)
    quota[np.argsort(quota - exact, kind="stable")[: count - quota.sum()]] += 1
    keys = random_bits(seed, stream, torch.arange(len(labels)), stream=ORDER + 1)[:, 0]
    chosen = []
    for label, number in zip(classes.tolist(), quota.tolist(), strict=True):
        rows = torch.nonzero(labels == label).flatten()
        chosen.append(rows[torch.argsort(keys[rows], stable=True)[:number]])
    return torch.cat(chosen).sort().values if chosen else torch.empty(0, dtype=torch.int64)


def held_out(labels: Int[Tensor, samples * classes], count: int, seed: int, *, stream: int) -> Int[Tensor, " chosen"]:
    """Return `count` rows as `stratified` does, less one of each class that would be left without samples."""
    labels = _strata(labels)
    chosen = stratified(labels, count, seed, stream=stream)
    left = set(labels[_rest(chosen, len(labels))].tolist())
    is_taken = torch.ones(len(chosen), dtype=torch.bool)
    seen: set[int] = set()
    for place, label in enumerate(labels[chosen].tolist()):
        is_taken[place] = label in left or label in seen
        seen.add(label)
    return chosen[is_taken]


def fingerprint(*splits: Split) -> str:
    """Return 16 hexadecimal digits of a sha256 over labels, inputs and their shapes.

    Of splits read on demand only the first and last input count, and what they are described by.
    """
    digest = hashlib.sha256()
    for split in splits:
        rows = torch.arange(len(split)) if isinstance(split, Arrays) else torch.tensor([0, -1])[: 2 * bool(len(split))]
        digest.update(split.labels.numpy().tobytes())
        digest.update(split.described())
        if len(rows):
            inputs = split.inputs(rows).contiguous().numpy()
            digest.update(f"{len(split)} {inputs.shape} {inputs.dtype.str}".encode())
            digest.update(inputs.tobytes())
    return digest.hexdigest()[:16]


def _strata(labels: Tensor) -> Int[Tensor, " samples"]:
    return labels if labels.ndim == 1 else torch.zeros(len(labels), dtype=torch.int64)


def _rest(chosen: Tensor, length: int) -> Tensor:
    is_left = torch.ones(length, dtype=torch.bool)
    is_left[chosen] = False
    return torch.nonzero(is_left).flatten()


def _at_most(split: Split, limit: int | None, seed: int) -> Split:
    if limit is None or limit >= len(split):
        return split
    return split.take(stratified(split.labels, limit, seed, stream=2))
