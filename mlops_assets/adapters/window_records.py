"""What the window store records of windows, as JSON files beside their rows.

Here belong the records and reading them. What they are made of belongs to `window_store`.
"""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mlops_assets.domain.row_rules import Kind
from mlops_assets.domain.windows import WindowCounts

LATEST, CURRENT = "latest.json", "current.json"
"""A window's records: of what landed last, and of the version to be used."""


class RecordInvalid(Exception):
    """A record of the store cannot be read; the message says which and what to do."""


class StoreRecord(BaseModel):
    """A record of the store."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Record = TypeVar("Record", bound=StoreRecord)


class DataWindow(StoreRecord):
    """What is recorded of a stored window."""

    window: str
    data_version: str
    """Hash of the landed bytes and of the contract's rules."""
    rows_sha256: str
    """Hash of what landed without the labels: tells a window that landed before under another name."""
    rows_landed_at: float | None = None
    """When these rows landed first, with labels or without; None where it was stored before this was recorded."""
    shape: str
    """Hash of its columns and their types: windows of one shape can be used together."""
    counts: WindowCounts
    kinds: dict[str, Kind]
    """What kind of rule each reason in `counts.by_reason` comes from."""
    ignored_columns: tuple[str, ...]
    unmatched: dict[str, int]
    """Rows of joined tables and labels, by table, that belong to no row of the window."""
    absent: dict[str, int]
    """Rows of the window, by joined table, that have no row there; the columns that it adds are null."""
    new_categories: dict[str, int]
    """Rows, by feature, with a value that the contract does not name and reads as missing."""


class Intake(StoreRecord):
    """What became of a window as it landed last."""

    window: str
    data_version: str
    landed_at: float
    fault: str | None
    """Why the window as a whole is in quarantine; None where it is fit."""
    can_be_read: bool
    """Whether its rows were read and stored; else `fault` says why not."""
    replaces: str | None
    """The data version that was current before, where it was another one."""


def read_record(path: Path, kind: type[Record], *, window: str) -> Record | None:
    """A record, or None where there is none.

    Raises:
        RecordInvalid: it is damaged, or of another version of this software.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise RecordInvalid(
            f"{path} is damaged, or of another version of this software: delete it, and take the window up again with "
            f"`mlops quarantine requeue {window}`"
        ) from error
