"""Everything that has to be seen on a GPU, in one go: `device.py [--minutes 8] [--device cuda] [--root FOLDER] [--out FOLDER]`.

In the order of their worth: (sanity) KD's first 20 steps against the CPU's. (pairs) Networks in training: the usual loop, live,
by graphs, compiled, from stored labels: images per second and memory; first the pair of the protocol. (protocol) Three epochs
of 49,984 images of it, extrapolated to 240. (methods) Every method's first steps against the CPU's, by graphs against one
operation at a time, and with deterministic operations. (bits) Runs that must repeat or resume to the same bits, dropout and
fp16 among them. (per_step) Launches and waits. (together) One, two and four runs at once: their rate together.

Each part runs in a process of its own, so that an error of the device in one costs no other. device-NAME.json in `--out` is
written after each measurement; the script ends inside its minutes, and what there was no time for is listed in it. `--continued
FILE` keeps what an earlier call has measured and does the rest. On a CPU (`--device cpu`) everything but graphs runs, in small,
to try the script itself.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

import preceptor
from preceptor.bench import Comparison, Job, compare
from preceptor.bench.ours import Trial
from preceptor.objectives.distill import METHODS
from preceptor.training import loop
from preceptor.training.graphs import GraphedSteps
from preceptor.training.step import train_step

RESULTS = Path(__file__).parent / "results"
PARTS = ("sanity", "pairs", "protocol", "methods", "bits", "per_step", "together")
PROTOCOL = ("wrn_40_2", "wrn_40_1")
PAIRS = [PROTOCOL, ("resnet56", "resnet20"), ("resnet32x4", "resnet8x4"), ("vgg13", "MobileNetV2")]
STEPS = 20
DATA = {"name": "digits", "limit": 16 * STEPS, "test_limit": 32, "validation": 0.0}
LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx", "cudaGraphLaunch")
COPIES = ("cudaMemcpyAsync", "cudaMemsetAsync")
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
BROKEN = 3  # exit status of a part after an error of the device, which no later operation in its process would survive


class _Enough(Exception):
    """The steps that were to be seen are over."""


class _NoTime(BaseException):
    """The time is over; no `except Exception` on the way takes it for a failure."""


def _stop(*_: object) -> None:
    raise _NoTime


class Session:
    """The time that is left, and the file that results are written to.

    Args:
        device: a torch device.
        end: when to stop, in seconds of the clock.
        root: folder of CIFAR-100, or None.
        path: of the results, which are read where they are.
    """

    def __init__(self, device: str, end: float, root: str | None, path: Path) -> None:
        self.device = device
        self.is_gpu = device.startswith("cuda")
        self.root = root
        self.end = end
        self.path = path
        self.found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"left_out": {}}

    def write(self) -> None:
        """Write what was found."""
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(self.found, indent=1) + "\n")
        partial.replace(self.path)

    def measure(self, part: str, name: str, seconds: float, function: Callable[[], Any]) -> None:
        """Add what a function returns to a part's results, if it is not there and there is time for it.

        Args:
            part: of the results.
            name: within the part.
            seconds: that it is likely to take; it is stopped after three times as many.
            function: returns what goes into the file.
        """
        key = f"{part} {name}"
        if name in self.found.get(part, {}) or "Error" in self.found["left_out"].get(key, ""):
            return
        now = time.time()
        is_broken, found = False, None
        if now + seconds > self.end:
            self.found["left_out"][key] = "no time"
        else:
            signal.signal(signal.SIGALRM, _stop)
            signal.setitimer(signal.ITIMER_REAL, min(self.end - now, 3 * seconds))
            try:
                found = function()
            except _NoTime:
                self.found["left_out"][key] = f"stopped after {time.time() - now:.0f} s"
            except Exception as error:  # one failure must not cost the other measurements
                line = next(iter(str(error).splitlines()), "")
                self.found["left_out"][key] = f"{type(error).__name__} (an Error): {line[:300]}"
                is_broken = "CUDA error" in str(error) or "AcceleratorError" in type(error).__name__
                traceback.print_exc()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        if found is not None:
            self.found.setdefault(part, {})[name] = found
            self.found["left_out"].pop(key, None)
        self.write()
        print(
            f"{time.time() - now:6.1f} s", key, found if found is not None else self.found["left_out"][key], flush=True
        )
        if is_broken:
            sys.exit(BROKEN)


@contextlib.contextmanager
def teachers() -> Iterator[Path]:
    """Return a folder with two trained teachers."""
    with tempfile.TemporaryDirectory() as folder:
        for seed in (0, 1):
            preceptor.teach(
                data=DATA,
                model="convnet_m",
                epochs=1,
                seed=seed,
                device="cpu",
                engine="plain",
                out=Path(folder) / f"t{seed}",
                progress=False,
            )
        yield Path(folder)


def distilled(work: Path, method: str, device: str, **keys: Any) -> Path:
    """Return the folder of a short run of a method."""
    paths = [str(work / "t0"), str(work / "t1")]
    common = {
        "data": DATA,
        "teacher": {"path": paths if method == "ensemble" else paths[0]},
        "model": "convnet_m" if method in {"fsp", "kdsvd"} else "convnet_s",
        "epochs": 1,
        "batch_size": 16,
        "optim": {"lr": 0.01},
        "engine": "plain",
        "overwrite": True,
        "progress": False,
    }
    out = Path(tempfile.mkdtemp(dir=work))
    preceptor.distill(method=method, device=device, out=out, **{**common, **keys})
    return out


def losses(run: Path) -> dict[str, float]:
    """Return the mean loss and terms of a run's last epoch."""
    row = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["train"]
    return {"loss": row["loss"], **row["terms"]}


def difference(one: Path, other: Path) -> float:
    """Return the largest relative difference between two runs' losses."""
    first, second = losses(one), losses(other)
    return max(abs(first[name] - second[name]) / max(abs(first[name]), 1e-6) for name in first)


@contextlib.contextmanager
def graphs_seen() -> Iterator[dict[str, Any]]:
    """Count the steps that run as graphs, and keep why one could not be recorded."""
    seen: dict[str, Any] = {"repeated": 0, "reason": "it was not tried"}
    record, repeat = GraphedSteps._recorded_step, GraphedSteps._repeat

    def recorded(*arguments: Any) -> Any:
        try:
            return record(*arguments)
        except Exception as error:
            seen["reason"] = str(error)[:300]
            raise

    def repeated(*arguments: Any) -> Any:
        seen["repeated"] += 1
        return repeat(*arguments)

    GraphedSteps._recorded_step, GraphedSteps._repeat = recorded, repeated  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        GraphedSteps._recorded_step, GraphedSteps._repeat = record, repeat  # type: ignore[method-assign]


def sanity(session: Session) -> None:
    """Compare KD with the CPU: what is wrong here is wrong everywhere."""
    with teachers() as work:
        session.measure(
            "sanity",
            "kd, relative difference to the CPU",
            20,
            lambda: difference(distilled(work, "kd", "cpu"), distilled(work, "kd", session.device)),
        )


def methods(session: Session) -> None:
    """Compare every method with the CPU, with itself by graphs, and see whether its operations are deterministic."""
    with teachers() as work:
        for method in METHODS if session.is_gpu else ["kd", "crd"]:
            runs: dict[str, Path] = {}

            def ordinary(name: str = method, known: dict[str, Path] = runs) -> Path:
                if name not in known:
                    known[name] = distilled(work, name, session.device)
                return known[name]

            def to_cpu(name: str = method, here: Callable[[], Path] = ordinary) -> float:
                return difference(distilled(work, name, "cpu"), here())

            def graph(name: str = method, here: Callable[[], Path] = ordinary) -> float:
                with graphs_seen() as seen:
                    graphed = distilled(work, name, session.device, graph=True)
                if not seen["repeated"]:
                    raise RuntimeError(f"no step ran as a graph: {seen['reason']}")
                return difference(here(), graphed)

            def deterministic(name: str = method) -> str:
                try:
                    distilled(work, name, session.device, deterministic=True)
                except preceptor.PreceptorError as error:
                    return str(error)
                return "yes"

            session.measure("methods_difference_to_cpu", method, 10, to_cpu)
            session.measure("methods_deterministic", method, 5, deterministic)
            if session.is_gpu:
                session.measure("methods_graph_difference", method, 10, graph)


class Dropping(nn.Module):
    """A network whose training draws random numbers on the device."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 10))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        logits: torch.Tensor = self.layers(inputs)
        return logits


def same_bits(work: Path, device: str, *, interrupt: bool, **keys: Any) -> bool:
    """Return whether a run has the same weights a second time, which is interrupted and resumed if wanted."""

    def trained(out: Path, *, resume: bool = False) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        common = {"epochs": 2, "batch_size": 16, "engine": "plain", "checkpoint_every_steps": 7, "progress": False}
        model = Dropping()
        preceptor.distill(
            data=DATA, teacher=work / "t0", model=model, device=device, out=out, resume=resume, **{**common, **keys}
        )
        return {name: value.cpu() for name, value in model.state_dict().items()}

    first = trained(Path(tempfile.mkdtemp(dir=work)))
    out, taken = Path(tempfile.mkdtemp(dir=work)), 0

    def interrupted(*arguments: Any, **words: Any) -> str | None:
        nonlocal taken
        taken += 1
        if taken == 3 * STEPS // 2:
            raise _Enough
        return train_step(*arguments, **words)

    if interrupt:
        loop.train_step = interrupted  # type: ignore[assignment]
        try:
            with contextlib.suppress(_Enough):
                trained(out)
        finally:
            loop.train_step = train_step
    again = trained(out, resume=interrupt)
    return all(value.equal(again[name]) for name, value in first.items())


def bits(session: Session) -> None:
    """See what repeats and resumes to the same bits."""
    with teachers() as work:
        for name, keys in {
            "deterministic, repeated": {"deterministic": True},
            "deterministic, resumed": {"deterministic": True, "interrupt": True},
            "resumed": {"interrupt": True},
            "fp16, resumed": {"deterministic": True, "interrupt": True, "precision": "fp16"},
            "bf16, resumed": {"deterministic": True, "interrupt": True, "precision": "bf16"},
        }.items():
            session.measure(
                "same_bits",
                name,
                10,
                lambda k=keys: same_bits(work, session.device, **{"interrupt": False, **k}),
            )


def pairs(session: Session) -> None:
    """Time pairs of networks: the first with every variant, the others without compilation."""
    every = ("baseline", "auto", "graph", "stored_graph", "live", "stored")
    if not session.is_gpu:
        every = ("baseline", "auto")
    few = ("baseline", "auto", "graph", "stored_graph")
    for teacher, student in PAIRS if session.is_gpu else PAIRS[1:2]:
        job = Job(
            teacher,
            student,
            device=session.device,
            rounds=3 if session.is_gpu else 1,
            root=session.root,
            variants=every if (teacher, student) == PROTOCOL or not session.is_gpu else few,
            steps=None if session.is_gpu else 3,
        )
        seconds = 120 if len(job.variants) == len(every) else 60
        session.measure("pairs", f"{teacher} -> {student}", seconds, lambda j=job: without_paths(compare(j)))


def without_paths(comparison: Comparison) -> dict[str, Any]:
    """Return plain values; whether images were real stands in place of where they are."""
    found = comparison.as_dict()
    return {**found, "job": {**found["job"], "root": None, "real_images": comparison.job.root is not None}}


def per_step(session: Session) -> None:
    """Count launches, copies and waits of a step."""
    with tempfile.TemporaryDirectory() as folder:
        for teacher, student in PAIRS if session.is_gpu else ():
            for variant in ("auto", "graph", "stored_graph"):
                job = Job(teacher, student, device=session.device, root=session.root)
                session.measure(
                    "per_step",
                    f"{teacher} -> {student}, {variant}",
                    10,
                    lambda j=job, v=variant: counted(j, v, Path(tempfile.mkdtemp(dir=folder))),
                )


def counted(job: Job, variant: str, work: Path, steps: int = 10) -> dict[str, float]:
    """Return the launches, copies and waits of a step as the profiler counts them."""
    trial = Trial(job, variant, work)
    profiler = profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])
    taken = 0

    def stepped() -> None:
        nonlocal taken
        taken += 1
        if taken == 2 * steps:
            torch.cuda.synchronize()
            profiler.start()
        if taken == 3 * steps:
            profiler.stop()
            raise _Enough

    with contextlib.suppress(_Enough):
        trial.train(stepped)
    counts = {event.key: event.count for event in profiler.key_averages()}
    kinds = {"launches": LAUNCHES, "copies": COPIES, "waits": WAITS}
    found = {kind: sum(counts.get(name, 0) for name in names) / steps for kind, names in kinds.items()}
    if not found["launches"]:
        raise RuntimeError("the profiler has seen no launch")
    return found


def rate(job: Job, variant: str, work: Path, steps: int, wait: Callable[[], None] = lambda: None) -> float:
    """Return images per second over some steps, after ten others and a wait."""
    trial, began, taken = Trial(job, variant, work), 0.0, 0

    def stepped() -> None:
        nonlocal taken, began
        taken += 1
        if taken in {10, 10 + steps} and trial.engine.device.type == "cuda":
            torch.cuda.synchronize()
        if taken == 10:
            wait()
            began = time.perf_counter()
        if taken == 10 + steps:
            raise _Enough

    with contextlib.suppress(_Enough):
        trial.train(stepped)
    return steps * job.batch_size / (time.perf_counter() - began)


def protocol(session: Session) -> None:
    """Time three epochs with their checkpoints, without evaluation, and extrapolate to 240 of 50,000 images."""
    number = 49_984 if session.is_gpu else 512
    job = Job(*PROTOCOL, device=session.device, root=session.root, num_images=number)

    def timed(variant: str) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            images_per_second = rate(
                job, variant, Path(folder), (3 if session.is_gpu else 1) * number // job.batch_size
            )
        return {
            "images": number,
            "images_per_second": images_per_second,
            "minutes_of_240_epochs": 240 * 50_000 / images_per_second / 60,
        }

    for variant in ("graph", "stored_graph") if session.is_gpu else ("auto",):
        session.measure("protocol", variant, 60, lambda v=variant: timed(v))


def together(session: Session) -> None:
    """Time several processes that train on the same device at once: their rates, added up."""
    job = Job(*PROTOCOL, device=session.device, root=session.root)
    variant, steps = ("graph", 600) if session.is_gpu else ("auto", 3)
    for number in (1, 2, 4) if session.is_gpu else (1, 2):
        session.measure("together", str(number), 45, lambda n=number: added_up(n, job, variant, steps))


CHILD = """
import json, sys, tempfile
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import device

def wait():
    print("ready", flush=True)
    sys.stdin.readline()

with tempfile.TemporaryDirectory() as folder:
    print(device.rate(device.Job(**json.loads(sys.argv[2])), sys.argv[3], Path(folder), int(sys.argv[4]), wait))
"""


def added_up(number: int, job: Job, variant: str, steps: int) -> float:
    """Return the images per second of so many processes, which start together when all are ready."""
    fields = json.dumps({**asdict(job), "variants": []})
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parent), fields, variant, str(steps)]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(number)
    ]
    try:
        for process in running:
            assert process.stdout is not None
            if not any(line.strip() == "ready" for line in process.stdout):
                raise RuntimeError("one of the processes has failed: see its error above")
        for process in running:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        return sum(float(process.communicate()[0].splitlines()[-1]) for process in running)
    finally:
        for process in running:
            process.kill()


RUN = {
    "sanity": sanity,
    "pairs": pairs,
    "protocol": protocol,
    "methods": methods,
    "bits": bits,
    "per_step": per_step,
    "together": together,
}


def main() -> None:
    """Run the parts, each in a process of its own, until the time is over."""
    began = time.time()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--root", default=None, help="folder of the unpacked CIFAR-100 files; random pixels by default")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--continued", type=Path, default=None, help="results of an earlier call, which are kept")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--inside", type=float, default=None, help=argparse.SUPPRESS)  # a part's own process
    options = parser.parse_args()
    name = torch.cuda.get_device_name(options.device) if options.device.startswith("cuda") else "cpu"
    path = options.out / f"device-{name.replace(' ', '-').lower()}.json"
    if options.inside is not None:
        RUN[options.parts[0]](Session(options.device, options.inside, options.root, path))
        return
    options.out.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if options.continued is not None:
        path.write_bytes(options.continued.read_bytes())
    end = began + 60 * options.minutes - 5
    session = Session(options.device, end, options.root, path)
    session.found |= {"device": name, "torch": torch.__version__, "python": sys.version.split()[0]}
    session.found["left_out"] = {}
    command = f"device.py --minutes {options.minutes:g} --device {options.device} --parts {' '.join(options.parts)}"
    session.found.setdefault("commands", []).append(command)
    session.write()
    shared = ["--device", options.device, "--out", str(options.out)]
    shared += [] if options.root is None else ["--root", options.root]
    for part in options.parts:
        command = [sys.executable, str(Path(__file__)), *shared, "--parts", part, "--inside", str(end)]
        status = BROKEN
        while status == BROKEN and time.time() < end:
            with subprocess.Popen(command) as process:
                try:
                    status = process.wait(timeout=max(end + 4 - time.time(), 0))
                except subprocess.TimeoutExpired:
                    process.kill()
                    status = -signal.SIGKILL
        if status != 0:
            found = json.loads(path.read_text())
            found["left_out"][part] = f"its process ended with status {status}" if status != BROKEN else "no time"
            path.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{path}: {time.time() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
