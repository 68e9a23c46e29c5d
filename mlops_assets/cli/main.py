"""The commands of `mlops`. Here belong names, options and help; what a command does stands in its own module."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from mlops_assets.adapters.landing.landed_window import SourceDown, SourceInvalid
from mlops_assets.adapters.notifier import ReceiverInvalid
from mlops_assets.adapters.prediction_log import LogUnreadable
from mlops_assets.adapters.service_client import ServiceUnavailable
from mlops_assets.adapters.window_records import RecordInvalid
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.options import DatasetOption, SourceOption, console, settings_of
from mlops_assets.cli.production_commands import production_app
from mlops_assets.cli.window_commands import quarantine_app, window_app
from mlops_assets.config import LOOPBACK, Settings
from mlops_assets.datasets.contract import DatasetInvalid, read_dataset
from mlops_assets.datasets.flights import WINDOWS
from mlops_assets.domain.location import masked
from mlops_assets.domain.log_period import PeriodInvalid
from mlops_assets.domain.prediction_log import LogUnfit
from mlops_assets.domain.windows import WindowNameInvalid, WindowUnfit

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A closed MLOps loop for tabular classification.")
app.add_typer(window_app, name="window")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(production_app)


@app.command()
def init(
    path: Annotated[
        Path, typer.Argument(help="A file, a folder of windows, or a folder of windows of several tables.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The contract to write.")] = Path("dataset.toml"),
) -> None:
    """Look at your data and write a commented contract of it."""
    from mlops_assets.cli.init import init

    init(path, output, console())


@app.command()
def check(dataset: DatasetOption = None, source: SourceOption = None) -> None:
    """Say whether the contract and the windows that landed hold, without running anything."""
    from mlops_assets.cli.check import check

    if not check(settings_of(dataset, source), console()):
        raise typer.Exit(1)


@app.command()
def demo(
    windows: Annotated[int, typer.Option(min=1, max=len(WINDOWS), help="How many months.")] = len(WINDOWS),
    leave: Annotated[bool, typer.Option("--exit", help="End after the last window, not at Ctrl-C.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the state first.")] = False,
) -> None:
    """Replay a year of real flights through the whole loop."""
    from mlops_assets.cli.demo import demo

    demo(Settings(), console(), windows=windows, leave=leave, fresh=fresh)


@app.command()
def up(dataset: DatasetOption = None, source: SourceOption = None) -> None:
    """Run Dagster, the prediction service and MLflow's pages until Ctrl-C."""
    from mlops_assets.cli.up import up

    up(settings_of(dataset, source), console())


@app.command()
def metrics(
    host: Annotated[str, typer.Option(help="Address to listen on; the metrics name windows and addresses.")] = LOOPBACK,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 9400,
    dataset: DatasetOption = None,
    source: SourceOption = None,
) -> None:
    """Serve the loop's metrics for Prometheus until Ctrl-C."""
    from mlops_assets.cli.metrics import serve_metrics

    serve_metrics(settings_of(dataset, source), console(), host=host, port=port)


@app.command()
def migrate(dataset: DatasetOption = None, source: SourceOption = None) -> None:
    """Make the databases that the settings name, or bring them up to date; once, before servers start."""
    from mlops_assets.cli.migrate import migrate

    migrate(settings_of(dataset, source), console())


@app.command()
def code(
    host: Annotated[str, typer.Option(help="The address to listen on; MLOPS_CODE_PORT is the port.")] = LOOPBACK,
) -> None:
    """Run the code location alone, where Dagster's webserver and daemon run elsewhere."""
    from mlops_assets.cli.code import serve_code

    serve_code(settings_of(), console(), host=host)


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    dataset: DatasetOption = None,
    source: SourceOption = None,
) -> None:
    """Say what is in production, what the service answers with, and what became of each window."""
    from mlops_assets.cli.status import read_status, status_view

    read = read_status(settings_of(dataset, source))
    if as_json:
        typer.echo(json.dumps(read, indent=2))
    else:
        console().print(status_view(read))


@app.command()
def explain(
    window: Annotated[str, typer.Argument(help="The window's name.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    dataset: DatasetOption = None,
    source: SourceOption = None,
) -> None:
    """Say what happened to a window, and why: its rows, its drift, the decision, the training, the gate."""
    from mlops_assets.cli.explain import explanation_view
    from mlops_assets.cli.explanation import read_explanation

    read = read_explanation(settings_of(dataset, source), window)
    if as_json:
        typer.echo(json.dumps(read, indent=2))
    else:
        console().print(explanation_view(read))


@app.command()
def drift(
    reference: Annotated[str, typer.Argument(help="The window that is compared with.")],
    current: Annotated[str, typer.Argument(help="The window that is compared.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    dataset: DatasetOption = None,
    source: SourceOption = None,
) -> None:
    """Compare two stored windows: their quality side by side, and the drift from one to the other. Trains nothing."""
    from mlops_assets.cli.drift import compare, show

    settings = settings_of(dataset, source)
    comparison = compare(settings, reference, current)
    if as_json:
        typer.echo(json.dumps(comparison.as_json(), indent=2))
    else:
        show(comparison, read_dataset(settings.dataset), console())


@app.command()
def checks(
    folder: Annotated[
        Path | None, typer.Option(help="Windows to run on; small ones of the flights by default.")
    ] = None,
) -> None:
    """Run every asset check on small windows, in a state of its own; fails when one fails."""
    from mlops_assets.cli.checks import run_checks

    if not run_checks(console(), folder):
        raise typer.Exit(1)


@app.command()
def score(
    file: Annotated[Path, typer.Argument(help="A Parquet or CSV file with the model's features.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="What to write: .parquet or .csv.")],
    version: Annotated[int | None, typer.Option(help="A registered version; else production.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the output where it is there.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Fail where a row was refused; the output stays.")] = False,
    dataset: DatasetOption = None,
) -> None:
    """Score a file of any size. Rows that break the contract keep their place, without a probability."""
    from mlops_assets.cli.score import score

    scored = score(settings_of(dataset), file, output, console(), version=version, force=force)
    if strict and scored.refused:
        raise typer.Exit(1)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The archive to write, a compressed tar; outside the state folder.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file where it is there.")] = False,
    dataset: DatasetOption = None,
) -> None:
    """Write all state of the loop into one file: databases, windows, models, releases, logs. It may run meanwhile."""
    from mlops_assets.cli.backup import backup

    backup(settings_of(dataset), file, console(), force=force)


@app.command()
def restore(file: Annotated[Path, typer.Argument(help="An archive that `mlops backup` wrote.")]) -> None:
    """Put a backup into an empty state folder and empty databases. Overwrites nothing."""
    from mlops_assets.cli.restore import restore

    restore(Settings(), file, console())


def main() -> None:
    """Runs a command; what a user can mend is said in a sentence."""
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # else it tells of each table that it makes
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        app()
    except (
        UserError,
        DatasetInvalid,
        WindowNameInvalid,
        WindowUnfit,
        PeriodInvalid,
        LogUnfit,
        LogUnreadable,
        ReceiverInvalid,
        ServiceUnavailable,
        SourceDown,
        SourceInvalid,
        RecordInvalid,
    ) as error:
        typer.echo(f"mlops: {error}", err=True)
        raise SystemExit(1) from error
    except ValidationError as error:
        for fault in error.errors():
            if fault["type"] == "default_factory_not_called":  # a consequence of another fault
                continue
            name = str(fault["loc"][0])
            name = name if name.isupper() else f"MLOPS_{name.upper()}"
            given = masked(fault["input"]) if isinstance(fault["input"], str) else fault["input"]
            typer.echo(f"mlops: {name} is {given!r}: {fault['msg']}", err=True)
        raise SystemExit(1) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
