"""Which column is the row id, the split key, the entity and the time: guesses, each with its evidence.

Here belongs the choice among columns. What a column is as a feature belongs to `feature_inference`, which is the
target to `target_choice`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mlops_assets.datasets.drafting.columns import TIME_WORDS, Column

NO_TARGET, NO_ROW_ID, NO_KEY = "...", "... row id", "... key"
"""What stands in a draft where nothing was found. No column is called so, which `mlops check` says."""
FEWEST_GROUPS = 20
"""A column with fewer values cannot split rows into training and validation evenly."""


@dataclass(frozen=True)
class Choice:
    """One value of the contract, and why it is this one."""

    value: str | None
    because: str
    unsure: str | None = None
    """What speaks against it, or what was chosen among."""


def choose_row_id(columns: Sequence[Column]) -> Choice:
    """The column that tells rows apart."""
    unique = [column for column in columns if column.is_key and column.is_unique]
    if not unique:
        return Choice(NO_ROW_ID, "", "no column is unique in each window; name or add one")
    chosen = min(unique, key=lambda column: (not column.is_named_id, column.kind == "integer", not column.names_entity))
    others = ", ".join(repr(column.name) for column in unique if column is not chosen)
    doubt = None if chosen.is_named_id else "its name is not that of an id"
    also = f"unique are also {others}" if others else None
    return Choice(chosen.name, "unique in each window, never null", "; ".join(filter(None, [doubt, also])) or None)


def choose_entity(columns: Sequence[Column], row_id: str) -> Choice:
    """Whom or what a row is about."""
    named = [column for column in columns if column.names_entity and column.is_key and column.nulls == 0]
    if any(column.name == row_id for column in named):
        return Choice(row_id, "the row id, by its name")
    repeated = [column for column in named if column.distinct >= FEWEST_GROUPS]
    if not repeated:
        return Choice(None, "")
    chosen = min(repeated, key=lambda column: (not column.is_named_id, -column.distinct))
    others = ", ".join(repr(column.name) for column in repeated if column is not chosen)
    return Choice(chosen.name, _repeats(chosen), f"by its name{'; could also be ' + others if others else ''}")


def choose_split(columns: Sequence[Column], row_id: str, entity: str | None) -> Choice:
    """The key that training and validation never share."""
    if entity is not None:
        unsure = None if entity == row_id else "rows that share more than this, such as a day, would need another key"
        return Choice(entity, "rows of one entity stay on one side of the split", unsure)
    days = [
        column
        for column in columns
        if {"day", "date"} & set(column.words)
        and column.kind in ("time", "text", "integer")
        and column.nulls == 0
        and FEWEST_GROUPS <= column.distinct < column.rows / len(column.seen)
    ]
    if days:
        return Choice(days[0].name, _repeats(days[0]), "rows of one day are taken to be alike; else the row id")
    return Choice(row_id, "", "no customer, user or day that repeats was found; name a column whose rows are alike")


def choose_event_time(columns: Sequence[Column]) -> Choice:
    """When a row happened: a time that is later in later windows."""
    times = [
        column
        for column in columns
        if column.kind == "time"
        and column.nulls == 0
        and (column.is_text or not any(facts.type == "VARCHAR" for facts in column.seen.values()))
    ]
    moving = [column for column in times if _moves(column)]
    if not moving:
        still = ", ".join(repr(column.name) for column in times)
        return Choice(
            None, "", f"{still} is not later in later windows; name it if rows happened then" if times else None
        )
    chosen = min(moving, key=lambda column: not TIME_WORDS & set(column.words))
    others = [repr(column.name) for column in moving if column is not chosen]
    facts = list(chosen.seen.values())
    if len(facts) == 1:
        others.insert(0, "none: one window does not show whether it moves on")
    unsure = f"could also be {', '.join(others)}" if others else None
    return Choice(chosen.name, f"a time, from {facts[0].first} to {facts[-1].last}", unsure)


def _repeats(column: Column) -> str:
    per_window = column.rows / max(1, len(column.seen))
    return f"{column.distinct} values in {per_window:.0f} rows a window"


def _moves(column: Column) -> bool:
    lasts = [facts.last or "" for facts in column.seen.values() if facts.last]
    return all(earlier < later for earlier, later in pairwise(lasts))
