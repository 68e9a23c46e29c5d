"""`mlops score FILE -o OUT`: a released model over a file of any size.

Here belong which model, which files, and what is shown. Scoring belongs to `mlops_assets.adapters.batch_scoring`.
"""

from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from mlops_assets.adapters.batch_scoring import score_file
from mlops_assets.adapters.landing.landed_window import FORMATS
from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.adapters.row_engine import EngineMissing
from mlops_assets.adapters.row_engines import engines_of
from mlops_assets.adapters.scored_rows import PROBABILITY, REASON, Scored
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.state import demand_state
from mlops_assets.config import Settings
from serving.release import Manifest, ReleaseInvalid

NAMED_REASONS = 10
"""So many of the rules that rows broke are named; the output names them all, row by row."""


def score(
    settings: Settings, file: Path, output: Path, console: Console, *, version: int | None = None, force: bool = False
) -> Scored:
    """Scores a file with production, or with another registered version, and says what came of it.

    Raises:
        UserError: there is no such model, or a file that cannot be read or written.
    """
    demand_state(settings)
    engines = engines_of(settings)
    _demand_files(file, output, force=force)
    if engines.name == "spark" and output.suffix != ".parquet":
        raise UserError(f"Spark writes Parquet, and MLOPS_ENGINE is spark: {output.name} must end with .parquet")
    try:
        engines.demand()
        manifest, exported = _production(settings) if version is None else _registered(settings, version)
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            _RowsPerSecond(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ) as progress:
            task = progress.add_task("scoring", total=None)
            scored = score_file(
                file,
                output,
                manifest=manifest,
                exported=exported,
                engines=engines,
                told=lambda done, of: progress.update(task, completed=done, total=of),
            )
    except ReleaseInvalid as error:
        raise UserError(f"the model cannot be used: {error}") from error
    except EngineMissing as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"{output} cannot be written: {error}") from error
    for line in told(scored, output, manifest.model_version):
        console.print(line, soft_wrap=True, highlight=False)
    return scored


def told(scored: Scored, output: Path, version: int) -> list[str]:
    """What came of it, in lines."""
    mean = "" if scored.mean_probability is None else f", mean probability {scored.mean_probability:.4f}"
    pace = scored.rows / max(scored.seconds, 1e-9)
    lines = [
        f"{scored.rows - scored.refused:,} of {scored.rows:,} rows scored by version {version}{mean}, "
        f"in {scored.seconds:.1f} s ({pace:,.0f} rows/s): {output}"
    ]
    if scored.refused:
        lines.append(f"{scored.refused:,} rows were refused: their {PROBABILITY} is null, and {REASON} says why:")
        named = list(scored.by_reason.items())
        lines += [f"  {reason}  {rows:,}" for reason, rows in named[:NAMED_REASONS]]
        if len(named) > NAMED_REASONS:
            lines.append(f"  and {len(named) - NAMED_REASONS} other rules")
    return lines


class _RowsPerSecond(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Rows of the last seconds."""
        return Text(f"{task.speed:,.0f} rows/s" if task.speed else "")


def _demand_files(file: Path, output: Path, *, force: bool) -> None:
    endings = " or ".join(FORMATS)
    if not file.is_file():
        raise UserError(f"{file} is {'a folder, not a file' if file.is_dir() else 'not there'}")
    if file.suffix not in FORMATS:
        raise UserError(f"{file.name} is neither Parquet nor CSV by its name: it must end with {endings}")
    if output.suffix not in FORMATS:
        raise UserError(f"{output.name} must end with {endings}, which says what is written")
    if not output.parent.is_dir():
        raise UserError(f"the folder {output.parent} is not there: make it, or name another output")
    if output.exists() and output.samefile(file):
        raise UserError(f"{output} is the file that is read: name another output")
    if output.is_dir():
        raise UserError(f"{output} is a folder: name another output")
    if output.exists() and not force:
        raise UserError(f"{output} is there already: name another output, or replace it with --force")


def _production(settings: Settings) -> tuple[Manifest, bytes]:
    releases = ReleaseStore(settings.releases)
    pointer = releases.pointer()
    if pointer is None:
        raise UserError(
            f"there is no release in {settings.state} yet: the loop promotes its first model once a window has "
            "trained it, and `mlops status` says how far it is"
        )
    return releases.exported(pointer.model_version, manifest_sha256=pointer.manifest_sha256)


def _registered(settings: Settings, version: int) -> tuple[Manifest, bytes]:
    from mlops_assets.adapters.model_registry import registry_of  # MLflow takes seconds to import
    from mlops_assets.cli.registered import registered

    found = registered(registry_of(settings), version)
    return found.manifest, found.model
