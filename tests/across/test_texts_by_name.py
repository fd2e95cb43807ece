"""Sentences from the command line: BERTs by the names of their configurations, as teachers and students."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.utils.data import TensorDataset

import preceptor
from preceptor.artifacts.run_folder import RunFolder
from preceptor.cli import main
from preceptor.data import load
from preceptor.exports.open_model import open_model
from preceptor.models import Adapted

transformers = pytest.importorskip("transformers")

from sentences import WORDS, reviews, save_bert, save_tokenizer, write  # noqa: E402  # needs the extra

TRAINING = ["optim.lr=1e-2", "schedule.name=constant", "optim.weight_decay=0"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real files as SST-2 comes, a tokenizer, configurations, and a teacher's run."""
    root = tmp_path_factory.mktemp("texts")
    write(root / "sst" / "train.tsv", reviews(260, 0))
    write(root / "sst" / "dev.tsv", reviews(60, 1))
    write(root / "sst" / "test.tsv", [("0", "the film was good")], ("index", "sentence"))
    save_tokenizer(root / "tokenizer")
    save_tokenizer(root / "reversed", [*WORDS[:4], *reversed(WORDS[4:])])
    save_bert(root / "teacher", 32, 2)
    save_bert(root / "student", 16, 1)
    words = [*data(root), f"model=hf:{root / 'teacher'}", "epochs=6", "keep_every=6", f"out={root / 't'}"]
    assert main(["teach", *words, *TRAINING]) == 0
    return root


def data(root: Path, **more: object) -> list[str]:
    options = {"tokenizer": root / "tokenizer", "length": 8, **more}
    return [f"data=text:{root / 'sst'}", *(f"data.{key}={value}" for key, value in options.items())]


def distil(place: Path, out: Path, *words: str, student: str = "student") -> int:
    given = [*data(place), f"teacher={place / 't'}", f"model=hf:{place / student}", "epochs=6", f"out={out}"]
    return main(["distill", *given, *TRAINING, *words])


@pytest.fixture(scope="module")
def student(place: Path) -> Path:
    assert distil(place, place / "s") == 0
    return place / "s"


def test_a_small_student_learns_from_a_larger_teacher(place: Path, student: Path) -> None:
    assert RunFolder(place / "t").read_record().test["accuracy"] > 0.9
    record = RunFolder(student).read_record()
    assert record.test["accuracy"] > 0.9
    vocabulary = load(f"text:{place / 'sst'}", options={"tokenizer": str(place / "tokenizer")}).vocabulary
    assert vocabulary is not None
    assert record.vocabulary == vocabulary
    assert record.teacher_fingerprint is not None
    config = transformers.AutoConfig.from_pretrained(place / "student")
    again = transformers.AutoModelForSequenceClassification.from_config(config)
    again.load_state_dict(load_file(RunFolder(student).weights))  # under the library's own names


def test_what_was_saved_answers_as_it_was_measured(
    place: Path, student: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = preceptor.evaluate(student)
    assert measured.as_dict() == RunFolder(student).read_record().test
    capsys.readouterr()
    assert main(["evaluate", str(student), *data(place, length=12)]) == 0  # more padding, the same answers
    assert f"{100 * measured.accuracy:.2f} %" in capsys.readouterr().out
    assert main(["assess", str(place / "t"), str(student)]) == 0
    assert main(["label", *data(place), f"teacher={place / 't'}", f"out={place / 'labels'}"]) == 0
    words = [*data(place), f"labels={place / 'labels'}", f"model=hf:{place / 'student'}", "epochs=1"]
    assert main(["distill", *words, f"out={place / 'of-labels'}"]) == 0


def test_feature_methods_have_maps_of_texts(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_bert(place / "deep", 16, 3)
    assert distil(place, tmp_path / "s", "epochs=1", "method=fitnet", student="deep") == 0
    assert "pairs block2 -> block2" in capsys.readouterr().err
    (row,) = [json.loads(line) for line in (tmp_path / "s" / "metrics.jsonl").read_text().splitlines()]
    assert row["train"]["terms"]["fitnet"] > 0
    assert distil(place, tmp_path / "p", "epochs=1", "method=rkd", student="deep") == 0
    pairs = "method.pairs={bert.encoder.layer.0: bert.encoder.layer.1}"
    assert distil(place, tmp_path / "a", "epochs=1", "method=at", pairs, student="deep") == 0
    pairs = "method.pairs={bert.pooler: bert.pooler}"
    assert distil(place, tmp_path / "n", "epochs=1", "method=at", pairs, student="deep") == 2
    assert "method at needs maps, and feature bert.pooler of the student has shape (2, 16)" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["safetensors", "onnx", "pt2"])
def test_a_student_of_texts_leaves(suffix: str, place: Path, student: Path, tmp_path: Path) -> None:
    file = tmp_path / f"s.{suffix}"
    assert (
        main(["export", str(student), "--to", str(file), "--hub-folder", str(tmp_path / "hub"), "--license", "unknown"])
        == 0
    )
    test = load(f"text:{place / 'sst'}", options={"tokenizer": str(place / "tokenizer"), "length": 8}).test
    texts = test.inputs(torch.arange(len(test)))
    with torch.no_grad():
        expected = preceptor.load(student)(texts).softmax(1)
    torch.testing.assert_close(open_model(file).probabilities(texts), expected)
    card = (tmp_path / "hub" / "README.md").read_text()
    assert "type: text-classification" in card
    assert "pipeline_tag: text-classification" in card  # its tokenizer lies beside it
    assert "texts as float32 [batch, 2, 8]: token numbers, their mask, of a tokenizer of 20 tokens" in card
    assert "preceptor.predict" not in card
    lines = card.split("```python\n")[2].split("```")[0]
    for word, meant in (
        ("FOLDER", tmp_path / "hub"),
        ("hf:PLACE", f"hf:{place / 'student'}"),
        ("TOKENIZER", place / "tokenizer"),
    ):
        lines = lines.replace(f'"{word}"', f'"{meant}"')
    found: dict[str, Any] = {}
    exec(lines, found)
    assert found["outputs"].shape == (1, 2)


def test_kept_epochs_and_files_are_teachers(place: Path, student: Path, tmp_path: Path) -> None:
    def teacher(out: str, *words: str) -> Any:
        given = [*data(place), f"model=hf:{place / 'student'}", "epochs=1", f"out={tmp_path / out}"]
        assert main(["distill", *given, *words]) == 0
        return RunFolder(tmp_path / out).read_record()

    kept = teacher("kept", f"teacher={place / 't'}", "teacher.epoch=6")
    file = teacher("file", f"teacher={RunFolder(place / 't').weights}", f"teacher.model=hf:{place / 'teacher'}")
    assert kept.test == file.test


def test_a_teacher_that_comes_with_weights(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teacher = preceptor.load(place / "t")
    assert isinstance(teacher, Adapted)
    network: Any = teacher.bare
    network.save_pretrained(tmp_path / "trained")
    words = [*data(place), f"model=hf:{place / 'student'}", "epochs=1"]
    assert main(["distill", *words, f"teacher.model=hf:{tmp_path / 'trained'}", f"out={tmp_path / 's'}"]) == 0
    network.bert.save_pretrained(tmp_path / "body")
    assert main(["distill", *words, f"teacher.model=hf:{tmp_path / 'body'}", f"out={tmp_path / 'x'}"]) == 2
    assert "body comes without a trained classifier; name a file of them: teacher=FILE" in capsys.readouterr().err
    shutil.copytree(place / "reversed", tmp_path / "trained", dirs_exist_ok=True)
    assert main(["distill", *words, f"teacher.model=hf:{tmp_path / 'trained'}", f"out={tmp_path / 'x'}"]) == 2
    assert "was trained with another tokenizer than the data's; data.tokenizer=" in capsys.readouterr().err


SOURCE = """
from torch import nn

class Words(nn.Module):
    def __init__(self, num_classes, vocabulary_size=20):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, 8)
        self.head = nn.Linear(8, num_classes)

    def forward(self, inputs):
        return self.head(self.embedding(inputs[:, 0].long()).mean(1))
"""


@pytest.fixture
def factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "word_networks.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "word_networks", raising=False)
    return "word_networks:Words"


def test_a_factory_reads_texts(place: Path, factory: str, tmp_path: Path) -> None:
    words = [*data(place), f"model={factory}", "epochs=8", "optim.lr=3e-2"]
    assert main(["teach", *words, f"out={tmp_path / 't'}"]) == 0
    assert RunFolder(tmp_path / "t").read_record().test["accuracy"] > 0.9
    words.append(f"teacher.model={factory}")  # no file alone loads code
    assert main(["distill", *words, f"teacher={tmp_path / 't'}", f"out={tmp_path / 's'}"]) == 0
    for name in ("s.safetensors", "s.onnx"):
        assert main(["export", str(tmp_path / "s"), "--model", factory, "--to", str(tmp_path / name)]) == 0
    assert main(["distill", *words, f"teacher={tmp_path / 's.safetensors'}", f"out={tmp_path / 'x'}"]) == 0


def test_a_factory_reads_token_numbers_of_which_nothing_is_known(place: Path, factory: str, tmp_path: Path) -> None:
    """But what the samples of a Dataset show: numbers at random would be none that it reads."""
    texts = load(f"text:{place / 'sst'}", options={"tokenizer": str(place / "tokenizer"), "length": 8})
    rows = {"train": texts.train, "test": texts.test}
    parts = {
        name: TensorDataset(part.inputs(torch.arange(len(part))), part.labels.float()) for name, part in rows.items()
    }
    settings: Any = {"model": factory, "epochs": 20, "batch_size": 32, "optim": {"name": "adamw", "lr": 3e-2}}
    teacher = preceptor.teach(data=parts, out=tmp_path / "t", progress=False, **settings)
    assert teacher.metrics.accuracy > 0.9
    assert preceptor.evaluate(tmp_path / "t", data=parts, model=factory) == teacher.metrics
    student = preceptor.distill(data=parts, teacher=teacher, out=tmp_path / "s", progress=False, **settings)
    with torch.no_grad():
        found, (inputs, _) = preceptor.load(student.path, model=factory), parts["test"][:5]
        torch.testing.assert_close(found(inputs), student.model(inputs))


@pytest.mark.parametrize(
    ("verb", "words", "said"),
    [
        ("evaluate", ["{s}", "data=digits"], "s reads texts, and the data's samples are no texts"),
        ("evaluate", ["{s}", "{data}", "data.tokenizer={root}/reversed"], "the data's texts are of another tokenizer"),
        ("evaluate", ["{s}", "{data 32}"], "reads up to 16 tokens, and texts are 32 long"),
        ("distill", ["{data}", "data.tokenizer={root}/reversed", "{student}", "teacher={root}/t"], "another tokenizer"),
        ("teach", ["{data}", "{student}", "inputs=mixup"], "inputs: mixup mixes numbers, and those of texts are names"),
        ("teach", ["{data}", "model=timm:resnet10t"], "timm:resnet10t is for images"),
        ("predict", ["{s}", "x.csv"], "predict: x.csv: no such file"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    verb: str, words: list[str], said: str, place: Path, student: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [
        each
        for word in words
        for each in (
            data(place)
            if word == "{data}"
            else data(place, length=32)
            if word == "{data 32}"
            else [f"model=hf:{place / 'student'}"]
            if word == "{student}"
            else [word.format(s=student, root=place)]
        )
    ]
    out = [f"out={place / 'none'}"] if verb in {"teach", "distill"} else []
    capsys.readouterr()
    assert main([verb, *filled, *out]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert said in lines[0]
    assert not (place / "none").exists()
