"""What several commands of `mlops` take, and what they start from."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mlops_assets.cli.state import settings_as_started
from mlops_assets.config import Settings

DatasetOption = Annotated[
    Path | None,
    typer.Option("--dataset", help="The dataset's contract; else MLOPS_DATASET, that of the last start, the flights."),
]
SourceOption = Annotated[
    str | None,
    typer.Option("--source", help="Where windows land: a folder, s3://..., postgresql://...; else MLOPS_SOURCE."),
]


def settings_of(dataset: Path | None = None, source: str | None = None) -> Settings:
    """The settings, with what a command was given."""
    given = {"dataset": dataset, "source": source}
    return settings_as_started(**{name: value for name, value in given.items() if value is not None})


def console() -> Console:
    """Shows texts as they are: a column may be called `price [/unit]` or `:key:`."""
    return Console(markup=False, emoji=False)
