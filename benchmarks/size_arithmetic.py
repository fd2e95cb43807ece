"""Memory, traffic, time and decoding of ImageNet on many GPUs, by arithmetic: `size_arithmetic.py [--gpus 8 16 32 64]`.

No GPU is used. Parameters and floating-point operations are counted on the networks themselves (random weights, 224 pixels),
what autograd keeps for the backward pass is weighed there too, bytes a sample are those of the objectives' own buffers
and of the label store's records. All else is a formula whose assumptions are flags. One thing is measured: what a JPEG of
500 x 375 pixels costs a core of this machine, read as training sees it, in processor time, so that what else runs here
counts little. Prints Markdown tables and writes results/size_arithmetic.json; with --recorded the tables, those of
docs/arithmetic.md, are of what was measured then.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from step_speed import machine
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from preceptor.data.augment.views import box_draws
from preceptor.data.images.crops import pixels_of, random_boxes, resized_crop
from preceptor.labels import Encoding
from preceptor.models import DataSpec, make
from preceptor.objectives.base import BuildContext, Objective
from preceptor.objectives.distill import CRD
from preceptor.objectives.teacher import Consistency
from preceptor.training import forward_flops
from preceptor.types import Outputs

RESULTS = Path(__file__).parent / "results" / "size_arithmetic.json"
PAIRS = [("torchvision:resnet34", "torchvision:resnet18"), ("timm:vit_base_patch16_224", "torchvision:resnet18")]
SIDE, HEIGHTS, ROUNDS, ROWS = 224, (375, 256), 15, 256
FEW = 100  # samples of the banks that are weighed


@dataclass(frozen=True)
class Images:
    """A data set: training images and classes."""

    name: str
    samples: int
    classes: int


SETS = [Images("ImageNet-1k", 1_281_167, 1000), Images("ImageNet-21k", 14_197_122, 21_841)]


@dataclass(frozen=True)
class Network:
    """What was counted on a network: of one image, `flops` forward, and `kept` bytes for the backward pass in bf16."""

    name: str
    parameters: int
    flops: float
    kept: float


@dataclass(frozen=True)
class Job:
    """A run on a data set: what is trained, beside which teacher, and whether with a bank of earlier outputs."""

    images: Images
    what: str
    trained: Network
    teacher: Network | None = None
    has_bank: bool = False

    @property
    def name(self) -> str:
        return f"{self.images.name}: {self.what}"

    @property
    def flops(self) -> float:
        """Operations per image: three forward passes for a training step, one for a teacher."""
        return 3 * self.trained.flops + (self.teacher.flops if self.teacher else 0)


@cache
def network(name: str, classes: int) -> Network:
    """Return what is counted on a network with so many outputs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make(name, DataSpec(classes, (3, SIDE, SIDE), (0.5,) * 3, (0.25,) * 3))
    with sdpa_kernel(SDPBackend.MATH):  # fused attention is not counted on the CPU
        flops = forward_flops(model, torch.zeros(1, 3, SIDE, SIDE))
    weights = {value.untyped_storage().data_ptr() for value in [*model.parameters(), *model.buffers()]}

    def weigh(rows: int) -> int:
        kept: dict[int, int] = {}

        def note(value: Tensor) -> Tensor:
            storage = value.untyped_storage()
            if storage.data_ptr() not in weights:
                kept[storage.data_ptr()] = storage.nbytes()
            return value

        hooks = torch.autograd.graph.saved_tensors_hooks(note, lambda value: value)
        with hooks, torch.autocast("cpu", torch.bfloat16):
            outputs = model(torch.zeros(rows, 3, SIDE, SIDE))  # kept, so that no address is used twice
        assert outputs.requires_grad
        return sum(kept.values())

    model.train()
    kept = weigh(3) - weigh(2)  # weights in bf16 are kept as well, once
    return Network(name, sum(value.numel() for value in model.parameters()), flops, kept)


def jobs(pairs: list[tuple[str, str]], images: Images) -> list[Job]:
    """Return the runs of these pairs: each teacher with a bank, each student from stored labels, each pair."""

    def of(name: str) -> Network:
        return network(name, images.classes)

    taught = dict.fromkeys(teacher for teacher, _ in pairs)
    students = dict.fromkeys(student for _, student in pairs)
    return [
        *(Job(images, f"teach {short(name)}", of(name), has_bank=True) for name in taught),
        *(Job(images, f"stored labels -> {short(name)}", of(name)) for name in students),
        *(Job(images, f"{short(its)} -> {short(name)}", of(name), of(its)) for its, name in pairs),
    ]


def short(name: str) -> str:
    return name.rpartition(":")[2]


def bank_bytes(objective: Objective, classes: int) -> float:
    """Return bytes that an objective's memories take for each sample."""
    said = Outputs(torch.zeros(2, classes), {"pooled": torch.zeros(2, 512)})
    objective.build(BuildContext(FEW, classes, said, said, labels=torch.arange(FEW)))
    return sum(objective.get_buffer(name).nbytes for name in objective.memory_banks) / FEW


def decoding(height: int) -> dict[str, float]:
    """Return the processor time, in ms, from the bytes of a JPEG of 4:3 to the pixels of a random crop: median and IQR."""
    files = []
    for pixels in load_sample_images().images:
        for left in range(0, pixels.shape[1] - pixels.shape[0] * 4 // 3 + 1, 10):
            crop = Image.fromarray(pixels).crop((left, 0, left + pixels.shape[0] * 4 // 3, pixels.shape[0]))
            content = io.BytesIO()
            crop.resize((height * 4 // 3, height), Image.Resampling.LANCZOS).save(content, "JPEG", quality=95)
            files.append(content.getvalue())

    milliseconds = []
    for number in range(ROUNDS + 1):
        began = time.process_time()
        for row, drawn in enumerate(box_draws(0, number, torch.arange(ROWS)).split(1)):
            with Image.open(io.BytesIO(files[row % len(files)])) as image:
                full = pixels_of(image.convert("RGB"))
            (box,) = random_boxes(drawn, torch.tensor([full.shape[1:]])).tolist()
            resized_crop(full, box, (SIDE, SIDE))
        milliseconds.append(1e3 * (time.process_time() - began) / ROWS)
    low, median, high = statistics.quantiles(milliseconds[1:], n=4)  # the first round loads libraries
    return {"ms": median, "iqr": high - low, "kilobytes": sum(map(len, files)) / len(files) / 1e3}


def networks(runs: list[Job]) -> dict[tuple[Images, Network], None]:
    """Return each network once, beside the data whose classes it has outputs for."""
    return {
        (job.images, network): None for job in runs for network in (job.trained, job.teacher) if network is not None
    }


def counts(runs: list[Job]) -> str:
    """Return what was counted."""
    lines = []
    for images, network in networks(runs):
        name = f"`{network.name}`, {images.classes:,}"
        lines.append([name, f"{network.parameters / 1e6:.1f} M", f"{network.flops / 1e9:.2f}", size(network.kept)])
    return table(["network, outputs", "parameters", "forward, GFLOP an image", "kept for backward, an image"], lines)


def growth(options: argparse.Namespace) -> str:
    """Return what grows with the data."""
    stored: list[tuple[str, Callable[[int], float]]] = [
        ("bank of `consistency`", lambda classes: bank_bytes(Consistency(), classes)),
        (f"the same, `top={options.top}`", lambda classes: bank_bytes(Consistency(top=options.top), classes)),
        ("two banks of `crd`", lambda classes: bank_bytes(CRD(), classes)),
        ("stored labels, float16, one view", lambda classes: Encoding(classes).bytes_per_sample),
        (f"the same, `top={options.top}`", lambda classes: Encoding(classes, top=options.top).bytes_per_sample),
    ]
    lines = []
    for what, weigh in stored:
        line = [what]
        for images in SETS:
            each = weigh(images.classes)
            line += [size(each), size(each * images.samples)]
        lines.append(line)
    return table(["", *(f"{images.name}, {of}" for images in SETS for of in ("a sample", "in all"))], lines)


def memory(runs: list[Job], options: argparse.Namespace) -> str:
    """Return what a GPU holds, at the smallest number of GPUs."""
    rows = options.batch / min(options.gpus)
    lines = []
    for job in runs:
        mine, theirs = 3 * 4 * job.trained.parameters, 4 * job.teacher.parameters if job.teacher else 0
        total = mine + theirs + rows * job.trained.kept
        line = [job.name, size(mine), size(theirs), size(rows * job.trained.kept), size(total)]
        for top in (None, options.top):
            everything = total + job.images.samples * bank_bytes(Consistency(top=top), job.images.classes)
            fits = everything <= options.memory
            line.append((size(everything) if fits else f"**{size(everything)}**") if job.has_bank else "")
        lines.append(line)
    head = ["", "weights, gradients, momentum", "teacher", "activations", "in all"]
    return table([*head, "with the dense bank", f"with `top={options.top}`"], lines)


def ring(network: Network, gpus: int, passes: int = 2) -> float:
    """Return bytes that each GPU sends of gradients (or weights) in float32, each pass going once around."""
    return passes * (gpus - 1) / gpus * 4 * network.parameters


def gathered(images: Images, gpus: int, batch: int, top: int | None) -> float:
    """Return bytes that each GPU sends of a step's rows of a bank, and of their numbers."""
    return (gpus - 1) / gpus * batch * (bank_bytes(Consistency(top=top), images.classes) + 8)


def traffic(runs: list[Job], options: argparse.Namespace) -> str:
    """Return what a GPU sends in a step."""
    lines = []
    for images in SETS:
        trained = dict.fromkeys(job.trained for job in runs if job.images is images)
        for each in trained:
            sent = [size(ring(each, gpus)) for gpus in options.gpus]
            sharded = size(ring(each, max(options.gpus), passes=3))
            lines.append([f"{images.name}: gradients of {short(each.name)}", *sent, sharded])
        for what, top in (("dense bank", None), (f"bank, `top={options.top}`", options.top)):
            sent = [size(gathered(images, gpus, options.batch, top)) for gpus in options.gpus]
            lines.append([f"{images.name}: rows of the {what}", *sent, ""])
    return table(["", *(f"G = {gpus}" for gpus in options.gpus), f"sharded (FSDP), G = {max(options.gpus)}"], lines)


def seconds(job: Job, gpus: int, options: argparse.Namespace) -> tuple[float, float]:
    """Return how long a step computes, and how long it then sends."""
    computing = options.batch * job.flops / (gpus * options.peak * options.utilisation)
    sent = ring(job.trained, gpus) + job.has_bank * gathered(job.images, gpus, options.batch, options.top)
    return computing, sent / (options.near if gpus <= options.machine else options.far)


def steps(runs: list[Job], options: argparse.Namespace) -> str:
    """Return where the time of a step goes."""
    lines = []
    for job in runs:
        each = [seconds(job, gpus, options) for gpus in options.gpus]
        lines.append([job.name, *(f"{1e3 * computing:.1f} + {1e3 * sending:.1f}" for computing, sending in each)])
    return table(["", *(f"G = {gpus}" for gpus in options.gpus)], lines)


def hours(runs: list[Job], costs: dict[int, dict[str, float]], options: argparse.Namespace) -> str:
    """Return how long a run takes, and how long decoding does beside it."""
    lines = []
    for images in SETS:
        samples = options.epochs * images.samples
        for job in (job for job in runs if job.images is images):
            each = [samples / options.batch * sum(seconds(job, gpus, options)) for gpus in options.gpus]
            lines.append([job.name, *(f"{spent / 3600:.2f}" for spent in each)])
        for height, cost in costs.items():
            cores = [options.cores * max(1, gpus / options.machine) for gpus in options.gpus]
            line = [f"{samples * cost['ms'] / 1e3 / number / 3600:.2f}" for number in cores]
            lines.append([f"{images.name}: decoding {height * 4 // 3} x {height}", *line])
    return table(["", *(f"G = {gpus}" for gpus in options.gpus)], lines)


def feeding(runs: list[Job], costs: dict[int, dict[str, float]], options: argparse.Namespace) -> str:
    """Return what a machine's cores must decode so that its GPUs do not wait."""
    lines = []
    for job in runs:
        rate = options.peak * options.utilisation / job.flops
        cores = [f"{rate * options.machine * cost['ms'] / 1e3:,.0f}" for cost in costs.values()]
        lines.append([job.name, f"{rate:,.0f}", *cores])
    sizes = [f"cores a machine, {height * 4 // 3} x {height}" for height in costs]
    return table(["", "images/s a GPU", *sizes], lines)


def size(value: float) -> str:
    """Return bytes in words; nothing for none."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if value >= scale:
            return f"{value / scale:.{2 if value < 10 * scale else 1 if value < 100 * scale else 0}f} {unit}"
    return f"{value:.0f} B" if value else "–"


def table(head: list[str], lines: list[list[str]]) -> str:
    """Return Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pair", nargs=2, action="append", metavar=("TEACHER", "STUDENT"), help="networks by name")
    parser.add_argument("--gpus", nargs="+", type=int, default=[8, 16, 32, 64])
    parser.add_argument("--batch", type=int, default=2048, help="rows of a step, on all GPUs together")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--top", type=int, default=16, help="entries kept of a row of the bank and of stored logits")
    parser.add_argument("--peak", type=float, default=989e12, help="bf16 operations a second of a GPU (H200, dense)")
    parser.add_argument("--utilisation", type=float, default=0.3, help="share of the peak that a run reaches")
    parser.add_argument("--memory", type=float, default=141e9, help="bytes of a GPU (H200)")
    parser.add_argument("--machine", type=int, default=8, help="GPUs of a machine")
    parser.add_argument("--near", type=float, default=450e9, help="bytes a second a GPU sends within a machine")
    parser.add_argument("--far", type=float, default=50e9, help="the same between machines")
    parser.add_argument("--cores", type=int, default=192, help="cores of a machine, all decoding")
    parser.add_argument("--recorded", action="store_true", help="measure nothing: decoding as results/ has it")
    options = parser.parse_args()
    torch.set_num_threads(1)
    pairs = [(teacher, student) for teacher, student in options.pair or PAIRS]
    runs = [job for images in SETS for job in jobs(pairs, images)]
    record = json.loads(RESULTS.read_text()) if options.recorded else {"machine": machine()}
    here = record["machine"]
    costs = {h: record["decoding"][str(h)] if options.recorded else decoding(h) for h in HEIGHTS}
    print(f"Counted:\n\n{counts(runs)}\nWhat grows with the data:\n\n{growth(options)}")
    print(f"A GPU's memory, {options.batch // min(options.gpus)} rows on each:\n\n{memory(runs, options)}")
    print(f"Sent by each GPU in a step of {options.batch:,} rows:\n\n{traffic(runs, options)}")
    print(f"Milliseconds of such a step, computing + sending:\n\n{steps(runs, options)}")
    print(f"Hours of {options.epochs} epochs:\n\n{hours(runs, costs, options)}")
    print(f"What must be decoded:\n\n{feeding(runs, costs, options)}")
    for height, cost in costs.items():
        print(
            f"{height * 4 // 3} x {height}, {cost['kilobytes']:.0f} KB: {cost['ms']:.2f} ms of a core (IQR {cost['iqr']:.2f}), "
            f"{1e3 / cost['ms']:.0f} images/s; {here['cpu']}"
        )
    if options.recorded:
        return
    counted = [{"images": images.name, **asdict(network)} for images, network in networks(runs)]
    flags = {key: value for key, value in vars(options).items() if key != "recorded"}
    record = {"machine": here, "flags": {**flags, "pair": pairs}, "counted": counted, "decoding": costs}
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
