"""Everything that has to be seen on a GPU, in one go: `device.py [--minutes 8] [--device cuda] [--root FOLDER]`.

(a) Every method's first 20 steps against the CPU's, and by CUDA graphs against one operation at a time. (b) Four pairs of
networks: the usual loop, live, by graphs, stored: images per second, memory, launches and waits per step. (c) Three epochs of
50,000 images of wrn_40_2 -> wrn_40_1, extrapolated to 240. (d) One, two and four runs at once: their rate together.
Writes results/device-NAME.json after each measurement and ends inside its minutes: what there was no time for is listed as
such. On a CPU (`--device cpu`) everything but graphs runs, in small, to try the script itself.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

import preceptor
from preceptor.bench import Job, compare
from preceptor.bench.job import images
from preceptor.bench.ours import Trial
from preceptor.objectives.distill import METHODS

HERE = Path(__file__).parent / "results"
PAIRS = [("resnet56", "resnet20"), ("wrn_40_2", "wrn_40_1"), ("resnet32x4", "resnet8x4"), ("vgg13", "MobileNetV2")]
PROTOCOL = ("wrn_40_2", "wrn_40_1")
STEPS = 20
DATA = {"name": "digits", "limit": 16 * STEPS, "test_limit": 32, "validation": 0.0}
LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cudaGraphLaunch", "cudaMemcpyAsync")
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")


class _Enough(Exception):
    """The steps that were to be seen are over."""


class _NoTime(BaseException):
    """The minutes are over; no `except Exception` on the way takes it for a failure."""


def _stop(*_: object) -> None:
    raise _NoTime


class Session:
    """The time that is left, and the file that results are written to."""

    def __init__(self, device: str, minutes: float) -> None:
        self.device = device
        self.is_gpu = device.startswith("cuda")
        self._end = time.monotonic() + 60 * minutes
        name = torch.cuda.get_device_name(device) if self.is_gpu else "cpu"
        self._path = HERE / f"device-{name.replace(' ', '-').lower()}.json"
        self.found: dict[str, Any] = {
            "device": name,
            "torch": torch.__version__,
            "command": " ".join(["device.py", *sys.argv[1:]]),
            "left_out": [],
        }

    def measure(self, part: str, name: str, seconds: float, function: Callable[[], Any]) -> None:
        """Add what a function returns to a part's results, if there is time for it; write the file."""
        if time.monotonic() + seconds > self._end:
            self.found["left_out"].append(f"{part} {name}: no time")
        else:
            signal.signal(signal.SIGALRM, _stop)
            signal.setitimer(signal.ITIMER_REAL, self._end - time.monotonic())
            try:
                self.found.setdefault(part, {})[name] = function()
            except _NoTime:
                self.found["left_out"].append(f"{part} {name}: took too long")
            except Exception as error:  # one failure must not cost the other measurements
                self.found["left_out"].append(f"{part} {name}: {type(error).__name__}: {str(error).splitlines()[:1]}")
                traceback.print_exc()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        HERE.mkdir(exist_ok=True)
        self._path.write_text(json.dumps(self.found, indent=1) + "\n")
        print(part, name, self.found.get(part, {}).get(name, self.found["left_out"][-1:]), flush=True)


def losses(work: Path, method: str, device: str, *, graph: bool = False) -> dict[str, float]:
    """Return the mean loss and terms of a method's first steps."""
    out = work / f"{method}-{device}{'-graph' * graph}"
    teachers = [str(work / "t0"), str(work / "t1")]
    preceptor.distill(
        data=DATA,
        teacher={"path": teachers if method == "ensemble" else teachers[0]},
        model="convnet_m" if method in {"fsp", "kdsvd"} else "convnet_s",
        method=method,
        epochs=1,
        batch_size=16,
        optim={"lr": 0.01},
        device=device,
        engine="plain",
        graph=graph,
        out=out,
        overwrite=True,
        progress=False,
    )
    row = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])["train"]
    return {"loss": row["loss"], **row["terms"]}


def difference(one: dict[str, float], other: dict[str, float]) -> float:
    """Return the largest relative difference between two runs' losses."""
    return max(abs(one[name] - other[name]) / max(abs(one[name]), 1e-6) for name in one)


def per_step(job: Job, variant: str, work: Path, steps: int = 10) -> dict[str, float]:
    """Return the launches and waits of a step as the profiler counts them."""
    trial = Trial(job, variant, work / f"{job.teacher}-{variant}")
    profiler = profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])
    taken = 0

    def stepped() -> None:
        nonlocal taken
        taken += 1
        if taken == steps:
            profiler.start()
        if taken == 2 * steps:
            profiler.stop()
            raise _Enough

    with contextlib.suppress(_Enough):
        trial.train(stepped)
    counts = {event.key: event.count for event in profiler.key_averages()}
    return {
        "launches": sum(counts.get(name, 0) for name in LAUNCHES) / steps,
        "waits": sum(counts.get(name, 0) for name in WAITS) / steps,
    }


def rate(job: Job, variant: str, work: Path, steps: int) -> float:
    """Return images per second over some steps, after ten others."""
    trial, began, taken = Trial(job, variant, work / "rate"), 0.0, 0

    def stepped() -> None:
        nonlocal taken, began
        taken += 1
        if taken in {10, 10 + steps} and trial.engine.device.type == "cuda":
            torch.cuda.synchronize()
        if taken == 10:
            began = time.perf_counter()
        if taken == 10 + steps:
            raise _Enough

    with contextlib.suppress(_Enough):
        trial.train(stepped)
    return steps * job.batch_size / (time.perf_counter() - began)


def together(number: int, job: Job, variant: str, steps: int) -> float:
    """Return the rate of several processes that train on the same device at once, added up."""
    code = (
        "import sys, tempfile, json; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import device; "
        "job = device.Job(**json.loads(sys.argv[2])); "
        "print(device.rate(job, sys.argv[3], Path(tempfile.mkdtemp()), int(sys.argv[4])))"
    )
    fields = json.dumps({"teacher": job.teacher, "student": job.student, "device": job.device, "root": job.root})
    command = [sys.executable, "-c", code, str(Path(__file__).parent), fields, variant, str(steps)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(number)]
    try:
        return sum(float(process.communicate()[0].splitlines()[-1]) for process in running)
    finally:
        for process in running:
            process.kill()


def protocol(session: Session, variant: str, work: Path, number: int, root: str | None) -> dict[str, float]:
    """Return the seconds of three epochs of so many images, evaluation and checkpoints left out, and those of 240."""
    job = Job(*PROTOCOL, device=session.device, root=root)
    steps = 3 * (number // job.batch_size)
    images_per_second = rate(job, variant, work, steps)
    return {
        "images": number,
        "images_per_second": images_per_second,
        "minutes_of_240_epochs": 240 * number / images_per_second / 60,
    }


def main() -> None:
    """Measure everything, in the order of its worth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--root", default=None, help="folder of the unpacked CIFAR-100 files; random pixels by default")
    arguments = parser.parse_args()
    session = Session(arguments.device, arguments.minutes)
    variants = ("baseline", "auto", "graph", "stored") if session.is_gpu else ("baseline", "auto", "stored")
    few = not session.is_gpu
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for seed in (0, 1):
            preceptor.teach(
                data=DATA, model="convnet_m", epochs=1, seed=seed, device="cpu", out=work / f"t{seed}", progress=False
            )
        for method in ["kd"] if few else METHODS:
            session.measure(
                "first_steps_difference_to_cpu",
                method,
                10,
                lambda m=method: difference(losses(work, m, "cpu"), losses(work, m, session.device)),
            )
            if session.is_gpu:
                session.measure(
                    "graph_difference_to_ordinary_steps",
                    method,
                    10,
                    lambda m=method: difference(
                        losses(work, m, session.device), losses(work, m, session.device, graph=True)
                    ),
                )
        for teacher, student in PAIRS[: 1 if few else None]:
            job = Job(
                teacher,
                student,
                device=session.device,
                rounds=1 if few else 3,
                root=arguments.root,
                variants=variants,
                steps=3 if few else None,
            )
            session.measure("pairs", f"{teacher} -> {student}", 45, lambda j=job: compare(j).as_dict()["measured"])
            for variant in variants[1:] if session.is_gpu else ():
                name = f"{teacher} -> {student} {variant}"
                session.measure("per_step", name, 10, lambda j=job, v=variant: per_step(j, v, work))
        images_seen = len(images(Job())[0]) // 8 if few else 50_000
        best = "graph" if session.is_gpu else "auto"
        session.measure("protocol", best, 60, lambda: protocol(session, best, work, images_seen, arguments.root))
        job = Job(*PROTOCOL, device=session.device, root=arguments.root)
        for number in (1, 2) if few else (1, 2, 4):
            session.measure("together", str(number), 45, lambda n=number: together(n, job, best, 3 if few else 600))


if __name__ == "__main__":
    main()
