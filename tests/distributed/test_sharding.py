"""Weights sharded over two processes, as `torchrun` starts them, over gloo: the same curve as one process, half the memory."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import preceptor
from preceptor.artifacts.run_folder import RunFolder
from preceptor.distributed.dtensors import full_tensor, is_sharded
from preceptor.distributed.sharding import clip_gradients, full_state, local_shard, shard_like
from preceptor.errors import UsageError
from preceptor.training import choose_engine
from started import Started, start
from torchrun import ENVIRONMENT, alone, assert_same_run, command, curve, torchrun, words

BLOCKS = """
import copy, sys
import torch
from torch import nn
from preceptor.distributed.dtensors import is_sharded
from preceptor.artifacts.fingerprints import fingerprint
from preceptor.distributed import join_processes
from preceptor.distributed.sharding import load_full, local_shard, shard, full_state

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 8)) for _ in range(3))
        self.head = nn.Linear(8, 5)
    def forward(self, x):
        x = self.stem(x).mean((2, 3))
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)

processes = join_processes()
torch.manual_seed(0)
network = Network().to(memory_format=torch.channels_last)
plain, before = copy.deepcopy(network), fingerprint(network)
shard(network, torch.device("cpu"), processes.world_size, least=1000)
names = [name for name, module in network.named_modules() if type(module).__name__.startswith("FSDP")]
assert names == ["", "blocks.0", "blocks.1", "blocks.2"], names
assert all(is_sharded(parameter) for parameter in network.parameters())
held = sum(local_shard(parameter).numel() for parameter in network.parameters())
of = sum(parameter.numel() for parameter in plain.parameters())
assert abs(held - of / 2) < 20, (held, of)
assert fingerprint(network) == before
inputs = torch.randn(4, 3, 8, 8)
torch.testing.assert_close(network(inputs), plain(inputs))
network(inputs[processes.rank :: 2]).square().mean().backward()
plain(inputs).square().mean().backward()
for one, other in zip(network.parameters(), plain.parameters()):
    torch.testing.assert_close(one.grad.full_tensor(), other.grad)
load_full(network, {name: 2 * value for name, value in plain.state_dict().items()})
for name, value in full_state(network.state_dict()).items():
    assert torch.equal(value, 2 * plain.state_dict()[name]), name
print("held", held, "of", of)
"""


def test_each_process_holds_half_and_whole_blocks_only_while_they_run(tmp_path: Path) -> None:
    script = tmp_path / "blocks.py"
    script.write_text(BLOCKS)
    done = torchrun([str(script)])
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("held") == 2


def test_a_teacher_whose_weights_are_sharded_learns_as_an_unsharded_one(tmp_path: Path) -> None:
    """A penalty on the weights themselves, heavy enough to be seen; clipping, an average, kept epochs."""
    more = ["objective=soteacher", "objective.lipschitz.weight=0.01", "clip_norm=0.5", "keep_every=2"]
    more += ["averaging=ema", "averaging.decay=0.9", "averaging.start=1"]
    alone("teach", *more, f"out={tmp_path / 'one'}")
    done = torchrun(words("teach", *more, "sharding=all", f"out={tmp_path / 'two'}"))
    assert done.returncode == 0, done.stderr
    assert "2 processes, sharding all" in done.stderr + done.stdout
    assert_same_run(tmp_path / "one", tmp_path / "two")
    kept = [load_file(RunFolder(tmp_path / name).kept_epochs()[2]) for name in ("one", "two")]
    for name, value in kept[0].items():
        torch.testing.assert_close(kept[1][name], value, rtol=1e-3, atol=1e-4)
    preceptor.load(tmp_path / "two")


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The run of a student whose weights are not sharded, and its words."""
    folder = tmp_path_factory.mktemp("unsharded")
    alone("teach", f"out={folder / 'teacher'}")
    more = [f"teacher={folder / 'teacher'}", "method=crd", "method.num_negatives=64", "epochs=10"]
    more += ["optim.decay_norms_and_biases=false", "stop_at=best_val_nll"]
    alone("distill", *more, f"out={folder / 'one'}")
    return folder / "one", more


@pytest.mark.parametrize("first", [2, 1])
def test_a_student_that_is_told_to_stop_resumes_with_its_shards(
    first: int, student: tuple[Path, list[str]], tmp_path: Path
) -> None:
    """Both networks sharded by two processes of the real torchrun, or begun by one; connectors and banks are not. SIGTERM."""
    unsharded, more = student
    sharded_run = words("distill", *more, "sharding=all", f"out={tmp_path / 'two'}")
    started: subprocess.Popen[str] | Started
    if first == 2:
        started = subprocess.Popen(command(sharded_run), env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    else:
        started = start(sharded_run[2:])
    metrics = tmp_path / "two" / "metrics.jsonl"
    while started.poll() is None and not (metrics.exists() and len(metrics.read_text().splitlines()) > 2):
        time.sleep(0.001)
    started.send_signal(signal.SIGTERM)
    said = started.finish().stderr if isinstance(started, Started) else started.communicate()[1]
    assert "saved; resume=true continues from here" in said
    assert len(curve(tmp_path / "two")) < 10
    done = torchrun([*sharded_run, "resume=true"])
    assert done.returncode == 0, done.stderr
    assert_same_run(unsharded, tmp_path / "two", 1e-4)


def test_one_process_has_nothing_to_shard(tmp_path: Path) -> None:
    data = {"name": "gaussian", "samples": 600}
    result = preceptor.teach(data=data, model="mlp", epochs=1, sharding="all", out=tmp_path / "run", progress=False)
    assert not any(is_sharded(parameter) for parameter in result.model.parameters())
    assert choose_engine("cpu", sharding="all").sharding == "none"


def test_what_cannot_be_sharded_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="sharding: all cannot be used with engine=fast"):
        choose_engine("cpu", name="fast", sharding="all")
    with pytest.raises(UsageError, match="sharding: teacher is the network that a student learns from"):
        preceptor.teach(data="gaussian", model="mlp", sharding="teacher", out=tmp_path / "run", progress=False)


def test_whole_tensors_stay_as_they_are() -> None:
    values = torch.arange(6.0)
    assert full_tensor(values) is values
    assert local_shard(values) is values
    assert shard_like(values, torch.zeros(6)) is values
    state = {"a": [values, (1, "b")], "c": None}
    assert full_state(state) == state


def test_gradients_are_clipped_as_torch_does() -> None:
    ours, torchs = nn.Linear(3, 2), nn.Linear(3, 2)
    for network in (ours, torchs):
        for parameter in network.parameters():
            parameter.grad = torch.full_like(parameter, 3.0)
    clip_gradients(ours.parameters(), 0.5)
    nn.utils.clip_grad_norm_(torchs.parameters(), 0.5)
    for one, other in zip(ours.parameters(), torchs.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.equal(one.grad, other.grad)
