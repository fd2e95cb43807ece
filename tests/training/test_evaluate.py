"""What a network answers, alone and as several processes share the samples between them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from preceptor.data import Arrays, Normalisation, plain_batches
from preceptor.training import Engine, predict
from torchrun import torchrun

SAMPLES, BATCH_SIZE = 41, 20  # three batches, the last of a single sample

SCRIPT = """
import os, sys
from pathlib import Path
import torch
from torch import nn
from torch.utils.data import Dataset
from preceptor.data import Items, Normalisation, plain_batches
from preceptor.errors import UsageError
from preceptor.training import choose_engine, predict

folder, samples, batch_size, workers = Path(sys.argv[1]), *map(int, sys.argv[2:])

class OnDisk(Dataset):
    def __getitem__(self, row):
        with open(folder / f"read-{os.environ['RANK']}", "a") as log:
            log.write(f"{row}\\n")
        return torch.tensor([float(row), 1.0]), 0

class Counting(nn.Linear):
    passes = 0
    def forward(self, inputs):
        self.passes += 1
        return super().forward(inputs)

engine = choose_engine("cpu")
torch.manual_seed(0)
network = Counting(2, 3)
split = Items(OnDisk(), torch.arange(samples), torch.zeros(samples, dtype=torch.int64))
rank, world_size = engine.processes.rank, engine.processes.world_size
batches = plain_batches(
    split, Normalisation(), batch_size, engine.device, workers=workers, rank=rank, world_size=world_size
)
logits = predict(network, batches, engine)
torch.save((logits, network.passes), folder / f"found-{engine.processes.rank}.pt")
(folder / f"read-{engine.processes.rank}").rename(folder / f"own-{engine.processes.rank}")
try:
    predict(network, plain_batches(split, Normalisation(), batch_size, engine.device), engine)
except UsageError as error:
    print(error)
"""


@pytest.mark.parametrize(("count", "workers"), [(2, 0), (3, 2)])
def test_each_of_several_processes_reads_its_part_and_all_have_every_answer(
    count: int, workers: int, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = torchrun([str(script), str(tmp_path), str(SAMPLES), str(BATCH_SIZE), str(workers)], count)
    assert done.returncode == 0, done.stderr
    torch.manual_seed(0)
    network = nn.Linear(2, 3)
    inputs = torch.stack([torch.arange(SAMPLES).float(), torch.ones(SAMPLES)], dim=1)
    read: list[int] = []
    for rank in range(count):
        logits, passes = torch.load(tmp_path / f"found-{rank}.pt")
        torch.testing.assert_close(logits, network(inputs).detach())
        assert passes == 3, "a forward pass that all take together would wait for ever"
        own = [int(row) for row in (tmp_path / f"own-{rank}").read_text().split()]
        assert len(own) <= 1 + 2 * -(-BATCH_SIZE // count)
        read += own
    motions = [SAMPLES - 1] * (count - 1)  # the last sample, for those who have none left
    assert sorted(read) == sorted([*range(SAMPLES), *motions])
    assert done.stdout.count(f"{count} processes have the same samples; pass each its own rows") == count


def test_one_process_answers_in_the_order_of_the_batches() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5)).train()
    split = Arrays(torch.randn(7, 2), torch.zeros(7, dtype=torch.int64))
    cpu = torch.device("cpu")
    batches = list(plain_batches(split, Normalisation(), 3, cpu))
    expected = network[0](split.values)
    assert predict(network, batches, Engine(cpu)).equal(expected)
    assert predict(network, reversed(batches), Engine(cpu)).equal(
        torch.cat([expected[6:], expected[3:6], expected[:3]])
    )
    assert network.training
