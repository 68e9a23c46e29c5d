"""The commands of `mlops` about windows and quarantine. What a command does stands in its own module."""

from pathlib import Path
from typing import Annotated

import typer

from mlops_assets.cli.options import DatasetOption, SourceOption, console, settings_of

window_app = typer.Typer(no_args_is_help=True, help="Data windows.")
quarantine_app = typer.Typer(no_args_is_help=True, help="Rows and windows that were set aside.")


@window_app.command("add")
def window_add(
    path: Annotated[Path, typer.Argument(help="A Parquet or CSV file, or a folder with a file for each table.")],
    window: Annotated[str | None, typer.Option(help="The window's name, where the file has another.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Land a corrected window over an earlier one.")] = False,
    dataset: DatasetOption = None,
    source: SourceOption = None,
) -> None:
    """Land a window, or its late labels (<window>.labels.csv): copied, and renamed into place."""
    from mlops_assets.cli.window import landing_folder

    typer.echo(f"landed {landing_folder(settings_of(dataset, source)).add(path, window, replace=replace)}")


@window_app.command("from-log")
def window_from_log(
    since: Annotated[str | None, typer.Option(help="A date or RFC 3339, UTC; else the last whole day.")] = None,
    until: Annotated[str | None, typer.Option(help="The same, not included; else the end of the last day.")] = None,
    name: Annotated[str | None, typer.Option(help="The window's name, where it is not to be the period's.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Make it anew, as when labels came since.")] = False,
    dataset: DatasetOption = None,
    source: SourceOption = None,
) -> None:
    """Land what the service answered in a period, with the labels that have come, as a window."""
    from mlops_assets.cli.window import landing_folder
    from mlops_assets.cli.window_from_log import window_from_log

    settings = settings_of(dataset, source)
    window_from_log(settings, console(), landing_folder(settings), since=since, until=until, name=name, replace=replace)


@window_app.command("remove")
def window_remove(
    window: Annotated[str, typer.Argument(help="The window's name.")], dataset: DatasetOption = None
) -> None:
    """Take a window out of use: nothing is trained on it any more. What landed stays where it is."""
    from mlops_assets.cli.window import remove_window

    remove_window(settings_of(dataset), window)
    typer.echo(f"{window} is out of use; `mlops quarantine requeue {window}` takes it up again")


@quarantine_app.command("list")
def quarantine_list(dataset: DatasetOption = None) -> None:
    """List the windows in quarantine, and those with rows in it."""
    from mlops_assets.cli.quarantine import list_quarantine

    list_quarantine(settings_of(dataset), console())


@quarantine_app.command("show")
def quarantine_show(
    window: Annotated[str, typer.Argument(help="The window's name.")],
    rows: Annotated[int, typer.Option(min=1, help="How many rows.")] = 20,
    dataset: DatasetOption = None,
) -> None:
    """Show which rules the rows of a window broke, and the first of them."""
    from mlops_assets.cli.quarantine import show_quarantine

    show_quarantine(settings_of(dataset), console(), window, rows=rows)


@quarantine_app.command("requeue")
def quarantine_requeue(
    window: Annotated[str, typer.Argument(help="The window's name.")],
    dataset: DatasetOption = None,
    source: SourceOption = None,
) -> None:
    """Take a window up again, as it lies where it landed and by the contract as it is now."""
    from mlops_assets.cli.quarantine import requeue

    requeue(settings_of(dataset, source), console(), window)
