"""The rules that cut a source into train, validation, test and an unlabelled pool."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import torch
from torch import Tensor

from preceptor.data.dataset import Data, Source, fingerprint
from preceptor.data.split import Arrays, Joined, Split
from preceptor.data.stratify import complement, held_out, stratified
from preceptor.errors import UsageError
from preceptor.messages import first_few
from preceptor.types import Preprocessing

__all__ = ["assemble"]


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
    """Return the data set that a source becomes under these rules.

    Args:
        source: as its reader gives it.
        validation: share of train to hold out, stratified; None: the source's own share.
        limit: train on this many samples, a stratified choice made after validation is split off.
        test_limit: validate and test on at most this many.
        split_seed: of all these choices.
        labelled_fraction: share of the training samples whose labels are known, stratified; smaller shares are subsets of
            larger ones. The other samples become the pool.
        trained_on: not None: networks are measured and not trained, so that all samples of a source without a test split are
            test, except those held out for validation. Sources with one of these `source_fingerprint`s are cut as in
            training, because networks were trained on them.

    Raises:
        UsageError: for a share out of its range, a limit below 1, no training or test samples, or validation or test samples
            that cannot be read.
    """
    _check_rules(validation, limit, test_limit, labelled_fraction)
    _check_alike(source)
    notes, train, val, test, share = list(source.notes), source.train, source.validation, source.test, 0.0
    source_fingerprint = fingerprint(train, test) if source.is_cut else None
    only_measures = source.is_cut and trained_on is not None and source_fingerprint not in trained_on
    is_multilabel = train.labels.ndim == 2
    how = "drawn" if is_multilabel else "stratified"
    if only_measures:
        train = Joined([source.train, source.test])
    else:
        notes += _unseen(train, source.class_names) if source.is_labelled else []
    if source.is_cut and not only_measures:
        total = len(train) + len(test)
        notes.append(f"test: {len(test):,} of {total:,} samples, {how}, because {source.name} has no test split")
    if not train.has_rows:
        _check_stream(validation, limit, labelled_fraction)
        no_rows = torch.empty(0, dtype=torch.int64)
        val = val or Arrays(train.inputs(no_rows), no_rows)
        notes.append(f"stream: {len(train):,} samples make an epoch, in the order in which they come")
    if is_multilabel:
        present = float(train.labels.sum(1).double().mean())
        notes.append(
            f"multi-label: {train.labels.shape[1]} classes, {present:.2g} present in a sample on average; accuracy is the "
            "share of all yes-or-no predictions that are right; splits are drawn without stratification"
        )
    if val is None:
        share = source.validation_share if validation is None else validation
        rows = held_out(train.labels, round(share * len(train)), split_seed, stream=0)
        what = "samples" if only_measures else "training samples"
        notes += [f"validation: {len(rows):,} of {len(train):,} {what}, {how}, seed {split_seed}"] if share else []
        val, train = train.take(rows), train.take(complement(rows, len(train)))
    elif validation:
        notes.append(f"validation: {source.name} has its own {len(val):,} samples; the share {validation} is not used")
    pool = None
    if only_measures:
        train, test = source.train, train
        notes.append(f"test: {len(test):,} samples, because {source.name} has no test split and nothing is trained")
    else:
        train = _limited(train, limit, split_seed, notes)
        train, pool = _with_pool(train, labelled_fraction, split_seed, notes)
    if len(train) == 0 or len(test) == 0:
        raise UsageError(f"data {source.name}: {len(train)} training and {len(test)} test samples; both are needed")
    val, test = _at_most(val, test_limit, split_seed), _at_most(test, test_limit, split_seed)
    for split in (val, test):
        split.check()  # training reads its own samples soon, but these only after an epoch, or at the very end
    sample = train.inputs(torch.tensor([0]))[0]
    return Data(
        name=source.name,
        train=train,
        validation=val,
        test=test,
        num_classes=len(source.class_names),
        class_names=source.class_names,
        input_shape=tuple(sample.shape),
        preprocessing=_preprocessing(source.preprocessing, sample),
        normalised_by=source.normalised_by,
        view=source.view,
        protocol=source.protocol,
        validation_share=share,
        fingerprint=fingerprint(train, val, test),
        notes=tuple(notes),
        pool=pool,
        vocabulary=source.vocabulary,
        test_name=source.test_name,
        source_fingerprint=source_fingerprint,
        table=source.table,
        is_labelled=source.is_labelled,
        source_samples=_source_samples(source),
        ids=source.ids,
    )


def _source_samples(source: Source) -> int:
    """Return how many samples the numbers of the training samples count: those of test too, where it was split off."""
    count, numbers = len(source.train), source.train.numbers
    was_cut = numbers is not None and count > 0 and int(numbers.max()) >= count
    return count + (len(source.test) if was_cut else 0)


def _preprocessing(stated: Preprocessing, sample: Tensor) -> Preprocessing:
    """Return a source's preprocessing with the channels and the size of its samples, where they are images."""
    if sample.dtype != torch.uint8 or sample.ndim != 3 or sample.shape[0] not in {1, 3}:
        return stated
    channels, height, width = sample.shape
    return replace(stated, channels=1 if channels == 1 else 3, size=(height, width))


def _check_alike(source: Source) -> None:
    """Check that the samples of all splits have the shape and the type of the training samples.

    Raises:
        UsageError: when they have not.
    """
    if source.is_cut or len(source.train) == 0:
        return
    train = source.train.inputs(torch.tensor([0]))[0]
    for name, split in ((source.test_name, source.test), ("validation", source.validation)):
        if split is None or len(split) == 0:
            continue
        sample = split.inputs(torch.tensor([0]))[0]
        if (train.shape, train.dtype) != (sample.shape, sample.dtype):
            kinds = (f"{str(each.dtype).removeprefix('torch.')} {tuple(each.shape)}" for each in (train, sample))
            raise UsageError(f"data {source.name}: samples of train are {next(kinds)}, those of {name} {next(kinds)}")


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


def _unseen(train: Split, class_names: tuple[str, ...]) -> list[str]:
    """Return a note on classes without training samples, if there are any: labels may not start at 0."""
    if train.labels.ndim == 2 or not train.has_rows:
        return []
    counts = torch.bincount(train.labels, minlength=len(class_names)).tolist()
    unseen = [name for name, count in zip(class_names, counts, strict=True) if count == 0]
    return [f"labels: of {len(class_names)} classes, no training sample has {first_few(unseen, 5)}"] if unseen else []


def _check_stream(validation: float | None, limit: int | None, labelled_fraction: float | None) -> None:
    for key, value in (("validation", validation), ("limit", limit), ("labelled_fraction", labelled_fraction)):
        if value:
            raise UsageError(
                f"data.{key}: {value} needs samples that can be read by their number, and this is a stream"
            )


def _limited(train: Split, limit: int | None, seed: int, notes: list[str]) -> Split:
    """Return at most `limit` training samples, and note how many they are."""
    if limit is None or limit >= len(train):
        return train
    chosen = train.take(stratified(train.labels, limit, seed, stream=1))
    line = f"limit: {limit:,} of {len(train):,} training samples, "
    if train.labels.ndim == 2:
        notes.append(line + "drawn")
        return chosen
    classes = len(train.labels.unique())
    lost = classes - len(chosen.labels.unique())
    notes.append(line + "stratified" + (f"; {lost:,} of {classes:,} classes have none" if lost else ""))
    return chosen


def _with_pool(
    train: Split, labelled_fraction: float | None, seed: int, notes: list[str]
) -> tuple[Split, Split | None]:
    """Return the samples whose labels are known, and the others as the pool."""
    if labelled_fraction is None:
        return train, None
    rows = stratified(train.labels, max(1, round(labelled_fraction * len(train))), seed, stream=3)
    notes.append(f"labelled: {len(rows):,} of {len(train):,} training samples, stratified")
    return train.take(rows), train.take(complement(rows, len(train)))


def _at_most(split: Split, limit: int | None, seed: int) -> Split:
    if limit is None or limit >= len(split):
        return split
    return split.take(stratified(split.labels, limit, seed, stream=2))
