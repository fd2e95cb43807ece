"""Every command of the README, of docs/ and of a model card, as bash splits it into words, is run on small data.

A command's own settings are kept; what it names (data, files) is prepared once, and long trainings are cut short.
"""

from __future__ import annotations

import ast
import csv
import importlib
import importlib.util
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from _pytest.mark import ParameterSet
from PIL import Image

import preceptor
from preceptor.cli import main
from preceptor.config.overrides import make_recipe
from preceptor.config.sections import DistillRecipe, LabelRecipe, TeachRecipe
from preceptor.config.terms import resolve_terms
from preceptor.extras import import_extra
from preceptor.models import create, save_weights

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BASH = shutil.which("bash") or "/bin/bash"
PROGRAMS = ("preceptor", "torchrun", "python", "make", "pip")
SETTING = re.compile(r"\"?[a-z_]+(\.\w+)*=")

# a word of a document, and what stands for it here
SUBSTITUTES: list[tuple[str, str]] = [
    (r"\.\.\.|data=\.\.\.|teacher=(T|\.\.\.)|model=\.\.\.", ""),  # made whole below
    (r"(epochs|keep_every|teacher\.epoch|views|workers|seed)=(\d+|[A-Z])", r"\1=1"),
    (r"data\.limit=\d+", "data.limit=100"),
    (r"(.*=)?(wrn_\d+_\d|resnet\d+(x4)?|convnet_m)", r"\1convnet_s"),
    (r"teacher\.assistants=\[.*\]", "teacher.assistants=[convnet_s]"),
    (r"objective\.peers=\[.*\]", "objective.peers=[convnet_s]"),
    (r"(data|unlabelled)\.root=PATH", r"\1.root=cifar"),
    (r"data=NEW", "data=cifar100 data.root=cifar"),
    (r"data=folder:PATH", "data=folder:photos"),
    (r"data\.size=224", "data.size=16"),
    (r"(.*=)hf:(PATH|FOLDER)", r"\1hf:vit"),
    (r"(.*)pretrained=true", r"\1pretrained=false"),  # needs the network
    (r"(teacher\.)?model(\.name)?=timm:vit_small_(\w+)", r"\1model\2=timm:vit_tiny_\3 \1model.depth=1"),
    (r"data=text:SST-2", "data=text:SST-2 optim.lr=1e-3"),
    (r"IMAGES", "photos"),
    (r"RUN", "runs/t"),
    (r"TOKENIZER_FOLDER", "FOLDER"),
    (r"150", "1"),  # of --epoch
    (r"grids/\w+", "runs"),
]

# Not run here: pip (needs the network; its extras are looked up), make (builds an environment; its targets are looked up),
# scripts (take a minute; their options are looked up), bench and grid (take minutes; tests/cli/test_bench.py and
# tests/across/test_grids.py run them).


LOSSES = """
from preceptor.objectives.base import Objective, teacher_outputs

class LogitDistance(Objective):
    def loss(self, step):
        return (step.student.logits.float() - teacher_outputs(step).logits.float()).square().mean()

class Sharp(Objective):
    uses_teacher = False
    def __init__(self, sharpness: float = 2.0):
        super().__init__()
        self.sharpness = sharpness
    def loss(self, step):
        logits = self.sharpness * step.student.logits.float()
        return -logits.log_softmax(1).gather(1, step.batch.labels[:, None]).mean()
"""


def blocks(text: str) -> Iterator[list[str]]:
    """Yield the commands of each block of code that is indented or fenced as a shell's, a line each."""
    lines: list[str] = []
    fence = None
    for line in [*text.splitlines(), ""]:
        if line.startswith("```"):
            fence = None if fence is not None else line[3:].strip()
        is_code = fence in {"bash", "sh", "shell", "console"} if fence is not None else line.startswith("    ")
        word = line.split()[0] if line.split() else ""
        if is_code and (word in PROGRAMS or SETTING.match(word)):
            lines.append(line.strip())
        elif lines and (not is_code or not line.strip()):
            yield lines
            lines = []


def inline(text: str) -> list[str]:
    """Return the code within sentences and tables."""
    outside = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    found = re.findall(r"(?<!`)`([^`]+)`(?!`)", " ".join(outside.splitlines()))
    return [code.replace("\\|", "|") for code in found]


def commands() -> Iterator[ParameterSet]:
    for document in DOCUMENTS:
        text, name = document.read_text(), str(document.relative_to(ROOT))
        for number, lines in enumerate(blocks(text), start=1):
            yield pytest.param(lines, id=f"{name}-{number}")
        whole = [code for code in inline(text) if code.startswith("preceptor ") and len(code.split()) > 2]
        if whole:
            yield pytest.param([re.sub(r"\bNAME\b", "", line) for line in whole], id=f"{name}-inline")


def split(line: str, folder: Path) -> list[list[str]]:
    """Return the words of each program that bash starts for a line."""
    record = folder / "words"
    record.unlink(missing_ok=True)
    functions = "".join(f"{name}() {{ printf '%s\\0' {name} \"$@\" '' >> \"$RECORD\"; }}\n" for name in PROGRAMS)
    script = f'{functions}setting() {{ preceptor "" "$@"; }}\n{line}\n'
    done = subprocess.run(
        [BASH, "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={"RECORD": str(record), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), f"{line}: {done.stderr}"
    started = record.read_text().removesuffix("\0\0").split("\0\0")
    return [words.split("\0") for words in started]


def completed(words: list[str]) -> list[str]:
    """Return a command of `preceptor` with what stands for its names, and made whole and short where it trains."""
    found: list[str] = []
    for word in words:
        pattern = next((pair for pair in SUBSTITUTES if re.fullmatch(pair[0], word)), None)
        found += [word] if pattern is None else re.sub(f"^(?:{pattern[0]})$", pattern[1], word).split()
    keys = {word.partition("=")[0] for word in found}
    verb = found[0]
    if verb not in {"teach", "distill", "label", "curve"} or "--help" in found:
        return found
    if verb != "curve":
        default = ["data=ambiguous_digits"] if "teacher.truth" in keys else ["data=cifar100", "data.root=cifar"]
        found += [] if "data" in keys else default
        found += [word for word in ("data.limit=100", "data.test_limit=50") if word.partition("=")[0] not in keys]
    if verb in {"teach", "distill"}:
        found += ["overwrite=true", *([] if "model" in keys else ["model=convnet_s"])]
        found += (
            []
            if keys & {"teacher", "teacher.model", "teacher.truth", "labels"} or verb == "teach"
            else ["teacher=runs/t"]
        )
    if verb != "label" and "epochs" not in keys:
        found.append("epochs=1")
    return found


def are_extras(named: list[str]) -> bool:
    """Return whether all names are those of optional dependencies."""
    project = (ROOT / "pyproject.toml").read_text()
    return all(f"\n{extra} = [" in project for names in named for extra in re.findall(r"\w+", names))


def carry_out(line: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run what bash makes of a line of a document."""
    if SETTING.match(line):
        if "method.pairs" in line:  # modules of networks that the document does not name
            return
        line = f"preceptor {'teach' if line.startswith('objective') else 'distill'} {line}"
    for program, *words in split(line, folder):
        if program == "make":
            targets = [word for word in words if "=" not in word]
            assert all(re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M) for target in targets), line
            assert are_extras([word.removeprefix("EXTRAS=") for word in words if "=" in word]), line
        elif program == "pip":
            assert are_extras([words[-1].partition("[")[2]]), line
        elif program == "python":
            script = (ROOT / words[0]).read_text()
            assert all(f'"{word}"' in script for word in words[1:] if word.startswith("-")), line
        else:  # one process stands for several
            own = words[words.index("preceptor") + 1 :] if program == "torchrun" else words
            own = completed(own)
            if "customers.csv" in own:  # the student of a table, not that of the images above
                own[1] = "customers.safetensors"
            monkeypatch.setattr(sys, "argv", ["preceptor", *own])
            print("$ preceptor", " ".join(own))
            assert main(own) == 0, f"{line}\n{own}"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the documents' commands name."""
    folder = tmp_path_factory.mktemp("prepared")
    random = np.random.default_rng(0)
    for name, classes, key, files in (
        ("cifar-100-python", 100, "fine_label", ("train", "test", "meta")),
        ("cifar-10-batches-py", 10, "label", (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch", "batches.meta")),
    ):
        (folder / "cifar" / name).mkdir(parents=True)
        for file in files:
            labels = list(range(classes)) * (400 // classes)
            part = {"data": random.integers(0, 256, (400, 3072), dtype=np.uint8), f"{key}s": labels}
            record = {f"{key}_names": [f"class {k}" for k in range(classes)]} if "meta" in file else part
            (folder / "cifar" / name / file).write_bytes(pickle.dumps(record, 2))
    for number in range(60):
        place = folder / "photos" / ("cat", "dog")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(place / f"{number}.png")
    shutil.copy(folder / "photos" / "cat" / "0.png", folder / "cat.png")
    for name in ("train.csv", "test.csv", "customers.csv"):
        with (folder / name).open("w", newline="") as opened:
            rows = [[k, float(random.normal()), "ab"[k % 2], ("low", "high")[k // 2 % 2]] for k in range(80)]
            csv.writer(opened).writerows([["id", "age", "job", "income"], *rows])
    x, y = random.normal(size=(120, 8)).astype(np.float32), random.integers(0, 2, 120)
    np.savez(folder / "htru2.npz", x=x, y=y)
    np.save(folder / "predictions.npy", random.normal(size=(400, 100)).astype(np.float32))
    photos = [f"{('cat', 'dog')[k % 2]}/{k}.png,0.{k + 10},0.{90 - k}" for k in range(60)]
    (folder / "photos.csv").write_text("\n".join(["file,cat,dog", *photos]) + "\n")
    (folder / "income.csv").write_text("\n".join(["id,low,high", *(f"{k},{k},{-k}" for k in range(80))]) + "\n")
    (folder / "mynets.py").write_text(
        "from torch import nn\n\n\nclass MyNet(nn.Sequential):\n    def __init__(self):\n"
        "        super().__init__(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 100))\n"
    )
    (folder / "mylosses.py").write_text(LOSSES)
    save_weights(create("convnet_s", num_classes=100, input_shape=(3, 32, 32)), folder / "FILE.safetensors")
    torch.save(create("convnet_s", num_classes=100, input_shape=(3, 32, 32)).state_dict(), folder / "FILE.pth")
    data = "data: {name: cifar100, root: cifar, limit: 100, test_limit: 50}"
    (folder / "student.yaml").write_text(f"{data}\nmodel: convnet_s\nteacher: runs/t\nepochs: 1\n")
    return folder


@pytest.fixture(scope="module")
def workplace(prepared: Path) -> Path:
    """The same with trained networks and what was exported from them."""
    data = {"name": "cifar100", "root": "cifar", "limit": 100, "test_limit": 50}
    before = Path.cwd()
    os.chdir(prepared)
    try:
        short: dict[str, Any] = {"data": data, "epochs": 1, "progress": False, "keep_every": 1}
        preceptor.teach(model="convnet_s", out="runs/t", **short)
        for name in ("t0", "t1", "t2", "t3", "ce"):
            shutil.copytree("runs/t", f"runs/{name}")
        preceptor.distill(teacher="runs/t", model="convnet_s", out="runs/s", **short)
        preceptor.export("runs/s", "student.safetensors", hub_folder="hub/student", license="unknown")
        sys.path.insert(0, str(prepared))
        preceptor.teach(model=importlib.import_module("mynets").MyNet(), out="runs/mine", **short)
        sys.path.remove(str(prepared))
        table = {"name": "table:train.csv", "target": "income", "ignore": ["id"]}
        preceptor.teach(model="mlp", out="runs/table", **{**short, "data": table})
        preceptor.export("runs/table", "customers.safetensors")
        for name, run in (("teacher", "t"), ("alone", "t"), ("student", "s")):
            shutil.copytree(f"runs/{run}", f"runs/{name}")
        assert (
            main(completed(["label", "data=cifar100", "data.root=PATH", "teacher=runs/t", "views=1", "out=labels/t"]))
            == 0
        )
    finally:
        os.chdir(before)
    return prepared


def copy(workplace: Path, folder: Path) -> None:
    """Copy all but CIFAR, which no command changes."""
    shutil.copytree(workplace, folder, ignore=shutil.ignore_patterns("cifar"))
    (folder / "cifar").symlink_to(workplace / "cifar")


def with_libraries(folder: Path) -> None:
    """Add networks and a tokenizer of other libraries."""
    if importlib.util.find_spec("onnx") is not None:
        from onnx_files import write_linear  # noqa: PLC0415

        write_linear(folder / "FILE.onnx", np.ones((3072, 100)), ["n", 3, 32, 32], last="Softmax")
    if importlib.util.find_spec("transformers") is not None:
        import transformers  # noqa: PLC0415  (optional)

        from sentences import reviews, save_bert, save_tokenizer, write  # noqa: PLC0415

        save_tokenizer(folder / "FOLDER")
        for name, width in (("BERT_FOLDER", 16), ("SMALL_BERT_FOLDER", 8)):
            save_bert(folder / name, width, 1, max_position_embeddings=64)
        write(folder / "SST-2" / "train.tsv", reviews(100, 0))
        write(folder / "SST-2" / "dev.tsv", reviews(40, 1))
        small: dict[str, Any] = {
            "num_labels": 100,
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 32,
        }
        config = transformers.ViTConfig(image_size=32, patch_size=8, **small)
        transformers.ViTForImageClassification(config).save_pretrained(folder / "vit")
    if importlib.util.find_spec("timm") is not None:
        timm = import_extra("timm", "vision", needed_by="tests")
        network = timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=4, depth=1, num_classes=100)
        torch.save(network.state_dict(), folder / "vit.pth")


def with_reviews(folder: Path) -> None:
    """Add a network of texts, what is exported from it, and texts."""
    data = {"name": "text:SST-2", "tokenizer": "FOLDER", "length": 8}
    preceptor.teach(data=data, model="hf:SMALL_BERT_FOLDER", epochs=1, out="runs/reviews", progress=False)
    preceptor.export("runs/reviews", "reviews.onnx")
    shutil.copy(folder / "SST-2" / "dev.tsv", folder / "reviews.tsv")
    (folder / "more.txt").write_text("the plot was dull\n")


LIBRARIES = {"timm:": "timm", "torchvision:": "torchvision", "hf:": "transformers", ".onnx": "onnxruntime"}


@pytest.mark.parametrize("lines", list(commands()))
def test_commands(lines: list[str], workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = [
        name for text, name in LIBRARIES.items() if text in str(lines) and importlib.util.find_spec(name) is None
    ]
    if missing:
        pytest.skip(f"{missing[0]} is not installed")
    folder = tmp_path / "here"
    copy(workplace, folder)
    if any(text in str(lines) for text in LIBRARIES):
        with_libraries(folder)
    if any(line.startswith("preceptor label") for line in lines):
        shutil.rmtree(folder / "labels")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    if "runs/reviews" in str(lines):
        with_reviews(folder)
    for module, verb in (("bench", "bench_verb"), ("experiments", "grid_verb")):
        monkeypatch.setattr(importlib.import_module(f"preceptor.cli.{module}"), verb, lambda *_, **__: None)
    for line in lines:
        carry_out(line, folder, monkeypatch)


class Short(ast.NodeTransformer):
    """Makes a document's runs short, on few samples, and lets them replace what is there; a grid is planned only."""

    keys: ClassVar[dict[str, dict[str, Any]]] = {
        "preceptor.teach": {"epochs": 1, "overwrite": True},
        "preceptor.distill": {"epochs": 1, "overwrite": True},
        "preceptor.grid": {"run": False},  # tests/across/test_grids.py runs some
    }

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        ours = self.keys.get(ast.unparse(node.func), {})
        node.keywords = [each for each in node.keywords if each.arg not in ours]
        node.keywords += [ast.keyword(key, ast.Constant(value)) for key, value in ours.items()]
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.keyword:
        self.generic_visit(node)
        if node.arg == "data" and ast.unparse(node.value) == "'digits'":
            node.value = ast.parse("{'name': 'digits'}", mode="eval").body
        if node.arg == "data" and isinstance(node.value, ast.Dict) and "'name'" in ast.unparse(node.value):
            node.value.keys += [ast.Constant("limit"), ast.Constant("test_limit")]
            node.value.values += [ast.Constant(200), ast.Constant(60)]
        return node


def fenced(document: Path, language: str) -> list[str]:
    """Return the blocks of a language, each with as many empty lines before it as the document has lines."""
    text = document.read_text()
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)
    return ["\n" * text[: block.start(1)].count("\n") + block[1] for block in found]


@pytest.mark.parametrize(
    "document", [each for each in DOCUMENTS if fenced(each, "python")], ids=lambda path: str(path.relative_to(ROOT))
)
def test_python(document: Path, workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a document run one after another; a name in capitals stands for something of the reader's."""
    blocks = fenced(document, "python")
    missing = [
        name for text, name in LIBRARIES.items() if text in str(blocks) and importlib.util.find_spec(name) is None
    ]
    if missing:
        pytest.skip(f"{missing[0]} is not installed")
    folder = tmp_path / "here"
    copy(workplace, folder)
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {
        "__name__": "document",
        "PATH": "cifar",
        "MyNet": lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)),
    }
    for block in blocks:
        exec(compile(ast.fix_missing_locations(Short().visit(ast.parse(block))), document, "exec"), names)


@pytest.mark.parametrize("document", [each for each in DOCUMENTS if fenced(each, "yaml")], ids=lambda path: path.name)
def test_grid_files(document: Path, workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each plans its cells."""
    monkeypatch.chdir(workplace)
    for number, block in enumerate(fenced(document, "yaml")):
        file = tmp_path / f"{number}.yaml"
        file.write_text(block)
        assert preceptor.grid(file, run=False).cells


def settings_of(document: Path) -> list[str]:
    """Return the settings within a document's sentences: `key=value ...`, but no Python."""
    found = [code for code in inline(document.read_text()) if SETTING.match(code)]
    return [code for code in found if not re.search(r"=[{(]?\"[^=]*\"[:)]|^\w+=\w+\(| = |=$", code)]


def is_valid(word: str, method: str) -> bool:
    """Whether a word is a setting of some verb, by its key and the kind of its value."""
    key = word.partition("=")[0].partition(".")[0]
    teacher = {"path": "t", "model": {"name": "mlp"}} if word.startswith("teacher.model.") else "t"
    method = "at" if "pairs" in word else method
    for kind, needed in (
        (
            DistillRecipe,
            {"data": "digits", "model": "mlp", "teacher": teacher, "method": method, "unlabelled": "digits"},
        ),
        (TeachRecipe, {"data": "digits", "model": "mlp"}),
        (LabelRecipe, {"data": "digits", "teacher": teacher, "out": "l"}),
    ):
        if key in kind.model_fields:
            recipe: Any = make_recipe(kind, needed, [*(["teacher.assistants=a"] * ("takd" in word)), word])
            if not isinstance(recipe, LabelRecipe):
                resolve_terms(recipe.terms, recipe.terms_key, has_teacher=recipe.has_teacher)
            return True
    return False


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_settings_in_sentences(document: Path, tmp_path: Path) -> None:
    """A shell leaves them whole, and those that name no place or number are accepted."""
    method = document.stem if document.parent.name == "methods" and document.stem != "index" else "kd"
    for code in settings_of(document):
        ((_, *words),) = split(f"preceptor {code}", tmp_path)
        chosen = next((word.partition("=")[2] for word in words if word.startswith("method=")), method)
        for word in words:
            assert "=" in word, f"{code}: {word}"
            if not re.search(r"=.*(\b[A-Z]+\b|\.\.\.)|=$", word):
                assert is_valid(word, chosen) or word.partition("=")[0].isidentifier(), word


def test_the_command_of_a_model_card(workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "here"
    copy(workplace, folder)
    monkeypatch.chdir(folder)
    typed = (
        "preceptor distill data=cifar100 data.root=cifar data.limit=100 data.test_limit=50 epochs=1 teacher=runs/t "
        "model=convnet_s method=kd 'method.cross_entropy.weight={schedule: cosine, peak: 0.1}' 'out=runs/a student'"
    )
    carry_out(typed, folder, monkeypatch)
    before = preceptor.load("runs/a student").state_dict()
    carry_out("preceptor export 'runs/a student' --hub-folder hub/card --license mit", folder, monkeypatch)
    card = (folder / "hub" / "card" / "README.md").read_text()
    (command,) = re.findall(r"^\| command \| `(.*)` \|$", card, re.M)
    ((_, *words),) = split(command, folder)
    assert words[:-1] == [*split(typed, folder)[0][1:], "overwrite=true"][: len(words) - 1]
    carry_out(command, folder, monkeypatch)
    after = preceptor.load("runs/a student").state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
