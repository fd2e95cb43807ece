"""Files that try to run code or to reach the network, opened by every verb in a process that ends at the first attempt."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import preceptor
from onnx_files import linear_model
from preceptor.checksums import SEAL, json_with_checksum, seal_zip
from preceptor.models import read_metadata, save_weights
from records import change_config
from started import run
from watched import HOSTILE
from watched import __file__ as WATCHED

DATA = ["data=digits", "data.limit=60", "data.test_limit=20"]
STUDENT = ["model=convnet_s", "epochs=1", "batch_size=30", "device=cpu", "engine=plain"]
SHELL = {"name": "os:system", "command": "touch pwned"}
METHOD = {"name": "canary:Method"}
CANARY = "import pathlib\npathlib.Path('pwned').touch()\n"
VIT = {
    **{"model_type": "vit", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8},
    **{"image_size": 8, "patch_size": 4, "num_channels": 1},
}
Lines = dict[str, list[str]]
Result = tuple[int, str]


class Runs:
    """Pickled, it is a call of `os.system`."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch pwned",)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a run, its exports and an image, as the working directory; and a module that must not be imported."""
    folder = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("canary.py").write_text(CANARY)
        Image.fromarray(np.zeros((8, 8), np.uint8)).save("image.png")
        data = {"name": "digits", "limit": 60, "test_limit": 20}
        settings: Any = {"epochs": 1, "batch_size": 30, "keep_every": 1, "device": "cpu", "engine": "plain"}
        made = preceptor.teach(data=data, model="convnet_s", out="run", progress=False, **settings)
        preceptor.export(made, "file.safetensors", hub_folder="hub", license="unknown")
        preceptor.export(made, "file.pt2")
        preceptor.label(data=data, teacher="run", out="labels", progress=False)
        yield folder


def rewrite(path: Path, **changes: object) -> None:
    """Change a JSON file and its checksum, which whoever wants to harm makes too."""
    values = json.loads(path.read_text())
    is_sealed = values.pop(SEAL, None) is not None
    text = json.dumps({**values, **changes}, indent=1)
    path.write_text(json_with_checksum(text) if is_sealed else text)


def naming(section: dict[str, Any], target: str) -> tuple[str, str, str]:
    """Return a file, a folder for the Hub and a run that name a network."""
    file, hub, made = f"{target}.safetensors", f"{target}-hub", f"{target}-run"
    metadata = json.loads(read_metadata("file.safetensors")["preceptor"])
    save_weights(
        preceptor.load("file.safetensors"), file, metadata={"preceptor": json.dumps({**metadata, "model": section})}
    )
    for source, copy in (("hub", hub), ("run", made)):
        shutil.copytree(source, copy)
    shutil.copy(file, Path(hub) / "model.safetensors")
    for path in (Path(hub) / "preceptor.json", Path(made) / "result.json"):
        rewrite(path, model=section)
    change_config(Path(made), model=section)
    return file, hub, made


def opened(place: str, out: str) -> Lines:
    """Return the command lines that make the network of a file, a folder for the Hub or a run."""
    learn = ["distill", *DATA, *STUDENT, "method=kd"]
    lines = {
        "predict": ["predict", place, "image.png"],
        "evaluate": ["evaluate", place, *DATA],
        "assess": ["assess", place, *DATA],
        "assess against": ["assess", "run", "--against", place],
        "label": ["label", *DATA, f"teacher={place}", f"out={out}-label"],
        "distill": [*learn, f"teacher={place}", f"out={out}-distill"],
        "distill several": [*learn, f"teacher=[run, {place}]", f"out={out}-several"],
    }
    if Path(place, "config.yaml").exists():
        lines |= {
            "evaluate its data": ["evaluate", place],
            "distill epoch": [*learn, f"teacher={place}", "teacher.epoch=1", f"out={out}-epoch"],
            "distill anchors": [*learn, f"teacher={place}", "teacher.anchors=kept", f"out={out}-anchors"],
            "export": ["export", place, "--to", f"{out}.onnx"],
            "export hub": ["export", place, "--hub-folder", f"{out}-hub", "--license", "unknown"],
            "curve": ["curve", place, *STUDENT, "method=kd", f"out={out}-curve"],
        }
    return lines


def watched(lines: Lines) -> dict[str, Result]:
    """Return what lines came to, each with its status and its errors; nothing hostile has happened."""
    Path("lines.json").write_text(json.dumps(lines))
    done = run([WATCHED, "lines.json", "results.jsonl"])
    assert done.returncode == 0, done.stderr
    assert not Path("pwned").exists()
    results = {
        name: (code, said) for name, code, said in map(json.loads, Path("results.jsonl").read_text().splitlines())
    }
    assert list(results) == list(lines)
    for name, (_, said) in results.items():
        assert "Traceback" not in said, (name, said)
    return results


def test_the_watcher_sees_what_the_user_starts(places: Path) -> None:
    """The same names do run where the user names them too: otherwise the tests below could not fail."""
    _, _, made = naming({"name": "canary:make"}, "known")
    for event, words in (
        ("os.system", ["teach", *DATA, "model=os:system", "model.command=exit"]),
        ("exec", ["evaluate", made]),
    ):
        trusted = words if event == "os.system" else [*words, "model=canary:make"]
        Path("lines.json").write_text(json.dumps({"line": trusted}))
        done = run([WATCHED, "lines.json", "results.jsonl"])
        assert done.returncode == HOSTILE
        assert f"line: {event}" in done.stderr


def test_a_network_of_own_code_is_not_made_unless_the_user_names_it(places: Path) -> None:
    """Every verb, on every kind of file that can name a network."""
    lines: Lines = {}
    for kind, place in zip(("file", "hub", "run"), naming(SHELL, "shell"), strict=True):
        lines |= {f"{verb} {kind}": words for verb, words in opened(place, f"shell-{kind}").items()}
        lines[f"start {kind}"] = ["teach", *DATA, *STUDENT, f"start_from={place}", f"out=shell-start-{kind}"]
    lines["report"] = ["report", "shell-run"]
    results = watched(lines)
    for name, (code, said) in results.items():
        if name.startswith(("start ", "report")):
            assert code == 0, (name, said)  # neither makes the network that is named there
        else:
            assert code == 2, (name, said)
            assert said.count("error: ") == 1, (name, said)
            assert "its network is os:system, and no file alone loads code or reaches the network; if you trust" in said
    for verb, words in (
        *(("predict", "--model os:system"), ("export", "--model os:system"), ("evaluate", "model=os:system")),
        *(
            ("distill", "teacher.model=os:system"),
            ("curve", "teacher.model=os:system"),
            ("label", "teacher.model=os:system"),
        ),
    ):
        assert results[f"{verb} run"][1].endswith(f"add {words}\n")


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("timm", "transformers")),
    reason="needs the extras vision and hf",
)
def test_networks_of_other_libraries_bring_no_code_with_them(places: Path) -> None:
    torch.save(Runs(), "evil.pth")
    Path("remote").mkdir()
    auto_map = dict.fromkeys(("AutoConfig", "AutoModelForImageClassification"), "canary.Net")
    Path("remote/config.json").write_text(json.dumps({**VIT, "auto_map": auto_map}))
    shutil.copy("canary.py", "remote/canary.py")
    sections: dict[str, dict[str, Any]] = {
        "a repository": {"name": "timm:hf-hub:someone/net"},
        "a pickle": {"name": "timm:resnet18", "checkpoint_path": "evil.pth"},
        "kernels": {"name": "hf:x", "config": {**VIT, "attn_implementation": "someone/kernels"}},
        "a wrapped repository": {
            "name": "hf:x",
            "config": {"model_type": "timm_wrapper", "architecture": "hf-hub:a/b"},
        },
        "remote code": {"name": "hf:x", "config": {**VIT, "auto_map": auto_map}},
        "remote code in a folder": {"name": "hf:remote"},
        "a name of the hub": {"name": "hf:someone/net"},
    }
    lines = {f"{way}, {verb}": [verb, naming(section, f"{way}-{verb}".replace(" ", "_"))[0], *words]
             for way, section in sections.items()
             for verb, words in (("evaluate", DATA), ("predict", ["image.png"]))}  # fmt: skip
    lines["user's folder"] = ["teach", *DATA, *STUDENT, "model=hf:remote", "out=from-folder"]
    for name, (code, said) in watched(lines).items():
        assert code == (0 if name == "user's folder" else 2), (name, said)


def test_the_config_of_a_hub_folder_is_never_read(places: Path) -> None:
    """It is the library's; ours is preceptor.json, whose lists touch nothing outside the folder."""
    configs: dict[str, dict[str, Any]] = {
        "remote code": {**VIT, "auto_map": {"AutoModelForImageClassification": "canary.Net"}},
        "a repository": {"architecture": "hf-hub:someone/net", "pretrained_cfg": {"hf_hub_id": "someone/net"}},
        "a pickle": {"architecture": "resnet18", "pretrained_cfg": {"file": "evil.pth", "custom_load": True}},
        "own code": {"model": SHELL, "library_name": "preceptor"},
    }
    lines: Lines = {}
    for name, config in configs.items():
        hub = Path(f"config-{name}".replace(" ", "-"))
        shutil.copytree("hub", hub)
        (hub / "config.json").write_text(json.dumps(config))
        shutil.copy("canary.py", hub / "canary.py")
        lines[f"predict, {name}"] = ["predict", str(hub), "image.png"]
        lines[f"export, {name}"] = ["export", "run", "--hub-folder", str(hub)]
    lines |= opened("config-own-code", "config-own")
    for name, (code, said) in watched(lines).items():
        assert code == 0, (name, said)
    listed = Path("config-listed")
    shutil.copytree("hub", listed)
    rewrite(
        listed / "preceptor.json", fingerprint="another", library_files=["../image.png", "canary.py", "config.json"]
    )
    shutil.copy("canary.py", listed / "canary.py")
    words = ["export", "run", "--hub-folder", str(listed), "--overwrite", "--license", "mit"]
    assert watched({"overwrite": words})["overwrite"][0] == 0
    assert Path("image.png").exists()
    assert (listed / "canary.py").exists()


def test_weights_checkpoints_and_data_run_nothing(places: Path) -> None:
    torch.save({"state_dict": Runs()}, "weights.pth")
    Path("raw.pth").write_bytes(pickle.dumps(Runs()))
    shutil.copytree("run", "half")
    Path("half/result.json").unlink()
    torch.save(Runs(), "half/checkpoint/last.pt")
    np.savez("evil.npz", x_train=np.array([Runs()], dtype=object), y_train=np.zeros(1, int))
    Path("cifar/cifar-10-batches-py").mkdir(parents=True)
    for name in ("batches.meta", "test_batch", *(f"data_batch_{number}" for number in range(1, 6))):
        Path("cifar/cifar-10-batches-py", name).write_bytes(pickle.dumps(Runs()))
    with zipfile.ZipFile("file.pt2") as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    content = io.BytesIO()
    torch.save(Runs(), content)
    records["archive/data/sample_inputs/model.pt"] = content.getvalue()
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, record in records.items():
            archive.writestr(zipfile.ZipInfo(name), record)
    seal_zip(written)
    Path("inputs.pt2").write_bytes(written.getvalue())
    shutil.copytree("labels", "labels-shell")
    rewrite(Path("labels-shell/manifest.json"), names={"data": "digits", "teacher": "os:system"})
    named = ["teach", *STUDENT]
    lines = {
        **{f"teacher {name}": ["distill", *DATA, *STUDENT, f"teacher={name}", "teacher.model=convnet_s", f"out=t-{name}"]
           for name in ("weights.pth", "raw.pth")},
        **{f"start {name}": [*named, *DATA, f"start_from={name}", f"out=s-{name}"] for name in ("weights.pth", "raw.pth")},
        "resume": [*named, *DATA, "keep_every=1", "out=half", "resume=true"],
        "npz": [*named, "data=npz:evil.npz", "out=no"],
        "cifar": [*named, "data=cifar10", "data.root=cifar", "out=no"],
        "inputs of a program": ["predict", "inputs.pt2", "image.png"],
        "labels": ["distill", *DATA, *STUDENT, "labels=labels-shell", "out=by-labels"],
    }  # fmt: skip
    for name, (code, said) in watched(lines).items():
        assert code == (0 if name in {"inputs of a program", "labels"} else 2), (name, said)


def test_onnx_files_and_predictions_read_nothing_else(places: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    Path("secret").write_bytes(bytes(64 * 10 * 4))
    Path("programs").mkdir()
    elsewhere = ("../secret", str(Path("secret").resolve()), "link", "*/_ORT_MEM_ADDR_/*")
    Path("programs/link").symlink_to(Path("secret").resolve())
    lines: Lines = {}
    for number, location in enumerate(elsewhere):
        model = linear_model(np.ones((64, 10)), ["n", 1, 8, 8])
        weight = model.graph.initializer[0]
        weight.ClearField("raw_data")
        weight.data_location = onnx.TensorProto.EXTERNAL
        weight.external_data.add(key="location", value=location)
        file = f"programs/{number}.onnx"
        Path(file).write_bytes(model.SerializeToString())
        lines |= {
            f"{verb} {location}": words
            for verb, words in {
                "predict": ["predict", file, "image.png"],
                "evaluate": ["evaluate", file, *DATA],
                "assess": ["assess", file, *DATA],
                "label": ["label", *DATA, f"teacher={file}", f"out=program-{number}"],
                "distill": ["distill", *DATA, *STUDENT, f"teacher={file}", f"out=program-{number}"],
            }.items()
        }
    np.save("objects.npy", np.array([[Runs()] * 10] * 60, dtype=object))
    np.savez("objects.npz", logits=np.array([[Runs()] * 10] * 60, dtype=object))
    for file in ("objects.npy", "objects.npz"):
        lines[f"predictions {file}"] = ["label", *DATA, f"predictions={file}", "out=no"]
    for name, (code, said) in watched(lines).items():
        assert code == 2, (name, said)
        if not name.startswith("predictions"):
            assert ", outside its folder, and such files are not read" in said or "no such file beside it" in said, said
    assert not Path("no").exists()


def test_configurations_and_grids_start_no_code_and_no_connection_by_themselves(places: Path) -> None:
    plain = yaml.safe_load(Path("run/config.yaml").read_text())
    changes: dict[str, dict[str, Any]] = {
        "model": {"model": SHELL},
        "track": {"track": ["wandb"]},
        "data": {"data": {"name": "wds:http://127.0.0.1:9/a.tar"}},
        "objective": {"objective": METHOD},
        "term": {"objective": {"name": "cross_entropy", "own": {**METHOD, "weight": 1.0}}},
        "shell": {"objective": {"name": "os:system", "command": "touch pwned"}},
        "library": {"objective": "timm:create_model"},
    }
    lines: Lines = {}
    for name, change in changes.items():
        Path(f"{name}.yaml").write_text(yaml.safe_dump({**plain, **change, "out": f"by-{name}"}))
        lines[f"config {name}"] = ["teach", "--config", f"{name}.yaml"]
    remote = Path("remote-run")
    shutil.copytree("run", remote)
    change_config(remote, **changes["data"])
    for verb, words in (
        *(("evaluate", []), ("assess", []), ("curve", [*STUDENT, "out=c"]), ("export", ["--to", "x.onnx", "--int8"])),
    ):
        lines[f"data of a run, {verb}"] = [verb, str(remote), *words]
    student = {**plain, "kind": "distill", "teacher": {"path": "run"}, "method": METHOD, "out": "by-method"}
    del student["objective"]
    Path("method.yaml").write_text(yaml.safe_dump(student))
    lines["config method"] = ["distill", "--config", "method.yaml"]
    place, teacher = METHOD["name"], {"teach": {"model": "mlp"}}
    grids: dict[str, dict[str, Any]] = {
        "objective": {"teach": {"model": "mlp", "objective": place}},
        "method": {**teacher, "distill": {"model": "mlp", "method": ["kd", place]}},
        "term": {**teacher, "distill": {"model": "mlp", "method.own.name": place}},
    }
    for name, sections in grids.items():
        written = {"fixed": {"data": "digits", "epochs": 1}, **sections, "out": "grid"}
        Path(f"grid-{name}.yaml").write_text(yaml.safe_dump(written))
        lines[f"grid {name}"] = ["grid", f"grid-{name}.yaml", "--dry-run"]
    grid = {
        "fixed": {"data": "digits", "epochs": 1},
        "teach": {"model": "os:system"},
        "distill": {"model": "canary:make"},
    }
    Path("grid.yaml").write_text(yaml.safe_dump({**grid, "out": "grid"}))
    for option in ("--dry-run", "--status", "--retry"):
        lines[f"grid {option}"] = ["grid", "grid.yaml", option]
    for name, (code, said) in watched(lines).items():
        assert code == 2, (name, said)
        assert len(said.splitlines()) == 1, (name, said)
        assert "reaches the network" in said, (name, said)
        assert " add " in said, (name, said)
    assert not Path("grid").exists()


def test_the_objective_that_a_run_names_is_not_imported(places: Path) -> None:
    """No verb needs it: what is read of a run is its network, its data and its numbers."""
    shutil.copytree("run", "own")
    change_config(Path("own"), objective=METHOD)
    lines = {**opened("own", "own"), "report": ["report", "own"]}
    lines["start"] = ["teach", *DATA, *STUDENT, "start_from=own", "out=own-start"]
    lines["resume"] = ["teach", *DATA, *STUDENT, "keep_every=1", "out=own", "resume=true"]
    for name, (code, said) in watched(lines).items():
        assert code == (2 if name == "resume" else 0), (name, said)


def test_an_objective_of_own_code_runs_where_the_user_names_it(places: Path) -> None:
    """Otherwise the tests above could not fail."""
    line = ["teach", *DATA, *STUDENT, "objective=canary:Method", "out=named"]
    Path("lines.json").write_text(json.dumps({"line": line, "card": ["list", "objectives", "canary:Method"]}))
    done = run([WATCHED, "lines.json", "results.jsonl"])
    assert done.returncode == HOSTILE
    assert "line: exec" in done.stderr
