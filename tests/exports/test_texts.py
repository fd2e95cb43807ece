"""Predictions for texts: as they are typed, from files, of pairs; the same as the test split's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import preceptor
from preceptor.cli import main
from preceptor.errors import UsageError
from preceptor.exports.open_model import open_model
from preceptor.exports.texts import open_reader

pytest.importorskip("transformers")

from sentences import WORDS, reviews, save_bert, save_tokenizer, write  # needs the extra

FILES = ["run", "student.safetensors", "student.onnx", "hub"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on reviews, what is exported of it, and a tokenizer of another order."""
    root = tmp_path_factory.mktemp("texts")
    write(root / "reviews.csv", reviews(260, 0))
    save_tokenizer(root / "tokenizer")
    save_tokenizer(root / "reversed", [*WORDS[:4], *reversed(WORDS[4:])])
    save_bert(root / "bert", 16, 1)
    data = {"name": f"text:{root / 'reviews.csv'}", "tokenizer": str(root / "tokenizer"), "length": 8}
    optim = {"lr": 1e-2, "weight_decay": 0}
    model = f"hf:{root / 'bert'}"
    preceptor.teach(
        data=data, model=model, epochs=6, optim=optim, schedule="constant", out=root / "run", progress=False
    )
    preceptor.export(root / "run", root / "student.safetensors", hub_folder=root / "hub", license="unknown")
    preceptor.export(root / "run", root / "student.onnx")
    return root


@pytest.mark.parametrize("name", FILES)
def test_texts_are_read_as_in_the_run(name: str, place: Path, tmp_path: Path) -> None:
    """Typed, a line each, in a table: one answer each, the one that their label says."""
    known = reviews(40, 1)
    (tmp_path / "new.txt").write_text("".join(f"{text}\n\n" for text, _ in known))
    write(tmp_path / "new.tsv", known)
    tokenizer = None if name == "run" else place / "tokenizer"
    typed = preceptor.predict(place / name, *(text for text, _ in known), tokenizer=tokenizer)
    assert [each.sample for each in typed] == [text for text, _ in known]
    correct = [each.classes == (label,) for each, (_, label) in zip(typed, known, strict=True)]
    assert sum(correct) / len(correct) > 0.9
    for file, first in (("new.txt", "line 3"), ("new.tsv", "row 2")):
        found = preceptor.predict(place / name, tmp_path / file, tokenizer=tokenizer)
        assert [each.classes for each in found] == [each.classes for each in typed]
        assert [each.probabilities[0] for each in found] == pytest.approx([each.probabilities[0] for each in typed])
        assert found[1].sample == f"{tmp_path / file}: {first}"


def test_a_folder_for_the_hub_has_its_tokenizer_and_needs_no_other(place: Path) -> None:
    (found,) = preceptor.predict(place / "hub", "the film was good")
    assert found.classes == ("1",)


def test_the_command_line_prints_texts(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = "the film was good " * 4
    assert main(["predict", str(place / "run"), "the plot was dull", long, "--json"]) == 0
    said = capsys.readouterr()
    assert [each["sample"] for each in json.loads(said.out)] == ["the plot was dull", long]
    assert "1 of 2 texts are longer than the network reads; truncated" in said.err


def test_pairs_have_a_tab_between_them(place: Path, tmp_path: Path) -> None:
    rows = [("good film", "good plot", "same"), ("good film", "dull plot", "other"), ("dull film", "dull plot", "same")]
    write(tmp_path / "pairs.csv", rows * 8, ("sentence1", "sentence2", "label"))
    options = {"tokenizer": str(place / "tokenizer"), "length": 8, "pair": "sentence2"}
    data = {"name": f"text:{tmp_path / 'pairs.csv'}", **options}
    out = tmp_path / "run"
    preceptor.teach(data=data, model=f"hf:{place / 'bert'}", epochs=1, out=out, progress=False)
    typed = preceptor.predict(out, "good film\tgood plot")
    write(tmp_path / "new.csv", [("good film", "good plot")], ("sentence1", "sentence2"))
    assert preceptor.predict(out, tmp_path / "new.csv")[0].probabilities == pytest.approx(typed[0].probabilities)
    with pytest.raises(UsageError, match=r"^good film: is one sentence, and the network reads two, with a tab between"):
        preceptor.predict(out, "good film")
    write(tmp_path / "one.csv", [("good film",)], ("sentence1",))
    with pytest.raises(UsageError, match=r"one\.csv: has no column 'sentence2'; it has sentence1$"):
        preceptor.predict(out, tmp_path / "one.csv")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "none.txt"], "predict: none.txt: no such file"),
        (["run", "none.csv"], "predict: none.csv: no such file"),
        (["run", "{root}/empty.txt"], "predict: needs a text"),
        (
            ["student.onnx", "good"],
            "student.onnx: reads texts, and does not hold their tokenizer; add --tokenizer FOLDER",
        ),
        (["student.onnx", "good", "--tokenizer", "{root}/reversed"], "reversed is another tokenizer than the one that"),
        (["student.onnx", "good", "--tokenizer", "{root}/none"], "--tokenizer: {root}/none: no such folder"),
    ],
)
def test_mistakes(words: list[str], message: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "empty.txt").write_text("\n")
    filled = [word.format(root=place) for word in words[1:]]
    assert main(["predict", str(place / words[0]), *filled]) == 2
    said = capsys.readouterr().err
    assert message.format(root=place) in said
    assert said.count("\n") == 1


def test_the_reader_knows_the_columns_of_its_run(place: Path) -> None:
    reader = open_reader(place / "run", open_model(place / "run").metadata)
    assert (reader.reads_pairs, reader.sentence, reader.pair) == (False, None, "sentence2")
