"""Two processes against one, as `torchrun` starts them, over gloo: the same batches, the same curve within rounding."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import distributed, nn
from torch.multiprocessing.spawn import start_processes
from torch.nn import functional

import preceptor
from preceptor.distributed import Processes
from preceptor.errors import UsageError
from preceptor.training import OptimizerSettings, make_optimizer
from preceptor.training.checkpoint import load_checkpoint, save_checkpoint
from preceptor.training.state import STATE_KEYS
from small_training import made_state
from started import run, start
from torchrun import COMMON, alone, assert_same_run, curve, together, torchrun, words


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher") / "run"
    alone("teach", f"out={folder}", "keep_every=3")
    return folder


RELATIONS = [
    *("method=crd", "method.num_negatives=64", "method.rkd.weight=0.1", "method.pkt.weight=100"),
    *("method.cc.weight=0.001", "method.dist.weight=1"),
]
MIXED = [
    *("method=kd", "data.labelled_fraction=0.3", "inputs=mixup", "inputs.add=true", "inputs.per_sample=true"),
    *("clip_norm=0.5", "averaging=ema", "averaging.decay=0.9"),
]
DOT_WORDS = ["method=kd", "method.rkd.weight=0.1", "optim=dot", "data.labelled_fraction=0.3"]


@pytest.mark.parametrize("method", [RELATIONS, MIXED, DOT_WORDS], ids=["relations", "mixed", "dot"])
def test_students_learn_as_one_process_does(method: list[str], teacher: Path, tmp_path: Path) -> None:
    """300 rows in batches of 62: the last batch has 52; of labelled and unlabelled ones, 31 each."""
    alone("distill", f"teacher={teacher}", *method, f"out={tmp_path / 'one'}")
    done = together("distill", f"teacher={teacher}", *method, f"out={tmp_path / 'two'}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("saved  ") == 1
    assert_same_run(tmp_path / "one", tmp_path / "two")


def test_a_killed_run_goes_on_with_another_number_of_processes(tmp_path: Path) -> None:
    """A teacher with a bank and a ranking; killed with one process in the middle, gone on with two."""
    more = ["objective=soteacher", "objective.confidence_ranking.weight=0.1", "checkpoint_every_steps=2", "epochs=20"]
    alone("teach", *more, f"out={tmp_path / 'whole'}")
    started = start(words("teach", *more, f"out={tmp_path / 'cut'}")[2:])
    metrics = tmp_path / "cut" / "metrics.jsonl"
    while started.poll() is None and not (metrics.exists() and len(metrics.read_text().splitlines()) > 2):
        time.sleep(0.001)
    started.kill()
    started.finish()
    assert len(curve(tmp_path / "cut")) < 20, "it ended before it could be killed"
    done = together("teach", *more, f"out={tmp_path / 'cut'}", "resume=true")
    assert done.returncode == 0, done.stderr
    assert_same_run(tmp_path / "whole", tmp_path / "cut", 1e-4)  # roundings of twenty epochs


def test_the_largest_entries_of_a_bank_are_brought_to_one_state(tmp_path: Path) -> None:
    """Classes of two bytes travel too; samples change processes from epoch to epoch."""
    more = ["objective=consistency", "objective.top=3", "objective.cross_entropy=1.0"]
    alone("teach", *more, f"out={tmp_path / 'one'}")
    done = together("teach", *more, f"out={tmp_path / 'two'}")
    assert done.returncode == 0, done.stderr
    assert_same_run(tmp_path / "one", tmp_path / "two")
    assert curve(tmp_path / "one")[-1]["train"]["terms"]["consistency"] > 1e-3


def test_what_is_remembered_of_each_class_of_a_sample(tmp_path: Path) -> None:
    """Multi-label data: the bank of `consistency` has a row for each class of each sample."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(400, 5, generator=generator)
    labels = (inputs @ torch.randn(5, 3, generator=generator) > 0.5).long()
    np.savez(tmp_path / "data.npz", x=inputs.numpy(), y=labels.numpy())
    more = ["-m", "preceptor", "teach", f"data=npz:{tmp_path / 'data.npz'}", "model=mlp", *COMMON[3:]]
    more += ["objective=soteacher", "objective.consistency.weight=10"]
    run([*more[2:], f"out={tmp_path / 'one'}"], check=True)
    done = torchrun([*more, f"out={tmp_path / 'two'}"])
    assert done.returncode == 0, done.stderr
    assert_same_run(tmp_path / "one", tmp_path / "two")
    one, two = (
        load_checkpoint(tmp_path / name / "checkpoint" / "last.pt", ["learner"])["learner"] for name in ("one", "two")
    )
    name = "objective.objectives.consistency.bank"
    assert (one[name] > 0).all()
    torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-5)


def test_mistakes_are_said_once(teacher: Path, tmp_path: Path) -> None:
    done = together("distill", f"teacher={teacher}", "optim=dot", "clip_norm=1", f"out={tmp_path / 'run'}")
    assert done.returncode != 0
    assert done.stderr.count("clip_norm: 1.0 cannot be used with optim=dot, whose two gradients it does not see") == 1


def test_a_finished_run_is_measured_together_and_said_once(teacher: Path, tmp_path: Path) -> None:
    told = json.loads((teacher / "result.json").read_text())["test"]
    done = torchrun(["-m", "preceptor", "evaluate", str(teacher)])
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"{100 * told['accuracy']:.2f} %") == 1
    done = torchrun(["-m", "preceptor", "assess", str(teacher), "--json", str(tmp_path / "all.json")])
    assert done.returncode == 0, done.stderr
    (found,) = json.loads((tmp_path / "all.json").read_text())["assessments"]
    assert found["test"]["nll"] == pytest.approx(told["nll"], rel=1e-5)
    assert found["test"]["samples"] == told["samples"]


def test_a_course_is_run_together_and_written_once(teacher: Path, tmp_path: Path) -> None:
    words = ["-m", "preceptor", "curve", str(teacher), "model=mlp", "epochs=1", "engine=plain"]
    done = torchrun([*words, f"out={tmp_path / 'course'}"])
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("teacher epoch 3 (1 of 1)") == 1
    (point,) = json.loads((tmp_path / "course" / "curve.json").read_text())["points"]
    assert point["student_test"]["samples"] == point["teacher_test"]["samples"]


def test_a_batch_in_several_passes_is_the_same_step(tmp_path: Path) -> None:
    data = {"name": "gaussian", "samples": 6000}
    common: Any = {"epochs": 2, "batch_size": 62, "engine": "plain", "progress": False}
    plain = preceptor.teach(data=data, model="mlp", out=tmp_path / "plain", **common)
    accumulated = preceptor.teach(data=data, model="mlp", accumulate=4, out=tmp_path / "accumulated", **common)
    assert_same_run(plain.path, accumulated.path)


def test_two_gradients_are_not_added_up() -> None:
    dot = make_optimizer(OptimizerSettings(name="dot"), nn.Linear(2, 2))
    with pytest.raises(UsageError, match="accumulate: 2 cannot be used with optim=dot"):
        dot.check(clip_norm=None, accumulate=2)


def random_streams(rank: int, folder: Path) -> None:
    """Draw a mask as a run with a seed of 7 does, and continue from a checkpoint in the middle of the stream."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=(folder / "meeting").as_uri(), rank=rank, world_size=2)
    processes = Processes(rank, 2)
    torch.manual_seed(7)
    processes.seed(7)
    torch.save(functional.dropout(torch.ones(1000)), folder / f"mask-{rank}.pt")
    state = made_state(processes=processes)  # which seeds anew
    torch.manual_seed(7)
    processes.seed(7)
    saved = state.state_dict()
    if processes.is_first:
        save_checkpoint(folder / "last.pt", saved)
    processes.wait()
    following = torch.rand(8)
    torch.manual_seed(99)
    state.load_state_dict(load_checkpoint(folder / "last.pt", STATE_KEYS))
    assert torch.equal(torch.rand(8), following), "another stream than before"
    assert len(saved["random"]) == 2
    distributed.destroy_process_group()


def test_each_rank_has_a_random_stream_of_its_own_and_the_first_that_of_one_process(tmp_path: Path) -> None:
    start_processes(random_streams, (tmp_path,), nprocs=2, start_method="fork")  # type: ignore[no-untyped-call]
    first, second = (torch.load(tmp_path / f"mask-{rank}.pt") for rank in (0, 1))
    torch.manual_seed(7)
    Processes().seed(7)
    assert torch.equal(first, functional.dropout(torch.ones(1000)))
    assert 400 < int((first != second).sum()) < 600  # independent: half of the entries


def test_seeds_of_ranks_differ_from_each_other_and_from_those_of_other_runs() -> None:
    seeds = set()
    for seed in (0, 1, 2):
        for rank in (0, 1, 2, 3):
            torch.manual_seed(seed)
            Processes(rank, 4).seed(seed)
            seeds.add(torch.initial_seed())
    assert len(seeds) == 12


def test_one_process_alone_changes_nothing() -> None:
    values = torch.arange(3.0)
    assert Processes().add(values) is values
    assert Processes().rows(values) is values
    assert Processes().any(True, torch.device("cpu"))
    assert not Processes().any(False, torch.device("cpu"))
