"""Which windows a database's tables hold: looked at by counts and newest changes, one query a table.

Reading the rows themselves belongs to `database`.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from typing import TYPE_CHECKING, Any

from mlops_assets.adapters.landing.landed_window import SourceDown
from mlops_assets.domain.dataset_tables import Source
from mlops_assets.domain.windows import WINDOW_NAME

if TYPE_CHECKING:
    from sqlalchemy import Column, Connection, Table

MOST_WINDOWS = 10_000
"""A column with more values than this names no windows, and would be read anew at every look."""


@dataclass
class SeenWindow:
    """What a look found of one window, by table."""

    rows: dict[str, str] = field(default_factory=dict)
    """Count and newest change, as text."""
    values: dict[str, list[Any]] = field(default_factory=dict)
    """How the table writes the window's name."""
    changed: list[float] = field(default_factory=list)
    """The newest changes in seconds since the epoch, where the tables have times of them."""

    @property
    def fingerprint(self) -> str:
        """Changes with the counts and the newest changes."""
        parts = sorted(f"{table} {rows}" for table, rows in self.rows.items())
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def missing(self, source: Source) -> list[str]:
        """The tables without a row of the window; late labels are not missed."""
        return [table for table in source.tables if table not in self.rows]


def look_at_windows(connection: "Connection", source: Source) -> tuple[dict[str, SeenWindow], list[str]]:
    """The windows that any of the tables names, and what can name none.

    Raises:
        SourceDown: there is no such table or column, or the column names no windows.
    """
    seen: dict[str, SeenWindow] = {}
    ignored = []
    for name in filter(None, [*source.tables, source.labels]):
        for value, *rows in _counts(connection, table_of(connection, name), source):
            window = _as_text(value)
            if value is None or not WINDOW_NAME.fullmatch(window):
                ignored.append(f"table {name}: {source.window_column} {window!r}")
                continue
            of_window = seen.setdefault(window, SeenWindow())
            of_window.values.setdefault(name, []).append(value)
            of_window.rows[name] = f"{of_window.rows.get(name, '')} {' '.join(map(str, rows))}"
            of_window.changed += [_seconds(row) for row in rows if isinstance(row, datetime)]
    return seen, sorted(ignored)


def table_of(connection: "Connection", name: str) -> "Table":
    """A table or view with its columns, by the contract's name for it, `schema.table` or `table`.

    Raises:
        SourceDown: there is none.
    """
    import sqlalchemy as sa

    schema, _, plain = name.rpartition(".")
    try:
        described = sa.inspect(connection).get_columns(plain, schema or None)
    except sa.exc.NoSuchTableError as error:
        raise SourceDown(f"the database has no table {name}; make it, or mend [source] in the contract") from error
    columns: list[Column[Any]] = [sa.Column(column["name"], column["type"]) for column in described]
    return sa.Table(plain, sa.MetaData(), *columns, schema=schema or None)


def column_of(table: "Table", name: str) -> "Column[Any]":
    """A column of a table.

    Raises:
        SourceDown: there is none.
    """
    if name not in table.c:
        raise SourceDown(
            f"the table {table.fullname} has no column {name}; mend [source] in the contract, or the table"
        )
    return table.c[name]


def _counts(connection: "Connection", table: "Table", source: Source) -> list[Any]:
    import sqlalchemy as sa

    column = column_of(table, source.window_column or "")
    asked: list[sa.ColumnElement[Any]] = [column, sa.func.count()]
    if source.updated_at:
        asked.append(sa.func.max(column_of(table, source.updated_at)))
    query = sa.select(*asked).select_from(table).group_by(column).order_by(column).limit(MOST_WINDOWS + 1)
    found = list(connection.execute(query))
    if len(found) > MOST_WINDOWS:
        raise SourceDown(
            f"the table {table.fullname} has more than {MOST_WINDOWS} values in its column {column.name}; name the "
            "column of the periods as `window_column` in the contract"
        )
    return found


def _as_text(value: object) -> str:
    if isinstance(value, datetime) and value.timetz() == time_of_day():
        value = value.date()
    return value.isoformat() if isinstance(value, date) else str(value)


def _seconds(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
