"""The small world that the campaign works on: runs, half-finished runs, exports, labels, grids and data of every kind.

Items are made when they are first needed, each from those before it, in one folder; a command runs in a copy of what it needs.
"""

from __future__ import annotations

import io
import os
import pickle
import shutil
import signal
import tarfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from campaign.child import command, fork, watch_writes

__all__ = ["DIGITS", "HALF", "HALF_BANK", "HALF_STAGE", "World", "stopped_at"]

DIGITS = ["data=digits", "data.limit=60", "data.test_limit=40"]
TRAIN = [*DIGITS, "batch_size=16", "engine=plain"]
HALF = ["teach", *TRAIN, "model=mlp", "epochs=4", "checkpoint_every_steps=3"]
HALF_BANK = ["distill", *TRAIN, "model=mlp", "teacher=t", "method=crd", "method.dim=8", "epochs=4", "out=hb"]
HALF_STAGE = [
    "distill",
    *TRAIN,
    "model=convnet_s",
    "teacher=tc",
    "method=ft",
    "method.stage_epochs=2",
    "epochs=3",
    "out=hs",
]
SMALL = ["batch_size=16", "engine=plain", "epochs=1"]
_LONGEST = 600.0


class World:
    """Makes items in a folder.

    Args:
        folder: of the world; what is there is used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def make(self, items: Iterable[str]) -> None:
        """Make items, as far as they are missing."""
        for item in items:
            needs, build = ITEMS[item]
            self.make(needs)
            done = self.folder / f".{item}.made"
            if not done.exists():
                before = Path.cwd()
                os.chdir(self.folder)
                try:
                    build()
                finally:
                    os.chdir(before)
                done.touch()

    def copy(self, items: Iterable[str], target: Path) -> None:
        """Copy items into a folder, with the times of their files."""
        self.make(items)
        target.mkdir(parents=True)
        for item in items:
            for name in PLACES.get(item, (item,)):
                source = self.folder / name
                if source.is_dir():
                    shutil.copytree(source, target / name, symlinks=True)
                else:
                    (target / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(source, target / name)


def run(words: Sequence[str], *, memory: int | None = None, status: int = 0) -> None:
    """Carry out a command in this folder, in a child.

    Raises:
        RuntimeError: when it ends with another status.
    """
    ended = fork(command(words), Path.cwd(), memory=memory).wait(_LONGEST)
    if ended.status != status:
        raise RuntimeError(f"{' '.join(words)}: {ended.status}\n{ended.err[-2000:]}")


def stopped_at(words: Sequence[str], name: str, count: int) -> None:
    """Carry out a command in this folder, killed before the file `name` is put into its place for the `count`-th time."""
    left = count

    def act(event: str, path: str) -> None:
        nonlocal left
        if event == "os.rename" and path.endswith(name):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    ended = fork(command(words), Path.cwd(), memory=None, watch=watch_writes(Path.cwd(), act)).wait(_LONGEST)
    if ended.status != -signal.SIGKILL:
        raise RuntimeError(f"{' '.join(words)}: {ended.status}, not killed\n{ended.err[-2000:]}")


def _both(make: Callable[[str, int], None], suffix: str) -> None:
    for seed, name in enumerate("ab"):
        make(f"{name}.{suffix}", seed)


def _run(*words: str) -> Callable[[], None]:
    return lambda: run(words)


def _export(source: str, to: str, hub: str) -> None:
    Path(to).mkdir(exist_ok=True)
    run(["export", source, "--to", f"{to}/t.safetensors", "--hub-folder", hub, "--license", "unknown"])
    run(["export", source, "--to", f"{to}/t.pt2"])
    run(["export", source, "--to", f"{to}/t.onnx"])


def _digit_images(number: int) -> list[tuple[Any, int]]:
    from sklearn.datasets import load_digits  # noqa: PLC0415

    found = load_digits()
    pixels = (16 * found.images[:number]).clip(0, 255).astype("uint8")
    return list(zip(pixels, (int(label) for label in found.target[:number]), strict=True))


def _photos() -> None:
    for number, (pixels, label) in enumerate(_digit_images(90)):
        place = Path("photos") / ("test" if number % 3 == 0 else "train") / str(label % 3)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number}.png")
    Image.fromarray(_digit_images(1)[0][0]).save("one.png")


def _arrays(name: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(size=(80, 6)).astype(np.float32)
    np.savez(name, x=x, y=(x[:, 0] > 0).astype(np.int64))


def _table(seed: int) -> list[tuple[float, float, str, str]]:
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(80, 2)).round(3)
    return [(float(a), float(b), "ab"[k % 2], ("low", "high")[int(a > 0)]) for k, (a, b) in enumerate(numbers)]


def _csv(name: str, seed: int) -> None:
    lines = ["age,size,job,income", *(",".join(map(str, row)) for row in _table(seed))]
    Path(name).write_text("\n".join(lines) + "\n")


def _parquet(name: str, seed: int) -> None:
    import pyarrow as arrow  # noqa: PLC0415  (an extra)
    import pyarrow.parquet  # noqa: PLC0415

    columns = dict(zip(("age", "size", "job", "income"), zip(*_table(seed), strict=True), strict=True))
    pyarrow.parquet.write_table(arrow.table({key: list(values) for key, values in columns.items()}), name)


def _predictions() -> None:
    logits = np.random.default_rng(0).normal(size=(60, 10)).round(3)
    np.save("p.npy", logits)
    np.savez("p.npz", logits=logits)
    lines = [",".join(map(str, range(10))), *(",".join(map(str, row)) for row in logits.tolist())]
    Path("p.csv").write_text("\n".join(lines) + "\n")


def _shards() -> None:
    Path("shards").mkdir()
    for name, rows in (("train-000", range(60)), ("val-000", range(60, 90))):
        with tarfile.open(f"shards/{name}.tar", "w") as shard:
            for row in rows:
                pixels, label = _digit_images(90)[row]
                content = io.BytesIO()
                Image.fromarray(pixels).save(content, "png")
                for suffix, part in (("png", content.getvalue()), ("cls", str(label % 3).encode())):
                    member = tarfile.TarInfo(f"{row:05d}.{suffix}")
                    member.size = len(part)
                    shard.addfile(member, io.BytesIO(part))
        os.utime(f"shards/{name}.tar", (1_700_000_000, 1_700_000_000))  # old enough for an index


def _indexed() -> None:
    shutil.copytree("shards", "indexed")
    run([*WDS, "data=wds:indexed/train-000.tar", "data.test=indexed/val-000.tar", "out=indexing"])


def _cifar() -> None:
    random = np.random.default_rng(0)
    folder = Path("cifar/cifar-10-batches-py")
    folder.mkdir(parents=True)
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        part = {"data": random.integers(0, 256, (20, 3072), dtype=np.uint8), "labels": [k % 10 for k in range(20)]}
        (folder / name).write_bytes(pickle.dumps(part, 2))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class {k}" for k in range(10)]}, 2))
    np.savez("cifar/votes.npz", counts=random.integers(1, 9, (20, 10)))


def _texts() -> None:
    from sentences import reviews, save_bert, save_tokenizer, write  # noqa: PLC0415  (needs transformers)

    write(Path("texts/train.tsv"), reviews(60, 0))
    write(Path("texts/dev.tsv"), reviews(30, 1))
    save_tokenizer(Path("tokenizer"))
    save_bert(Path("bert"), 8, 1)


def _hf() -> None:
    import datasets  # noqa: PLC0415  (an extra)

    rows = _table(0)
    columns = {"age": [row[0] for row in rows], "size": [row[1] for row in rows], "label": [k % 2 for k in range(80)]}
    datasets.disable_progress_bars()
    made = datasets.Dataset.from_dict(columns)
    datasets.DatasetDict({"train": made, "test": made.select(range(30))}).save_to_disk("hf")


def _grid() -> None:
    keys = "data: digits, data.limit: 60, data.test_limit: 40, batch_size: 16, engine: plain, epochs: 2"
    Path("g.yaml").write_text(
        f"fixed: {{{keys}}}\nseed: [0]\npair:\n  - {{teacher.model: mlp, model: mlp}}\n"
        "teach:\n  objective: cross_entropy\ndistill:\n  method: [kd, dkd]\n"
        "compare: {baseline: {method: kd}, over: seed}\nout: grid\n"
    )
    run(["grid", "g.yaml", "--jobs", "1"])


def _failed_grid() -> None:
    """A grid of one cell, which fails: its loss is not finite."""
    keys = (
        "data: digits, data.limit: 60, data.test_limit: 40, batch_size: 16, engine: plain, epochs: 2, optim.lr: 1.0e+30"
    )
    Path("f.yaml").write_text(f"fixed: {{{keys}}}\nteach: {{objective: cross_entropy, model: mlp}}\nout: failed/grid\n")
    run(["grid", "f.yaml", "--jobs", "1"], status=1)


def _config(name: str, seed: int) -> None:
    keys = ["data: {name: digits, limit: 60, test_limit: 40}", "model: {name: mlp}", "batch_size: 16"]
    rest = ["engine: plain", f"seed: {seed}", "optim: {name: sgd, lr: 0.05, momentum: 0.9}", "out: n"]
    Path(name).write_text("\n".join([*keys, *rest]) + "\n")


def _pth() -> None:
    from safetensors.torch import load_file  # noqa: PLC0415

    for name, source in (("t.pth", "t"), ("t2.pth", "t2")):
        torch.save(load_file(f"{source}/model.safetensors"), name)


WDS = ["teach", "data.size=8", "model=convnet_s", *SMALL]
CURVE = ["curve", "t", "model=mlp", "method=kd", *SMALL, "out=c"]
LABEL = ["label", *DIGITS, "data.view=crop_flip", "views=2", "engine=plain"]

# what each item needs, and how it is made
ITEMS: dict[str, tuple[tuple[str, ...], Callable[[], None]]] = {
    "t": ((), _run("teach", *TRAIN, "model=mlp", "epochs=3", "keep_every=1", "out=t")),
    "t2": ((), _run("teach", *TRAIN, "model=mlp", "epochs=3", "keep_every=1", "seed=1", "out=t2")),
    "tc": ((), _run("teach", *TRAIN, "model=convnet_s", "epochs=2", "out=tc")),
    "h": ((), lambda: stopped_at([*HALF, "out=h"], "last.pt", 5)),
    "h2": ((), lambda: stopped_at([*HALF, "seed=1", "out=h2"], "last.pt", 5)),
    "ht": ((), lambda: stopped_at([*HALF, "track=tensorboard", "out=ht"], "last.pt", 5)),
    "hb": (("t",), lambda: stopped_at(HALF_BANK, "last.pt", 3)),
    "hs": (("tc",), lambda: stopped_at(HALF_STAGE, "last.pt", 2)),
    "l": (("t",), _run(*LABEL, "teacher=t", "out=l")),
    "l2": (("t2",), _run(*LABEL, "teacher=t2", "out=l2")),
    "e": (("t",), lambda: _export("t", "e", "hub")),
    "e2": (("t2",), lambda: _export("t2", "e2", "hub2")),
    "c": (("t",), _run(*CURVE)),
    "grid": ((), _grid),
    "failed": ((), _failed_grid),
    "photos": ((), _photos),
    "npz": ((), lambda: _both(_arrays, "npz")),
    "csv": ((), lambda: _both(_csv, "csv")),
    "parquet": ((), lambda: _both(_parquet, "parquet")),
    "predictions": ((), _predictions),
    "shards": ((), _shards),
    "indexed": (("shards",), _indexed),
    "cifar": ((), _cifar),
    "texts": ((), _texts),
    "hf": ((), _hf),
    "configs": ((), lambda: _both(_config, "yaml")),
    "pth": (("t", "t2"), _pth),
}
# the files of items that are not one folder of their name
PLACES: dict[str, tuple[str, ...]] = {
    "e": ("e", "hub"),
    "e2": ("e2", "hub2"),
    "grid": ("g.yaml", "grid", "cells"),
    "failed": ("f.yaml", "failed"),
    "photos": ("photos", "one.png"),
    "npz": ("a.npz", "b.npz"),
    "csv": ("a.csv", "b.csv"),
    "parquet": ("a.parquet", "b.parquet"),
    "predictions": ("p.npy", "p.npz", "p.csv"),
    "texts": ("texts", "tokenizer", "bert"),
    "configs": ("a.yaml", "b.yaml"),
    "pth": ("t.pth", "t2.pth"),
}
