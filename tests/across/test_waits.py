"""What one training step costs on a CUDA device: how often it waits, and that it mixes no devices; on a device without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from preceptor.objectives.base import Objective
from preceptor.objectives.distill import METHODS

TOOL = Path(__file__).parents[3] / "shared" / "tools" / "pretend_cuda"
pytestmark = pytest.mark.skipif(not TOOL.exists(), reason=f"{TOOL.name}: the tool that counts waits is not here")

COUNT = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pretend import LOG, Mode, torch  # before torch itself
import preceptor
from preceptor.distributed import Processes
from preceptor.training import Engine, loop
from preceptor.training.step import train_step
from small_training import made_learner, made_state

stream = [torch.zeros(16, dtype=torch.uint8)]  # the state of the device's random numbers
torch.cuda.get_rng_state_all = lambda: [stream[0].clone()]
torch.cuda.set_rng_state = lambda state, device="cuda": stream.__setitem__(0, state.clone())

cases, work, counts, seen = json.loads(sys.argv[2]), sys.argv[3], {}, []
common = {"batch_size": 16, "epochs": 1, "progress": False, "engine": "plain"}
data = {"name": "digits", "limit": 64, "test_limit": 16, "validation": 0.0}

def counted(state, batch, teacher, plan, engine):
    waits = {" ".join(map(str, where[1:])): n for where, n in LOG.sync.items() if "(no wait)" not in where[1]}
    seen.append((waits, sum(LOG.launch.values())))
    return train_step(state, batch, teacher, plan, engine)

loop.train_step = counted
for seed in (0, 1):
    preceptor.teach(data=data, model="convnet_m", seed=seed, out=f"{work}/t{seed}", device="cpu", **common)
preceptor.label(data=data, teacher=f"{work}/t0", out=f"{work}/labels", device="cpu", progress=False)
for name, keys in cases.items():
    keys = json.loads(json.dumps(keys).replace("WORK", work))
    seen.clear()
    LOG.reset()
    with Mode():
        verb = preceptor.distill if "teacher" in keys else preceptor.teach
        chosen = {**data, **keys.pop("data", {})}
        verb(data=chosen, device="cuda", out=f"{work}/run-{name}", **{**common, **keys})
    (few, few_launches), (many, many_launches) = seen[-3], seen[-1]  # two whole steps, with what lies between them
    waits = {where: (n - few.get(where, 0)) / 2 for where, n in many.items() if n > few.get(where, 0)}
    counts[name] = {"waits": waits, "launches": (many_launches - few_launches) / 2}

random = []
with Mode():
    placed = Engine(torch.device("cuda")).place
    saved = made_state(placed(made_learner())).state_dict()
    random.append([state.tolist() for state in saved["cuda_random"]])
    for rank in (0, 1, 2):
        stream[0] = torch.full((16,), 9, dtype=torch.uint8)
        state = made_state(placed(made_learner()), processes=Processes(rank, 3))
        state.load_state_dict({**saved, "cuda_random": [torch.full((16,), rank, dtype=torch.uint8) for rank in (1, 2)]})
        random.append(stream[0].tolist())
print(json.dumps({"counts": counts, "random": random}))
"""

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
STUDENT = {"teacher": "WORK/t0", "model": "convnet_s", "optim": {"lr": 1e-4}}


def cases() -> dict[str, dict[str, Any]]:
    methods: dict[str, dict[str, Any]] = {name: {**STUDENT, "method": name} for name in METHODS}
    for name in METHODS:
        if METHODS[name].objective.pretraining is not Objective.pretraining:  # the steps of the run are counted
            methods[name]["method"] = {"name": name, "stage_epochs": 1}
    methods["ensemble"]["teacher"] = ["WORK/t0", "WORK/t1"]
    for name in ("fsp", "kdsvd"):  # they compare maps channel by channel
        methods[name]["model"] = "convnet_m"
    inputs = {
        f"inputs-{name}": {**STUDENT, "method": "kd", "inputs": name}
        for name in ("mixup", "cutmix", "mixpatch", "kd_plus", "function_matching", "noise")
    }
    teachers = {
        name: {"model": "convnet_m", "objective": name} for name in ("soteacher", "brier", "confidence_ranking")
    }
    more: dict[str, dict[str, Any]] = {
        "fp16": {**STUDENT, "method": "kd", "precision": "fp16", "clip_norm": 1.0},
        "resized-crops": {**STUDENT, "method": "kd", "data": {"view": "random_resized_crop_flip"}},
        "augmented": {**STUDENT, "method": "kd", "data": {"view": "crop_flip+trivial_augment+random_erasing"}},
        "labels": {**STUDENT, "method": "kd", "labels": "WORK/labels"},
        "dot": {**STUDENT, "method": "kd", "optim": {"name": "dot", "lr": 1e-4}},
        "adamw": {**STUDENT, "method": "kd", "optim": {"name": "adamw", "lr": 1e-4}, "clip_norm": 1.0},
    }
    return {**methods, **inputs, **teachers, **more}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    work = tmp_path_factory.mktemp("runs")
    code = [sys.executable, "-c", COUNT, str(TOOL), json.dumps(cases()), str(work)]
    done = subprocess.run(code, check=False, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr[-3000:]
    printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return printed


@pytest.fixture(scope="module")
def counts(seen: dict[str, Any]) -> dict[str, dict[str, Any]]:
    counted: dict[str, dict[str, Any]] = seen["counts"]
    return counted


def test_no_step_waits_more_than_once(counts: dict[str, dict[str, Any]]) -> None:
    """And most do not wait: kdsvd's eigenvalues do, and DOT, whose step takes no flag, looks at each loss."""
    waits = {name: sum(count["waits"].values()) for name, count in counts.items()}
    assert {name: count for name, count in waits.items() if count > 0.3 and name not in {"kdsvd", "dot"}} == {}
    assert waits["dot"] <= 1.3


def test_a_step_of_kd_has_few_launches(counts: dict[str, dict[str, Any]]) -> None:
    assert counts["kd"]["launches"] < 115


def test_each_rank_has_the_random_numbers_of_its_device_back_and_a_new_one_keeps_its_own(seen: dict[str, Any]) -> None:
    assert seen["random"] == [[[0] * 16], [1] * 16, [2] * 16, [9] * 16]
