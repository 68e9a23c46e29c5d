"""Whose a state folder is: windows, production and ledger of two datasets in one would be taken for each other's.

A start leaves the mark, and with it what it was started with, so that the commands after it mean the same loop.
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from mlops_assets.adapters.files import write_atomically
from mlops_assets.adapters.window_records import CURRENT
from mlops_assets.cli.errors import UserError
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import FLIGHTS, read_dataset
from mlops_assets.domain.backup import CONTRACT, INTERRUPTED
from mlops_assets.domain.location import masked

MARK = "dataset"
"""File in a state folder: the name of the dataset whose loop it holds."""
STARTED_WITH = "started-with.json"
"""File in a state folder: the contract, the source and the ports of the last start."""
PORTS = ("dagster_port", "code_port", "service_port", "reports_port", "mlflow_port")


class StartedWith(BaseModel):
    """What a loop was started with."""

    dataset: Path
    source: str | None
    """None where windows land in the state folder itself, or where the location holds a secret."""
    ports: dict[str, int] = {}
    """By setting; none where a version that kept none started it."""


def leave_mark(settings: Settings) -> None:
    """Makes the state folder this dataset's, and leaves what the loop is started with.

    Raises:
        UserError: it is that of another dataset.
    """
    demand_own_state(settings)
    settings.state.mkdir(parents=True, exist_ok=True)
    (settings.state / MARK).write_text(read_dataset(settings.dataset).name)
    kept = settings.source if settings.source == masked(settings.source or "") else None
    ports = {name: getattr(settings, name) for name in PORTS}
    started = StartedWith(dataset=settings.dataset.absolute(), source=kept, ports=ports)
    write_atomically(settings.state / STARTED_WITH, started.model_dump_json(indent=2).encode())


def settings_as_started(**given: Any) -> Settings:  # noqa: ANN401 -- as many types as settings
    """Settings, where contract, source and ports that nobody names are those of the loop's last start."""
    settings = Settings(**given)
    try:
        started = StartedWith.model_validate_json((settings.state / STARTED_WITH).read_bytes())
    except (FileNotFoundError, ValidationError):
        return settings
    said = {"dataset": started.dataset, "source": started.source, **started.ports}
    unnamed = {name: value for name, value in said.items() if name not in settings.model_fields_set}
    return Settings(**{**given, **unnamed})


def move_start(settings: Settings, former: Path) -> None:
    """Makes what the last start was given that of a state folder which was another folder before.

    A contract that is not on this machine is taken from the copy that a backup keeps.
    """
    try:
        started = StartedWith.model_validate_json((settings.state / STARTED_WITH).read_bytes())
    except (FileNotFoundError, ValidationError):
        return
    dataset, source = _moved(started.dataset, former, settings.state), started.source
    copy = settings.state / CONTRACT / dataset.name
    if not dataset.exists() and copy.exists():
        dataset = FLIGHTS if copy.read_bytes() == FLIGHTS.read_bytes() else copy
    if source is not None and Path(source).is_absolute():
        source = str(_moved(Path(source), former, settings.state))
    moved = started.model_copy(update={"dataset": dataset, "source": source})
    write_atomically(settings.state / STARTED_WITH, moved.model_dump_json(indent=2).encode())


def _moved(path: Path, former: Path, now: Path) -> Path:
    return now / path.relative_to(former) if path.is_relative_to(former) else path


def demand_own_state(settings: Settings) -> None:
    """Demands that the state folder is this dataset's, or nobody's yet.

    Raises:
        UserError: it is that of another dataset, or was made by a version without the mark, or half a backup's.
    """
    if (settings.state / INTERRUPTED).exists():
        raise UserError(
            f"a backup was not restored to its end in {settings.state}: run `mlops restore` with the same file again"
        )
    name, mark = read_dataset(settings.dataset).name, settings.state / MARK
    if mark.exists() and (other := mark.read_text()) != name:
        raise UserError(
            f"{settings.state} holds the loop of the dataset {other}, and {settings.dataset} is named {name}: "
            "name that dataset's contract (--dataset, MLOPS_DATASET), or set MLOPS_HOME to another folder"
        )
    if not mark.exists() and any(settings.windows.glob(f"*/{CURRENT}")):
        raise UserError(
            f"{settings.state} was made by an earlier version, whose windows are stored otherwise: move it away, or "
            "set MLOPS_HOME to another folder (`mlops demo --fresh` forgets the demo's)"
        )


def demand_state(settings: Settings) -> None:
    """Demands that a loop was started in the state folder, on this dataset.

    Raises:
        UserError: there is none, or it is that of another dataset.
    """
    demand_own_state(settings)
    if not (settings.state / MARK).exists():
        raise UserError(f"there is no loop in {settings.state}; `mlops up` or `mlops demo` starts one")
