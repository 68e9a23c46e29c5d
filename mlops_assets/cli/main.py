"""The commands of `mlops`. Here belong names, options and help; what a command does stands in its own module."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console

from mlops_assets.adapters.landing import Landing
from mlops_assets.adapters.service_client import ServiceUnavailable
from mlops_assets.cli.errors import UserError
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import DatasetInvalid
from mlops_assets.datasets.flights import WINDOWS
from mlops_assets.domain.windows import WindowNameInvalid, WindowUnfit

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A closed MLOps loop for tabular classification.")
window_app = typer.Typer(no_args_is_help=True, help="Data windows.")
app.add_typer(window_app, name="window")


@app.command()
def demo(
    windows: Annotated[int, typer.Option(min=1, max=len(WINDOWS), help="How many months.")] = len(WINDOWS),
    leave: Annotated[bool, typer.Option("--exit", help="End after the last window, not at Ctrl-C.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the state first.")] = False,
) -> None:
    """Replay a year of real flights through the whole loop."""
    from mlops_assets.cli.demo import demo

    demo(Settings(), Console(), windows=windows, leave=leave, fresh=fresh)


@app.command()
def up() -> None:
    """Run Dagster, the prediction service and MLflow's pages until Ctrl-C."""
    from mlops_assets.cli.up import up

    up(Settings(), Console())


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Say what is in production, what the service answers with, and what became of each window."""
    from mlops_assets.cli.status import read_status, status_view

    read = read_status(Settings())
    if as_json:
        typer.echo(json.dumps(read, indent=2))
    else:
        Console().print(status_view(read))


@app.command()
def checks(
    folder: Annotated[
        Path | None, typer.Option(help="Windows to run on; small ones of the flights by default.")
    ] = None,
) -> None:
    """Run every asset check on small windows, in a state of its own; fails when one fails."""
    from mlops_assets.cli.checks import run_checks

    if not run_checks(Console(), folder):
        raise typer.Exit(1)


@window_app.command("add")
def window_add(
    file: Annotated[Path, typer.Argument(help="A Parquet file, named <window>.parquet.")],
    window: Annotated[str | None, typer.Option(help="The window's name, where the file has another.")] = None,
) -> None:
    """Land a window: validate its name, copy it, rename it into place."""
    typer.echo(f"landed {Landing(Settings().landing).add(file, window)}")


def main() -> None:
    """Runs a command; what a user can mend is said in a sentence."""
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # else it tells of each table that it makes
    try:
        app()
    except (UserError, DatasetInvalid, WindowNameInvalid, WindowUnfit, ServiceUnavailable) as error:
        typer.echo(f"mlops: {error}", err=True)
        raise SystemExit(1) from error
    except ValidationError as error:
        for fault in error.errors():
            name = str(fault["loc"][0])
            name = name if name.isupper() else f"MLOPS_{name.upper()}"
            typer.echo(f"mlops: {name} is {fault['input']!r}: {fault['msg']}", err=True)
        raise SystemExit(1) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None
