"""About thirty short seeded runs, and the bits they end in: what a change of the code's layout must leave as it was.

    python tests/bit_identity.py before.json              # in the code as it was
    python tests/bit_identity.py after.json before.json   # in the code as it is: names every run that differs

Bits depend on the machine and on torch, so both files are made on the same one.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.datasets import load_digits

import preceptor
from sentences import reviews, save_bert, save_tokenizer, write
from torchrun import torchrun

DATA = {"name": "digits", "limit": 320, "test_limit": 100, "view": "crop_flip"}
COMMON: dict[str, Any] = {"data": DATA, "epochs": 2, "batch_size": 48, "engine": "plain", "seed": 3, "progress": False}


def digest(folder: Path) -> dict[str, str]:
    """Return sha256s of a run's final weights and of its metrics, without times."""
    weights = hashlib.sha256()
    for name, tensor in sorted(load_file(folder / "model.safetensors").items()):
        weights.update(name.encode() + tensor.contiguous().numpy().tobytes())
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        del row["seconds"], row["images_per_second"]
        row["train"].pop("weighted", None)  # products of what is compared
    result = json.loads((folder / "result.json").read_text())
    metrics = {"epochs": rows, "test": result["test"], "validation": result["validation"]}
    return {
        "weights": weights.hexdigest(),
        "metrics": hashlib.sha256(json.dumps(metrics, sort_keys=True).encode()).hexdigest(),
    }


def teach(out: Path, **keys: Any) -> Path:
    return preceptor.teach(**{**COMMON, "model": "convnet_s", "out": out, **keys}).path


def distill(out: Path, teacher: Any, **keys: Any) -> Path:
    return preceptor.distill(**{**COMMON, "model": "convnet_s", "teacher": teacher, "out": out, **keys}).path


def images(folder: Path) -> Path:
    found = load_digits()
    for number, (pixels, label) in enumerate(zip(found.images[:300], found.target[:300], strict=True)):
        place = folder / ("test" if number % 3 == 0 else "train") / str(label)
        place.mkdir(parents=True, exist_ok=True)
        side = 16 + number % 5
        Image.fromarray((16 * pixels).clip(0, 255).astype("uint8")).resize((side, 20)).save(place / f"{number}.png")
    return folder


def table(file: Path) -> Path:
    found = load_digits()
    names = [f"c{k}" for k in range(8)] + ["kind", "label"]
    lines = [",".join(names)]
    for number, (row, label) in enumerate(zip(found.data[:400], found.target[:400], strict=True)):
        lines.append(",".join([*map(str, row[16:24]), "abc"[number % 3], str(label)]))
    file.write_text("\n".join(lines))
    return file


def two_ranks(out: Path, *words: str, verb: str = "teach") -> Path:
    keys = ["data=digits", "data.limit=320", "data.test_limit=100", "model=convnet_s", "epochs=2", "batch_size=48"]
    done = torchrun(["-m", "preceptor", verb, *keys, "engine=plain", "seed=3", f"out={out}", *words])
    assert done.returncode == 0, done.stderr
    return out


def killed_and_resumed(out: Path, *words: str) -> Path:
    keys = [
        "data=digits",
        "data.view=crop_flip",
        "model=convnet_s",
        "epochs=4",
        "batch_size=16",
        "engine=plain",
        "seed=3",
    ]
    command = [sys.executable, "-m", "preceptor", *words, *keys, "checkpoint_every_steps=7", f"out={out}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (out / "metrics.jsonl").exists():
        assert process.poll() is None, "ended too early"
        time.sleep(0.005)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    process.wait()
    assert not (out / "result.json").exists()
    subprocess.run([*command, "resume=true"], check=True, capture_output=True)
    return out


def runs(at: Path) -> dict[str, Callable[[Path], Path]]:
    """Return the runs by name; later ones learn from earlier ones."""
    t, keep = at / "teach-cross_entropy", {"keep_every": 1, "model": "convnet_m"}
    photos, cells = f"folder:{images(at / 'photos')}", f"table:{table(at / 'cells.csv')}"
    text: dict[str, Any] = {"name": "text", "path": str(write(at / "text" / "train.csv", reviews(240, 0)).parent)}
    write(at / "text" / "dev.csv", reviews(80, 1))
    text["tokenizer"] = str(save_tokenizer(at / "tokenizer"))
    text["length"] = 8
    bert = f"hf:{save_bert(at / 'bert', 16, 1)}"
    pool = {"name": "digits", "limit": 200, "split_seed": 1}

    def stored(out: Path) -> Path:
        preceptor.label(data=DATA, teacher=str(t), views=2, engine="plain", out=at / "labels", progress=False)
        return preceptor.distill(**{**COMMON, "model": "convnet_s", "labels": at / "labels", "out": out}).path

    return {
        "teach-cross_entropy": lambda out: teach(out, **keep),
        "teach-second": lambda out: teach(out, seed=4, model="convnet_m"),
        "teach-label_smoothing": lambda out: teach(out, objective="label_smoothing"),
        "teach-brier_warm-swa": lambda out: teach(out, objective="brier_warm", averaging={"name": "swa", "start": 1}),
        "teach-soteacher-ema": lambda out: teach(out, objective="soteacher", averaging={"name": "ema", "start": 1}),
        "teach-confidence_ranking": lambda out: teach(out, objective="confidence_ranking", stop_at="best_val_nll"),
        "teach-mcmi": lambda out: teach(out, objective="mcmi", start_from=t, model="convnet_m", optim={"lr": 0.001}),
        "teach-mixup-accumulate": lambda out: teach(
            out, inputs="mixup", accumulate=3, clip_norm=1.0, model="resnet8x4"
        ),
        "teach-folder": lambda out: teach(out, data={"name": photos, "size": 16}, model="resnet8"),
        "teach-folder-in-memory": lambda out: teach(
            out, data={"name": photos, "size": 12}, inputs="cutmix", batch_size=40
        ),
        "teach-table": lambda out: teach(out, data={"name": cells, "target": "label"}, model="mlp"),
        "teach-text": lambda out: teach(out, data=text, model=bert),
        "teach-bf16": lambda out: teach(out, precision="bf16", model="mlp"),
        "kd": lambda out: distill(out, t),
        "kd-adamw": lambda out: distill(out, t, optim="adamw", schedule="cosine"),
        "dkd-mixpatch": lambda out: distill(out, t, method="dkd", inputs="mixpatch"),
        "fitnet": lambda out: distill(out, t, method="fitnet"),
        "ab-stage": lambda out: distill(out, t, method={"name": "ab", "stage_epochs": 1}),
        "ft-stage": lambda out: distill(out, t, method={"name": "ft", "stage_epochs": 1}),
        "crd-bank": lambda out: distill(out, t, method="crd"),
        "reviewkd": lambda out: distill(out, t, method="reviewkd"),
        "simkd": lambda out: distill(out, t, method="simkd"),
        "sskd-views": lambda out: distill(out, t, method="sskd", batch_size=24),
        "hsakd": lambda out: distill(out, t, method={"name": "hsakd", "stage_epochs": 1}, batch_size=24),
        "ofd": lambda out: distill(out, t, method="ofd"),
        "vid-at": lambda out: distill(out, t, method={"name": "vid", "at": {"weight": 10.0}}),
        "semckd": lambda out: distill(out, t, method={"name": "semckd", "weight": 4.0}),
        "ctkd": lambda out: distill(out, t, method="ctkd"),
        "mlkd": lambda out: distill(out, t, method="mlkd"),
        "ensemble": lambda out: distill(out, {"path": [str(t), str(at / "teach-second")]}, method="ensemble"),
        "dot": lambda out: distill(out, t, method="dot"),
        "rco": lambda out: distill(out, t, method="rco"),
        "takd": lambda out: distill(out, {"path": str(t), "assistants": ["convnet_m"]}, method="takd"),
        "function_matching": lambda out: distill(out, t, method="function_matching"),
        "pe_bkd-search": lambda out: distill(
            out, t, method="pe_bkd", inputs={"name": "kd_plus", "search": True, "search_every": 1}, epochs=3
        ),
        "noise-unlabelled": lambda out: distill(out, t, inputs={"name": "noise", "add": True}, unlabelled=pool),
        "labelled_fraction": lambda out: distill(out, t, data={**DATA, "labelled_fraction": 0.3}, method="wsld"),
        "stored": stored,
        "two-ranks-teach": lambda out: two_ranks(out, "objective=soteacher"),
        "two-ranks-crd": lambda out: two_ranks(out, f"teacher={t}", "method=crd", verb="distill"),
        "resumed-teach": lambda out: killed_and_resumed(out, "teach", "objective=soteacher", "averaging=ema"),
        "resumed-search": lambda out: killed_and_resumed(
            out, "distill", f"teacher={t}", "method=pe_bkd", "inputs.search_every=1"
        ),
    }


def main(out: Path, against: Path | None = None) -> int:
    torch.set_num_threads(1)
    found: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, run in runs(Path(folder)).items():
            began = time.perf_counter()
            found[name] = digest(run(Path(folder) / name))
            print(f"{name:28} {found[name]['weights'][:12]} {time.perf_counter() - began:5.1f} s", flush=True)
    out.write_text(json.dumps(found, indent=1) + "\n")
    if against is None:
        return 0
    before = json.loads(against.read_text())
    different = [name for name in sorted({*before, *found}) if before.get(name) != found.get(name)]
    for name in different:
        print(f"differs: {name}: {before.get(name)} before, {found.get(name)} now")
    print(f"{len(found) - len(different)} of {len(found)} runs end in the same bits and metrics")
    return int(bool(different))


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
