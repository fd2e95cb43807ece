"""Every kind of file that the library reads, each with a command that reads it."""

from __future__ import annotations

from dataclasses import dataclass

from campaign.world import CURVE, DIGITS, HALF, HALF_BANK, HALF_STAGE, LABEL, SMALL, TRAIN, WDS

__all__ = ["FAST", "SUBJECTS", "Subject"]

# files and commands of the fast part: quickly made, each of another format or reader
FAST = {
    "config.yaml, resume",
    "result.json, evaluate",
    "metrics.jsonl, resume",
    "checkpoint, resume",
    "model.safetensors, evaluate",
    "manifest.json, distill",
    "label shard, distill",
    "npz",
    "--config",
    "teach with a bank",
    "label",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """A file and a command that reads it.

    Attributes:
        name: of the kind of file, and of what reads it.
        file: the one that is damaged; a pattern may name it.
        form: its format.
        words: of the command.
        needs: items of the world.
        result: what of the command's doing is compared: see `judge.result_of`.
        other: the same file of another run.
        is_ours: whether the library wrote it; otherwise other content is other data.
        mends: whether the command may make the file anew.
        may_be_missing: whether the command takes its absence for what it is: nothing was written yet.
    """

    name: str
    file: str
    form: str
    words: tuple[str, ...]
    needs: tuple[str, ...]
    result: str = "stdout"
    other: str | None = None
    is_ours: bool = True
    mends: bool = False
    may_be_missing: bool = False


def _ours(
    name: str, file: str, form: str, words: list[str], needs: str, result: str = "stdout", **more: object
) -> Subject:
    return Subject(name, file, form, tuple(words), tuple(needs.split()), result, **more)  # type: ignore[arg-type]


def _data(name: str, file: str, form: str, words: list[str], needs: str, other: str | None = None) -> Subject:
    full = ("teach", *words, "model=mlp", *SMALL, "out=n") if words[0] != "teach" else (*words, "out=n")
    return Subject(name, file, form, full, tuple(needs.split()), "run:n", other, is_ours=False)


def _predictions(name: str, file: str, form: str) -> Subject:
    words = ("label", *DIGITS, f"predictions={file}", "predictions.kind=logits", "out=n")
    return Subject(name, file, form, words, ("predictions",), "files:n/*.npy", is_ours=False)


_RESUME = [*HALF, "out=h", "resume=true"]
_STUDENT = ["distill", *DIGITS, *SMALL, "model=mlp", "teacher=t", "out=n"]
_STORED = ["distill", *DIGITS, *SMALL, "data.view=crop_flip", "model=mlp", "labels=l", "out=n"]
_ONE = ["one.png", "--json"]

SUBJECTS: tuple[Subject, ...] = (
    # a run folder
    _ours("config.yaml, evaluate", "t/config.yaml", "yaml", ["evaluate", "t"], "t t2", other="t2/config.yaml"),
    _ours(
        "config.yaml, resume",
        "h/config.yaml",
        "yaml",
        _RESUME,
        "h h2",
        "run:h",
        other="h2/config.yaml",
        mends=True,
    ),
    _ours(
        "config.yaml, report",
        "t/config.yaml",
        "yaml",
        ["report", "."],
        "t t2",
        "file:report.csv",
        other="t2/config.yaml",
    ),
    _ours("config.yaml, curve", "t/config.yaml", "yaml", CURVE, "t t2", "runs:c/*", other="t2/config.yaml"),
    _ours("result.json, evaluate", "t/result.json", "json", ["evaluate", "t"], "t t2", other="t2/result.json"),
    _ours("result.json, assess", "t/result.json", "json", ["assess", "t"], "t t2", other="t2/result.json"),
    _ours("result.json, teacher", "t/result.json", "json", _STUDENT, "t t2", "run:n", other="t2/result.json"),
    _ours(
        "result.json, report",
        "t/result.json",
        "json",
        ["report", "."],
        "t t2",
        "file:report.csv",
        other="t2/result.json",
    ),
    _ours(
        "result.json, export",
        "t/result.json",
        "json",
        ["export", "t", "--to", "x.safetensors"],
        "t t2",
        "weights:x.safetensors",
        other="t2/result.json",
    ),
    _ours("metrics.jsonl, resume", "h/metrics.jsonl", "jsonl", _RESUME, "h h2", "run:h", other="h2/metrics.jsonl"),
    _ours(
        "checkpoint, resume",
        "h/checkpoint/last.pt",
        "checkpoint",
        _RESUME,
        "h h2",
        "run:h",
        other="h2/checkpoint/last.pt",
    ),
    _ours(
        "checkpoint of memory, resume",
        "hb/checkpoint/last.pt",
        "checkpoint",
        [*HALF_BANK, "resume=true"],
        "t h hb",
        "run:hb",
        other="h/checkpoint/last.pt",
    ),
    _ours(
        "checkpoint of a stage, resume",
        "hs/stages/ft/checkpoint/last.pt",
        "checkpoint",
        [*HALF_STAGE, "resume=true"],
        "tc h hs",
        "run:hs",
        other="h/checkpoint/last.pt",
    ),
    _ours(
        "kept epoch, teacher",
        "t/checkpoint/epoch_0002.safetensors",
        "safetensors",
        [*_STUDENT, "teacher.epoch=2"],
        "t t2",
        "run:n",
        other="t2/checkpoint/epoch_0002.safetensors",
    ),
    _ours(
        "kept epoch, export",
        "t/checkpoint/epoch_0002.safetensors",
        "safetensors",
        ["export", "t", "--epoch", "2", "--to", "x.safetensors"],
        "t t2",
        "weights:x.safetensors",
        other="t2/checkpoint/epoch_0002.safetensors",
    ),
    _ours(
        "model.safetensors, evaluate",
        "t/model.safetensors",
        "safetensors",
        ["evaluate", "t"],
        "t t2",
        other="t2/model.safetensors",
    ),
    _ours(
        "model.safetensors, teacher",
        "t/model.safetensors",
        "safetensors",
        _STUDENT,
        "t t2",
        "run:n",
        other="t2/model.safetensors",
    ),
    _ours(
        "model.safetensors, label",
        "t/model.safetensors",
        "safetensors",
        [*LABEL, "teacher=t", "out=l"],
        "t t2",
        "files:l/*.npy",
        other="t2/model.safetensors",
    ),
    _ours(
        "model.safetensors, resumed student",
        "t/model.safetensors",
        "safetensors",
        [*HALF_BANK, "resume=true"],
        "t t2 hb",
        "run:hb",
        other="t2/model.safetensors",
    ),
    _ours(
        "track.id, resume", "ht/track.id", "text", [*HALF, "track=tensorboard", "out=ht", "resume=true"], "ht", "run:ht"
    ),
    # exported: a file of its own, whose place an intact one of another run may take
    _ours(
        "exported safetensors, evaluate",
        "e/t.safetensors",
        "safetensors",
        ["evaluate", "e/t.safetensors", *DIGITS],
        "e e2",
    ),
    _ours(
        "exported safetensors, start_from",
        "e/t.safetensors",
        "safetensors",
        ["teach", *TRAIN, "model=mlp", "epochs=1", "start_from=e/t.safetensors", "out=n"],
        "e e2",
        "run:n",
    ),
    _ours("exported onnx, predict", "e/t.onnx", "onnx", ["predict", "e/t.onnx", *_ONE], "e e2 photos"),
    _ours(
        "exported onnx, teacher",
        "e/t.onnx",
        "onnx",
        ["distill", *DIGITS, *SMALL, "model=mlp", "teacher=e/t.onnx", "out=n"],
        "e e2",
        "run:n",
    ),
    _ours("exported pt2, predict", "e/t.pt2", "pt2", ["predict", "e/t.pt2", *_ONE], "e e2 photos"),
    _ours(
        "Hub model.safetensors, predict",
        "hub/model.safetensors",
        "safetensors",
        ["predict", "hub", *_ONE],
        "e e2 photos",
    ),
    _ours(
        "Hub preceptor.json, export",
        "hub/preceptor.json",
        "json",
        ["export", "t", "--to", "x.safetensors", "--hub-folder", "hub", "--license", "unknown"],
        "t e e2",
        "file:hub/preceptor.json",
        other="hub2/preceptor.json",
        mends=True,
    ),
    # stored labels
    _ours("manifest.json, distill", "l/manifest.json", "json", _STORED, "l l2", "run:n", other="l2/manifest.json"),
    _ours(
        "manifest.json, label",
        "l/manifest.json",
        "json",
        [*LABEL, "teacher=t", "out=l"],
        "t l l2",
        "files:l/*",
        other="l2/manifest.json",
        mends=True,
    ),
    _ours("label shard, distill", "l/view0001-*.npy", "npy", _STORED, "l l2", "run:n", other="l2/view0001-*.npy"),
    _ours(
        "label shard, label",
        "l/view0002-*.npy",
        "npy",
        [*LABEL, "teacher=t", "out=l"],
        "t l l2",
        "files:l/*",
        other="l2/view0002-*.npy",
        mends=True,
    ),
    # grids, curves, reports
    _ours("grid.json, report", "grid/grid.json", "json", ["report", "grid"], "grid", "file:grid/report.csv"),
    _ours(
        "cell's result.json, report",
        "cells/distill-*/result.json",
        "json",
        ["report", "grid"],
        "grid",
        "file:grid/report.csv",
    ),
    _ours(
        "cell's config.yaml, report",
        "cells/distill-*/config.yaml",
        "yaml",
        ["report", "grid"],
        "grid",
        "file:grid/report.csv",
    ),
    # of a cell that has failed: of others the result counts
    _ours(
        "cell's state, report",
        "failed/cells/*.state.json",
        "json",
        ["report", "failed/grid"],
        "failed",
        "file:failed/grid/report.csv",
        may_be_missing=True,
    ),
    _ours(
        "cell's state, status",
        "failed/cells/*.state.json",
        "json",
        ["grid", "f.yaml", "--status"],
        "failed",
        "file:failed/grid/grid.json",
        may_be_missing=True,
    ),
    _ours(
        "student's result.json, curve",
        "c/epoch_0002/result.json",
        "json",
        CURVE,
        "t c",
        "file:c/curve.json",
        other="t/result.json",
        may_be_missing=True,
    ),
    _ours(
        "kept epoch, curve",
        "t/checkpoint/epoch_0001.safetensors",
        "safetensors",
        CURVE,
        "t t2 c",
        "file:c/curve.json",
        other="t2/checkpoint/epoch_0001.safetensors",
    ),
    _ours(
        "shard index, teach",
        "indexed/.train-*.npz",
        "npz",
        [*WDS, "data=wds:indexed/train-000.tar", "data.test=indexed/val-000.tar", "out=n"],
        "indexed",
        "run:n",
        other="indexed/.val-*.npz",
        mends=True,
    ),
    # of the user
    Subject(
        "--config",
        "a.yaml",
        "yaml",
        ("teach", "--config", "a.yaml", "epochs=1"),
        ("configs",),
        "run:n",
        "b.yaml",
        is_ours=False,
    ),
    Subject("grid file", "g.yaml", "yaml", ("grid", "g.yaml", "--status"), ("grid",), "stdout", None, is_ours=False),
    _predictions("predictions, csv", "p.csv", "csv"),
    _predictions("predictions, npy", "p.npy", "npy"),
    _predictions("predictions, npz", "p.npz", "npz"),
    _data("npz", "a.npz", "npz", ["data=npz:a.npz"], "npz", "b.npz"),
    _data("csv", "a.csv", "csv", ["data=table:a.csv", "data.target=income"], "csv", "b.csv"),
    _data("parquet", "a.parquet", "parquet", ["data=table:a.parquet", "data.target=income"], "parquet", "b.parquet"),
    _data(
        "image in a folder",
        "photos/train/1/1.png",
        "png",
        ["data=folder:photos", "data.size=8"],
        "photos",
        "photos/train/2/2.png",
    ),
    _data(
        "image in a folder, in memory",
        "photos/test/0/0.png",
        "png",
        ["data=folder:photos"],
        "photos",
        "photos/train/2/2.png",
    ),
    Subject(
        "image, predict",
        "one.png",
        "png",
        ("predict", "e/t.safetensors", "one.png", "--json"),
        ("e", "photos"),
        other="photos/train/2/2.png",
        is_ours=False,
    ),
    _data(
        "tar",
        "shards/train-000.tar",
        "tar",
        [*WDS, "data=wds:shards/train-000.tar", "data.test=shards/val-000.tar"],
        "shards",
        "shards/val-000.tar",
    ),
    _data(
        "cifar pickle",
        "cifar/cifar-10-batches-py/data_batch_2",
        "pickle",
        ["data=cifar10", "data.root=cifar"],
        "cifar",
        "cifar/cifar-10-batches-py/batches.meta",
    ),
    _data(
        "cifar names", "cifar/cifar-10-batches-py/batches.meta", "pickle", ["data=cifar10", "data.root=cifar"], "cifar"
    ),
    _data(
        "votes", "cifar/votes.npz", "npz", ["data=cifar10", "data.root=cifar", "data.votes=cifar/votes.npz"], "cifar"
    ),
    _data(
        "sentences",
        "texts/train.tsv",
        "csv",
        [
            "teach",
            "data=text:texts",
            "data.tokenizer=tokenizer",
            "data.length=8",
            "model=hf:bert",
            "optim.lr=1e-3",
            *SMALL,
        ],
        "texts",
        "texts/dev.tsv",
    ),
    _data(
        "tokenizer",
        "tokenizer/tokenizer.json",
        "json",
        [
            "teach",
            "data=text:texts",
            "data.tokenizer=tokenizer",
            "data.length=8",
            "model=hf:bert",
            "optim.lr=1e-3",
            *SMALL,
        ],
        "texts",
    ),
    _data("hf data", "hf/train/data-*.arrow", "bytes", ["data=hf:hf"], "hf", "hf/test/data-*.arrow"),
    _data("hf data's description", "hf/train/dataset_info.json", "json", ["data=hf:hf"], "hf"),
    Subject(
        "shared .pth",
        "t.pth",
        "checkpoint",
        ("distill", *DIGITS, *SMALL, "model=mlp", "teacher=t.pth", "teacher.model=mlp", "out=n"),
        ("pth",),
        "run:n",
        "t2.pth",
        is_ours=False,
    ),
)
