"""The commands: `make`, `mlops` and the service's own, as a page."""

import re
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any, Protocol

import typer

from docs.reference.fields import kind, table
from mlops_assets.cli.main import app
from serving.keys import main as keys_main

ROOT = Path(__file__).parents[2]
PAGE = """# Commands

## make

{make}
`ARGS` goes to the command behind it: `make demo ARGS="--windows 4 --exit"`.

## mlops

What a user can mend is said in a sentence on stderr, with exit code 1. Where `--dataset` and `--source` are not given,
a command means the contract and the source that the state folder's loop was last started with.

{mlops}
## python -m serving

The service, by its [settings](settings.md#the-service) alone; `--help` lists them.

## python -m serving.keys

{keys}"""


class Command(Protocol):
    """What is read of a command of typer's."""

    help: str | None
    params: list[Any]


@cache
def page() -> str:
    """The page's text."""
    return PAGE.format(make=_make(), mlops="\n".join(map(_section, *zip(*walk().items(), strict=True))), keys=_keys())


@cache
def walk() -> Mapping[str, Command]:
    """Every command of `mlops` that does something, by its name."""
    return dict(_walk(typer.main.get_command(app), "mlops"))


def make_targets() -> Mapping[str, str]:
    """What each target of the Makefile is for, as `make help` says it."""
    return dict(re.findall(r"^([a-z%-]+):.*## (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE))


def _walk(command: Any, name: str) -> Iterator[tuple[str, Command]]:  # noqa: ANN401 -- typer's own click has no types
    commands = getattr(command, "commands", None)
    if commands is None:
        yield name, command
    else:
        for below, one in commands.items():
            yield from _walk(one, f"{name} {below}")


def _section(name: str, command: Command) -> str:
    arguments = [
        param.name.upper() if param.required else f"[{param.name.upper()}]"
        for param in command.params
        if param.param_type_name == "argument"
    ]
    rows = [(_written(param), _takes(param), _default(param), param.help or "") for param in command.params]
    described = table(("argument or option", "takes", "default", "what it is for"), rows) if rows else ""
    return f"### {name}\n\n    {' '.join([name, *arguments])}\n\n{command.help}\n\n{described}"


def _written(param: Any) -> str:  # noqa: ANN401 -- the same
    if param.param_type_name == "argument":
        return f"`{param.name.upper()}`"
    return ", ".join(f"`{option}`" for option in param.opts)


def _takes(param: Any) -> str:  # noqa: ANN401 -- the same
    if getattr(param, "is_flag", False):
        return "-"
    limits = [f"at least {param.min}"] * (param.min is not None) + [f"at most {param.max}"] * (param.max is not None)
    return ", ".join([kind(param.type_descriptor.annotation), *limits])


def _default(param: Any) -> str:  # noqa: ANN401 -- the same
    if param.required:
        return "required"
    return "-" if param.default in (None, False) else f"`{param.default}`"


def _make() -> str:
    return table(("target", "what it is for"), ((f"`make {name}`", said) for name, said in make_targets().items()))


def _keys() -> str:
    """As its own help has it."""
    shown = []
    for arguments in (["create", "--help"], ["list", "--help"], ["revoke", "--help"]):
        with redirect_stdout(StringIO()) as printed:
            try:
                keys_main(arguments)
            except SystemExit:
                shown.append(re.sub("^", "    ", printed.getvalue().strip(), flags=re.MULTILINE))
    return "\n\n".join(shown) + "\n"
