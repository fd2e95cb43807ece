"""The command line: `preceptor VERB key=value ...`. Packages are imported in the verbs, so that help and wrong keys are quick."""

from __future__ import annotations

import io
import os
import sys
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.exceptions import TyperException

from preceptor.cli.completion import completion
from preceptor.cli.doctor import doctor
from preceptor.cli.explain import explained, in_words
from preceptor.cli.grid import grid
from preceptor.cli.predict import predict
from preceptor.cli.report import report
from preceptor.errors import Interrupted, PreceptorError, UsageError
from preceptor.escaping import terminal

__all__ = ["app", "main"]

app = typer.Typer(
    name="preceptor",
    help="Train teachers for knowledge distillation, and distil students from them.",
    epilog="Every verb takes --debug: show the traceback of an error.",
    no_args_is_help=True,
    add_completion=False,  # bash would put a space after a key; the verb completion does not
    pretty_exceptions_enable=False,
)


Verb = Literal["teach", "distill", "label"]
Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="[key=value]...", help="settings, e.g. optim.lr=0.1"),
]
Config = Annotated[Path | None, typer.Option("--config", help="a YAML file of settings; key=value words go on top")]
Workers = Annotated[int, typer.Option(min=0, help="processes that read ahead, where samples are not in memory")]
Model = Annotated[
    str | None, typer.Option(metavar="PKG.MODULE:FACTORY", help="the network, where it was passed from Python")
]
Help = Annotated[bool, typer.Option("--help", help="show every key, its type and its default")]
_KEYS = {"add_help_option": False}
_command_of = cache(typer.main.get_command)
_CTRL_C = 130  # the exit status of a process that SIGINT ends


@app.command(**_KEYS)  # type: ignore[arg-type]
def teach(words: Words = None, config: Config = None, show_help: Help = False) -> None:
    """Train a teacher: data=... model=... objective=... out=..."""
    _carry_out("teach", words or [], config, show_help=show_help)


@app.command(**_KEYS)  # type: ignore[arg-type]
def distill(words: Words = None, config: Config = None, show_help: Help = False) -> None:
    """Train a student from a teacher: data=... teacher=... model=... method=... out=..."""
    _carry_out("distill", words or [], config, show_help=show_help)


@app.command(**_KEYS)  # type: ignore[arg-type]
def label(words: Words = None, config: Config = None, show_help: Help = False) -> None:
    """Store a teacher's outputs for every training sample, for distill labels=...: data=... teacher=... views=... out=..."""
    _carry_out("label", words or [], config, show_help=show_help)


@app.command()
def evaluate(
    run: Annotated[
        str, typer.Argument(help="a finished run's folder; an exported .safetensors or Hub folder with data=")
    ],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[data...=value]... [model...=value]...",
            help="other data to test on; the network, if passed from Python",
        ),
    ] = None,
    workers: Workers = 0,
) -> None:
    """Measure a trained network on the test split."""
    from preceptor.cli.verbs import evaluate_verb  # noqa: PLC0415

    evaluate_verb(run, words or [], workers=workers)


@app.command()
def assess(
    words: Annotated[
        list[str],
        typer.Argument(metavar="RUN|FILE... [data...=value]... [model...=value]...", help="candidates for teachers"),
    ],
    against: Annotated[str | None, typer.Option(help="a run whose outputs each candidate's are compared with")] = None,
    page: Annotated[Path | None, typer.Option(help="write this HTML page, with reliability diagrams")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write every number into this file")] = None,
    workers: Workers = 0,
) -> None:
    """Measure how good networks are as teachers, without distilling from them."""
    from preceptor.cli.assess import assess_verb  # noqa: PLC0415

    assess_verb(words, against=against, page=page, json_file=json_file, workers=workers)


@app.command()
def curve(
    teacher: Annotated[str, typer.Argument(metavar="RUN", help="a teacher's run with kept epochs (keep_every=N)")],
    words: Words = None,
) -> None:
    """Distil a student from each kept epoch of a teacher: which epoch teaches best? RUN model=... method=... out=..."""
    from preceptor.cli.curve import curve_verb  # noqa: PLC0415

    curve_verb(teacher, words or [])


@app.command()
def export(
    run: Annotated[str, typer.Argument(help="a finished run's folder")],
    to: Annotated[Path | None, typer.Option(help="FILE.safetensors, FILE.onnx or FILE.pt2")] = None,
    model: Model = None,
    epoch: Annotated[
        int | None, typer.Option(min=1, help="a kept epoch of the run (keep_every=N) instead of its result")
    ] = None,
    output: Annotated[Literal["logits", "probabilities"], typer.Option(help="of .onnx and .pt2")] = "logits",
    normalise: Annotated[
        Literal["inside", "outside"],
        typer.Option(help="inside: .onnx and .pt2 take uint8 pixels 0..255; outside: normalised float32"),
    ] = "outside",
    int8: Annotated[bool, typer.Option("--int8", help="also FILE.int8.onnx, and its accuracy on test")] = False,
    hub_folder: Annotated[Path | None, typer.Option(help="also a folder with a model card, for the Hub")] = None,
    license: Annotated[
        str | None,
        typer.Option(help="of --hub-folder: an identifier that the Hub knows, or unknown (default: as before)"),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="replace another network's files in --hub-folder")
    ] = False,
) -> None:
    """Write a run's network into a self-contained file, and check its outputs."""
    from preceptor.cli.export import show_exported  # noqa: PLC0415
    from preceptor.exports.export import export as write  # noqa: PLC0415

    exported = write(
        run,
        to,
        model=model,
        epoch=epoch,
        output=output,
        normalise=normalise,
        int8=int8,
        hub_folder=hub_folder,
        license=license,
        overwrite=overwrite,
    )
    show_exported(exported)


app.command()(predict)


@app.command(name="list")
def list_(
    context: typer.Context,
    what: Annotated[
        Literal["models", "objectives", "methods", "inputs", "data", "presets"] | None, typer.Argument()
    ] = None,
    name: Annotated[str | None, typer.Argument(help="one of them, for its card; also PKG.MODULE:CLASS")] = None,
) -> None:
    """List what can be named: models, objectives, methods, inputs, data or presets."""
    if what is None:
        typer.echo(context.get_help())
        return
    from preceptor.cli.tables import list_verb  # noqa: PLC0415

    list_verb(what, name)


@app.command()
def config(verb: Annotated[Verb, typer.Argument()], words: Words = None) -> None:
    """Print a full configuration as YAML, with what each key means."""
    from preceptor.cli.keys import config_verb  # noqa: PLC0415

    config_verb(verb, words or [])


@app.command()
def bench(
    teacher: Annotated[str, typer.Argument(help="a network of `preceptor list models`")] = "wrn_40_2",
    student: Annotated[str, typer.Argument(help="another one")] = "wrn_16_2",
    batch_size: Annotated[int, typer.Option(min=1)] = 64,
    classes: Annotated[int, typer.Option(min=2)] = 100,
    rounds: Annotated[int, typer.Option(min=1, help="of each variant, interleaved")] = 5,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
) -> None:
    """Compare the speed of distillation on this machine with the usual research loop, in a minute or two."""
    from preceptor.cli.bench import bench_verb  # noqa: PLC0415

    bench_verb(teacher, student, batch_size=batch_size, classes=classes, rounds=rounds, device=device)


app.command()(report)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="where the runs and the report go; replaced if it is a demo's")] = Path(
        "runs/demo"
    ),
    seeds: Annotated[int, typer.Option(min=1, help="how many seeds")] = 3,
) -> None:
    """Teachers by three objectives, students from each, on handwritten digits whose true label distribution is known."""
    from preceptor.cli.demo import demo_verb  # noqa: PLC0415

    demo_verb(out, seeds)


app.command()(grid)  # its options fill a file
app.command()(doctor)
app.command()(completion)


@app.callback(invoke_without_command=True)
def _top(version: Annotated[bool, typer.Option("--version", help="show the version")] = False) -> None:
    if version:
        from preceptor import __version__  # noqa: PLC0415

        typer.echo(__version__)
        raise typer.Exit


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1 (the run failed), 2 (wrong usage), 128 + signal."""
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files need not be UTF-8
    try:
        status = _command_of(app).main(
            [word for word in words if word != "--debug"], prog_name="preceptor", standalone_mode=False
        )
    except Interrupted as stop:
        return _end(str(stop), stop.exit_code)
    except PreceptorError as error:
        if debug:
            raise
        is_printed_elsewhere = (
            isinstance(error, UsageError) and os.environ.get("RANK", "0") != "0"
        )  # by the first process
        return error.exit_code if is_printed_elsewhere else _fail(str(error), error.exit_code)
    except TyperException as error:
        return _fail(explained(error.format_message(), words, _verbs()), 2)
    except (KeyboardInterrupt, typer.Abort):
        return _end("interrupted", _CTRL_C)
    except Exception as error:
        if debug:
            raise
        return _fail(in_words(error), 1)
    code = status if isinstance(status, int) else 0
    return _end("interrupted", code) if code == _CTRL_C else code  # which typer has caught


def _carry_out(verb: Verb, words: list[str], config: Path | None, *, show_help: bool) -> None:
    from preceptor.cli.keys import print_help, read_recipe  # noqa: PLC0415

    if show_help:
        print_help(verb)
        return
    recipe = read_recipe(verb, words, config)
    from preceptor.cli.verbs import carry_out  # noqa: PLC0415  (imports torch)

    carry_out(recipe)


def _verbs() -> list[str]:
    return [each.name or str(each.callback and each.callback.__name__) for each in app.registered_commands]


def _fail(message: str, status: int) -> int:
    return _end("\n".join(f"error: {line}" for line in message.splitlines()), status)


def _end(message: str, status: int) -> int:
    for line in message.splitlines():
        print(terminal(line), file=sys.stderr)
    return status
