"""The commands of `mlops` about versions and production. What a command does stands in its own module."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mlops_assets.cli.options import DatasetOption, console, settings_of

production_app = typer.Typer()
hold_app = typer.Typer(no_args_is_help=True, help="Whether the loop may promote.")
production_app.add_typer(hold_app, name="hold")

ByOption = Annotated[str | None, typer.Option("--by", help="Who asks for it; else the user that runs the command.")]


@production_app.command()
def ledger(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False, dataset: DatasetOption = None
) -> None:
    """List every promotion: which version, when, by whom, why, on which evidence."""
    from mlops_assets.cli.ledger import read_ledger, show_ledger

    read = read_ledger(settings_of(dataset))
    if as_json:
        typer.echo(json.dumps(read, indent=2))
    else:
        show_ledger(read, console())


@production_app.command("served-at")
def served_at(
    timestamp: Annotated[str, typer.Argument(help="As 2026-03-01T12:00:00+01:00; UTC where it names no zone.")],
    dataset: DatasetOption = None,
) -> None:
    """Say which version was in production at a time."""
    from mlops_assets.cli.ledger import served_at

    typer.echo(served_at(settings_of(dataset), timestamp))


@production_app.command()
def rollback(
    reason: Annotated[str, typer.Option(help="Why; it stands in the ledger.")],
    version: Annotated[int | None, typer.Argument(help="Else the one before production's.")] = None,
    by: ByOption = None,
    dataset: DatasetOption = None,
) -> None:
    """Make an earlier version production again, and put promotions on hold."""
    from mlops_assets.cli.ledger import roll_back

    typer.echo(roll_back(settings_of(dataset), version, reason=reason, by=by))


@production_app.command()
def reproduce(
    version: Annotated[int, typer.Argument(help="A registered version.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    dataset: DatasetOption = None,
) -> None:
    """Train a version again from its recorded windows; fails where metrics or predictions are not equal."""
    from mlops_assets.cli.reproduce import as_json as in_json
    from mlops_assets.cli.reproduce import reproduce, told

    found = reproduce(settings_of(dataset), version)
    typer.echo(json.dumps(in_json(found), indent=2) if as_json else "\n".join(told(found)))
    if not found.is_equal:
        raise typer.Exit(1)


@production_app.command()
def compare(
    first: Annotated[int, typer.Argument(help="A registered version, such as production.")],
    second: Annotated[int, typer.Argument(help="Another; the gain is its own over the first.")],
    window: Annotated[str | None, typer.Option(help="On whose validation rows; else the newest with labels.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the pictures as a page here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    dataset: DatasetOption = None,
) -> None:
    """Show two versions side by side on rows that neither has trained on."""
    from mlops_assets.cli.compare import compare_versions, show, write_page

    found = compare_versions(settings_of(dataset), first, second, window)
    if output is not None:
        write_page(found, output)
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
    else:
        show(found, console())


@production_app.command()
def approve(
    version: Annotated[int, typer.Argument(help="The candidate that waits for approval.")],
    reason: Annotated[str, typer.Option(help="Why; it stands in the ledger.")],
    by: ByOption = None,
    dataset: DatasetOption = None,
) -> None:
    """Let a candidate that passed the gate become production."""
    from mlops_assets.cli.approval import answer

    typer.echo(answer(settings_of(dataset), version, "approved", reason=reason, by=by))


@production_app.command()
def reject(
    version: Annotated[int, typer.Argument(help="The candidate that waits for approval.")],
    reason: Annotated[str, typer.Option(help="Why; it stands in the ledger.")],
    by: ByOption = None,
    dataset: DatasetOption = None,
) -> None:
    """Keep a candidate from becoming production."""
    from mlops_assets.cli.approval import answer

    typer.echo(answer(settings_of(dataset), version, "rejected", reason=reason, by=by))


@hold_app.command("on")
def hold_on(
    reason: Annotated[str, typer.Option(help="Why; it stands in the ledger.")] = "no reason given",
    by: ByOption = None,
    dataset: DatasetOption = None,
) -> None:
    """Keep the loop from promoting; it goes on measuring and training."""
    from mlops_assets.cli.ledger import set_hold

    typer.echo(set_hold(settings_of(dataset), is_on=True, reason=reason, by=by))


@hold_app.command("off")
def hold_off(
    reason: Annotated[str, typer.Option(help="Why; it stands in the ledger.")] = "lifted",
    by: ByOption = None,
    dataset: DatasetOption = None,
) -> None:
    """Let the loop promote again."""
    from mlops_assets.cli.ledger import set_hold

    typer.echo(set_hold(settings_of(dataset), is_on=False, reason=reason, by=by))
