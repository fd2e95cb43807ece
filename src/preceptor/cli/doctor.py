"""`preceptor doctor`: what a bug report needs to say of an installation and its machine. It reads; it connects to nothing."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from preceptor.messages import as_bytes, first_line

__all__ = ["doctor", "facts"]

_NOT_FOR_USERS = {"dev", "docs"}  # extras of those who work on the library
_VARIABLES = re.compile(r"OMP_NUM_THREADS|MKL_NUM_THREADS|CUDA_VISIBLE_DEVICES|PYTORCH_.*|TORCH_.*|WORLD_SIZE")
_COMPILERS = ("g++", "clang++", "cl")


def doctor(as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of lines")] = False) -> None:
    """Show versions, devices, extras, compiler, memory and disk: what a bug report needs."""
    found = facts()
    if as_json:
        print(json.dumps(found, indent=1))
        return
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from preceptor.console import open_console  # noqa: PLC0415

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in found.items():
        lines = value.items() if isinstance(value, dict) else [("", value)]
        for key, line in lines:
            table.add_row(f"{name} {key}".strip(), Text(line))
    open_console().print(table)


def facts() -> dict[str, str | dict[str, str]]:
    """Return what is known of the installation and the machine, a line each."""
    found: dict[str, str | dict[str, str]] = {
        "preceptor": metadata.version("preceptor"),
        "python": f"{platform.python_version()}, {platform.system()} {platform.release()}, {platform.machine()}",
        **_torch(),
        "processor": _processor(),
        "memory": _memory(),
        "disk": f"{as_bytes(shutil.disk_usage(Path.cwd()).free)} free in this folder",
        "compiler": _compiler(),
    }
    variables = {name: value for name, value in sorted(os.environ.items()) if _VARIABLES.fullmatch(name)}
    return {**found, **({"variable": variables} if variables else {}), "extra": _extras()}


def _torch() -> dict[str, str]:
    """Return what torch is and can do here, and what a run with default keys would use."""
    try:
        return _working_torch()
    except Exception as error:  # a broken installation is what a doctor is asked about
        return {"torch": f"{_version('torch')}, does not work: {type(error).__name__}: {first_line(error)}"}


def _working_torch() -> dict[str, str]:
    import torch  # noqa: PLC0415

    from preceptor.training import choose_engine  # noqa: PLC0415

    built = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
    devices = [_gpu(torch, number) for number in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    engine = choose_engine("auto", "auto", "auto")
    compiles = "never compiled by itself" if engine.compiles is False else "compiled in long runs"
    abilities = [torch.backends.cpu.get_cpu_capability()]
    abilities += ["bf16"] if torch.cpu._is_avx512_bf16_supported() else []
    abilities += ["AMX"] if torch.cpu._is_amx_tile_supported() else []
    return {
        "torch": f"{torch.__version__}, built {built}; numpy {_version('numpy')}",
        "gpu": "; ".join(devices) or "none",
        "cpu can": ", ".join(abilities),
        "threads": f"{torch.get_num_threads()} in an operation, {torch.get_num_interop_threads()} operations at once",
        "a run uses": f"{engine}, {compiles}",
    }


def _gpu(torch: Any, number: int) -> str:
    properties = torch.cuda.get_device_properties(number)
    bf16 = ", bf16" if properties.major >= 8 else ""
    return (
        f"{number}: {properties.name}, {as_bytes(properties.total_memory)}, "
        f"compute {properties.major}.{properties.minor}{bf16}"
    )


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        text = ""
    name = re.search(r"model name\s*: (.*)", text)
    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return f"{name[1] if name else platform.processor() or 'unknown'}, {usable} of {os.cpu_count()} cores usable"


def _memory() -> str:
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return "unknown"
    total, available = (re.search(rf"^{key}:\s*(\d+) kB", text, re.MULTILINE) for key in ("MemTotal", "MemAvailable"))
    if total is None or available is None:
        return "unknown"
    limit = Path("/sys/fs/cgroup/memory.max")
    bound = limit.read_text().strip() if limit.is_file() else "max"
    of_group = f", limited to {as_bytes(int(bound))}" if bound.isdigit() else ""
    return f"{as_bytes(1024 * int(available[1]))} of {as_bytes(1024 * int(total[1]))} free{of_group}"


def _compiler() -> str:
    """Return the C++ compiler that torch.compile would use, and Triton, which it needs for GPUs."""
    stated = os.environ.get("CXX")
    program = next((each for each in ([stated] if stated else _COMPILERS) if shutil.which(each)), None)
    if program is None:
        return f"{stated or 'no C++ compiler'}: not found; engine=fast cannot compile for the CPU"
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)
        version = (done.stdout.splitlines() or [program])[0]
    except (OSError, subprocess.SubprocessError):
        version = program
    return f"{version}; triton {_version('triton')}"


def _extras() -> dict[str, str]:
    """Return the packages of each extra with their versions, and how it is installed where one is absent."""
    wanted: dict[str, list[str]] = {}
    for line in metadata.requires("preceptor") or []:
        found = re.match(r"([\w.-]+).*extra == ['\"](\w+)['\"]", line)
        if found and found[2] not in _NOT_FOR_USERS:
            wanted.setdefault(found[2], []).append(found[1])
    shown = {}
    for extra, packages in wanted.items():
        versions = {package: _version(package) for package in packages}
        listed = ", ".join(f"{package} {version}" for package, version in versions.items())
        shown[extra] = f"{listed}{_fit(versions)}"
    return shown


def _fit(versions: dict[str, str]) -> str:
    """Return a warning where torchvision is installed and was compiled for another torch."""
    if versions.get("torchvision", "absent") == "absent":
        return ""
    try:
        import_module("torchvision")
    except Exception as error:
        return f" (torchvision does not fit this torch: {first_line(error)})"
    return ""


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"
