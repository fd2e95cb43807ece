"""What a label store's settings cost in student accuracy: `run.py --data FOLDER --teacher RUN --work FOLDER`.

CIFAR-100, KD, one short schedule. The teacher runs once, in float16; the other settings are made of those outputs, which
is the same as running it again (its bf16 outputs fit into float16 unchanged). Runs that are there are kept; `results.json`
beside this file is rewritten after every run, and `README.md` from it and `about.md`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from preceptor.labels import Encoding, LabelStore, write_labels

HERE = Path(__file__).parent
EPOCHS = 2
STUDENT = ["model=resnet8", f"epochs={EPOCHS}", "batch_size=64", "optim.lr=0.1", "schedule=one_cycle", "method=kd"]
PLAIN = "float16, student with engine=plain"  # fp32 in all it does: what bf16 costs the student
SETTINGS: dict[str, tuple[Any, int]] = {  # name -> (dtype and top, views)
    "float16": (("float16", None), EPOCHS),
    "int8": (("int8", None), EPOCHS),
    "float16, top 16": (("float16", 16), EPOCHS),
    "int8, top 16": (("int8", 16), EPOCHS),
    "float16, top 4": (("float16", 4), EPOCHS),
    "float16, one view": (("float16", None), 1),
    PLAIN: (("float16", None), EPOCHS),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the unpacked CIFAR-100 files")
    parser.add_argument("--teacher", type=Path, required=True, help="a run folder")
    parser.add_argument("--work", type=Path, required=True, help="folder for labels and runs")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--at-once", type=int, default=2, help="runs side by side, each with a thread of its own")
    options = parser.parse_args()
    data = ["data=cifar100", f"data.root={options.data}"]
    options.work.mkdir(parents=True, exist_ok=True)
    stored = options.work / "labels-float16"
    preceptor(["label", *data, f"teacher={options.teacher}", f"views={EPOCHS}", f"out={stored}"])
    for name, (setting, views) in SETTINGS.items():
        convert(LabelStore(stored), options.work / folder_of(name), setting, views)

    def train(job: tuple[int, str]) -> None:
        seed, name = job
        out = options.work / f"{folder_of(name)}-seed{seed}"
        if not (out / "result.json").exists():
            labels = f"labels={options.work / folder_of(name)}"
            engine = "engine=plain" if name == PLAIN else "engine=auto"
            preceptor(["distill", *data, *STUDENT, labels, engine, f"seed={seed}", f"out={out}", "resume=true"])

    with ThreadPoolExecutor(options.at_once) as pool:
        list(pool.map(train, [(seed, name) for seed in options.seeds for name in SETTINGS]))
    collect(options.work, options.seeds)


def folder_of(name: str) -> str:
    return "labels-" + "".join(c if c.isalnum() else "-" for c in name)


def convert(stored: LabelStore, folder: Path, setting: Any, views: int) -> None:
    encoding = Encoding(stored.manifest.source.encoding.num_classes, *setting)
    source = replace(stored.manifest.source, encoding=encoding)
    manifest = replace(stored.manifest, source=source, views=views, shards={})
    if folder != stored.folder:
        write_labels(folder, manifest, lambda requests: (stored.logits(*each) for each in requests), batch_size=4096)


def preceptor(words: list[str]) -> None:
    subprocess.run([sys.executable, "-m", "preceptor", *words], check=True, stdout=subprocess.DEVNULL)


def collect(work: Path, seeds: list[int]) -> None:
    rows, exact = [], LabelStore(work / "labels-float16")
    for name in SETTINGS:
        store = LabelStore(work / folder_of(name))
        runs = [json.loads((work / f"{folder_of(name)}-seed{seed}" / "result.json").read_text()) for seed in seeds]
        rows.append(
            {
                "setting": name,
                "bytes_per_sample": store.manifest.source.encoding.bytes_per_sample * store.views,
                "kl_to_float16": divergence(exact, store),
                "accuracy": [run["test"]["accuracy"] for run in runs],
                "nll": [run["test"]["nll"] for run in runs],
            }
        )
    record = {"student": STUDENT, "seeds": seeds, "teacher": exact.manifest.source.teachers, "rows": rows}
    (HERE / "results.json").write_text(json.dumps(record, indent=1) + "\n")
    lines = [
        "| setting | bytes a sample | KL to float16, nats (T = 1; 4) | test accuracy % | difference, paired | NLL |",
        "|---|---|---|---|---|---|",
    ]
    first = rows[0]["accuracy"]
    for row in rows:
        differences = [100 * (mine - base) for mine, base in zip(row["accuracy"], first, strict=True)]
        difference = (
            "" if row is rows[0] else f"{statistics.fmean(differences):+.2f} ±{statistics.stdev(differences):.2f}"
        )
        kl = "; ".join(f"{value:.1e}" for value in row["kl_to_float16"])
        lines.append(
            f"| {row['setting']} | {row['bytes_per_sample']} | {kl} | {spread(row['accuracy'], 100)} | {difference} "
            f"| {spread(row['nll'], 1)} |"
        )
    (HERE / "README.md").write_text((HERE / "about.md").read_text().replace("TABLE", "\n".join(lines)))


def divergence(exact: LabelStore, store: LabelStore) -> list[float]:
    """Return the mean KL of the first 4,096 samples' distributions, at temperatures 1 and 4."""
    import torch  # noqa: PLC0415

    rows = torch.arange(4096)
    result = []
    for temperature in (1.0, 4.0):
        p, q = ((of.logits(1, rows).double() / temperature).log_softmax(1) for of in (exact, store))
        result.append(float((p.exp() * (p - q)).sum(1).mean()))
    return result


def spread(values: list[float], scale: float) -> str:
    return f"{scale * statistics.fmean(values):.2f} ±{scale * statistics.stdev(values):.2f}"


if __name__ == "__main__":
    main()
