"""The student beside its teacher and beside itself without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from preceptor.artifacts.record import RunRecord
from preceptor.artifacts.run_folder import RunFolder
from preceptor.reports.beside import beside_table, difference, find_alone
from records import made_record

TEST = {"samples": 200, "accuracy": 0.89, "nll": 0.38, "ece": 0.019}
TEACHER = {
    "name": "runs/t",
    "parameters": 28_600_000,
    "bytes": 109_000_000,
    "latency": {1: 0.0098, 64: 0.061},
    "test": {**TEST, "accuracy": 0.914},
    "fidelity": None,
    "outcomes": None,
}


def student(**fields: Any) -> RunRecord:
    sizes = {"parameters": 2_500_000, "bytes": 10_000_000, "latency": {1: 0.0019, 64: 0.011}}
    return made_record(kind="distill", test=TEST, teacher=TEACHER, **sizes, **fields)


def write_run(folder: Path, record: RunRecord, objective: dict[str, Any] | None = None) -> Path:
    folder.mkdir(parents=True)
    config = {"kind": record.kind, "data": {"name": "digits"}, "model": record.model}
    terms = {"objective": objective or {"name": "cross_entropy", "cross_entropy": {"weight": 1.0}}}
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, **terms}, sort_keys=False))
    RunFolder(folder).write_record(record)
    return folder


def test_scores_sizes_and_latencies_stand_side_by_side() -> None:
    table = beside_table(student(), None)
    assert table.columns == ("", "accuracy %", "NLL", "ECE %", "params", "file", "latency b1 / b64 ms")
    assert [[entry.text for entry in row] for row in table.rows] == [
        ["teacher", "91.4", "0.380", "1.9", "28.6 M", "109 MB", "9.8 / 61"],
        ["student", "89.0", "0.380", "1.9", "2.5 M", "10 MB", "1.9 / 11"],
    ]
    assert difference(student(), None) == (
        "The student predicts 89.0 % of 200 test samples right, its teacher 91.4 %.",
    )


def test_of_a_network_without_a_teacher_and_of_what_is_not_known() -> None:
    record = made_record(test={"samples": 10, "accuracy": 0.5, "nll": None, "truth_mse": 0.25, "exact_match": 0.4})
    table = beside_table(record, None)
    assert [entry.text for entry in table.rows[0]] == ["network", "50.0", "40.0", "0.250", "3", "–", "–"]
    assert "true label distribution" in table.note
    assert "Latency" not in table.note


def test_the_student_alone_is_found_among_its_neighbours(tmp_path: Path) -> None:
    record, alone = student(seed=1), {"accuracy": 0.862, "samples": 200, "nll": 0.5}
    own = write_run(tmp_path / "s", record)
    assert find_alone(own, record) is None
    write_run(tmp_path / "other-network", made_record(model={"name": "resnet8"}))
    write_run(tmp_path / "other-data", made_record(data_fingerprint="1" * 16))
    write_run(tmp_path / "other-objective", made_record(), {"name": "brier", "brier": {"weight": 1.0}})
    write_run(tmp_path / "fine-tuned", made_record(start_fingerprint="2" * 16))
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "config.yaml").write_text("kind: teach\n")
    assert find_alone(own, record) is None
    write_run(tmp_path / "another-seed", made_record(seed=0))
    write_run(tmp_path / "alone", made_record(seed=1, test=alone))
    found = find_alone(own, record)
    assert found is not None
    assert (found.name, found.path, found.record.seed) == ("alone", "../alone", 1)
    assert [entry.text for entry in beside_table(record, found).rows[2]][:3] == ["alone (alone)", "86.2", "0.500"]
    first, second = difference(record, found)
    assert first.endswith("alone it predicts 86.2 % (+2.8 points with the teacher).")
    assert second.startswith("One run each is no test")
    assert find_alone(tmp_path / "alone", made_record(seed=1)) is None  # a teacher's run has no student
