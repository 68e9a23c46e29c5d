"""Reads the tables of a landed window as one: others are joined to the first, labels are laid beside.

Here belongs what tables must have to be one window. Reading a single file belongs to `table_files`, whether a row holds
the contract to `window_rows`.
"""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from mlops_assets.adapters.engine import make_room, number
from mlops_assets.adapters.landing.landed_window import LandedWindow
from mlops_assets.adapters.table_files import Table, read_file, reading_from, write_parquet
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.row_reading import can_hold, label_sql, several, text_sql
from mlops_assets.domain.sql import parquet_files, quoted
from mlops_assets.domain.windows import WindowUnfit

BASE, LABELS = "base", "labels"
"""Names of the joined tables in SQL; the others are `side1`, `side2`, ..."""


@dataclass(frozen=True)
class Reading:
    """The window's tables, read as one: the engine's view `landed`."""

    file: Path
    """A Parquet file of the same rows. Those of one table may lack what comes of others: `_label` and its kind."""
    types: dict[str, str]
    """The engine's type by column."""
    text: frozenset[str]
    """Columns that come from a CSV file, where every value is a text yet to be read."""
    ignored_columns: tuple[str, ...]
    unmatched: dict[str, int]
    """Rows, by table, that belong to no row of the window."""
    absent: dict[str, int]
    """Rows of the window, by table, that have no row there."""


def read_tables(connection: duckdb.DuckDBPyConnection, landed: LandedWindow, dataset: Dataset, folder: Path) -> Reading:
    """Makes the view `landed`: the contract's columns, `_label`, `_is_contradictory`, `_several TABLE`.

    Lines that are no rows stand in the table `unreadable_lines`.

    Args:
        connection: The engine.
        landed: The window's files.
        dataset: The contract.
        folder: Where intermediate files may be written.

    Raises:
        WindowUnfit: a file cannot be read, a column is missing or of another type.
    """
    connection.execute("CREATE TABLE unreadable_lines (_table VARCHAR, _line_number BIGINT, _line VARCHAR)")
    wanted = {*dataset.columns, dataset.label_key}
    tables = {name: read_file(connection, file, folder, wanted=wanted) for name, file in landed.tables.items()}
    base = next(iter(tables.values()))
    origins = _origins(dataset, tables)
    aliases = {name: f"side{at}" if at else BASE for at, name in enumerate(tables)}
    types = {column: tables[name].types[column] for column, name in origins.items()}
    columns = [f"{aliases[name]}.{quoted(column)}" for column, name in origins.items()]
    joins: list[str] = []
    unmatched: dict[str, int] = {}
    absent: dict[str, int] = {}
    for name, alias in list(aliases.items())[1:]:
        own = [column for column, origin in origins.items() if origin == name]
        joins.append(_join(connection, dataset, base, tables[name], alias, own))
        columns.append(f"coalesce({alias}._rows, 1) > 1 AS {quoted(several(name))}")
        unmatched[name] = _unmatched(connection, tables[name], alias)
        absent[name] = _absent(connection, tables[name], alias)
    text = frozenset(column for column, name in origins.items() if tables[name].is_text)
    if landed.labels is None:
        columns.append("NULL::VARCHAR AS _label, false AS _is_contradictory")
    else:
        tables[LABELS] = read_file(connection, landed.labels, folder, wanted=wanted)
        joins.append(_join_labels(connection, dataset, base, tables[LABELS]))
        columns.append(f"{LABELS}._label, coalesce({LABELS}._values, 1) > 1 AS _is_contradictory")
        unmatched[LABELS] = _unmatched(connection, tables[LABELS], LABELS)
    _demand_readable(connection, base)
    make_room(connection, row_group_mb=max(table.row_group_mb for table in tables.values()))
    select = f"SELECT {', '.join(columns)} FROM {base.sql} AS {BASE} {' '.join(joins)}"
    file = base.file
    if joins:  # joined once, for it is read three times
        file = folder / "joined.parquet"
        write_parquet(connection, select, file, of=base.name)
        select = f"SELECT * FROM {parquet_files(file)}"
    connection.execute(f"CREATE VIEW landed AS {select}")
    return Reading(
        file=file,
        types=types,
        text=text,
        ignored_columns=(
            *sorted({column for table in tables.values() for column in table.types} - wanted),
            *landed.ignored,
        ),
        unmatched={name: rows for name, rows in unmatched.items() if rows},
        absent={name: rows for name, rows in absent.items() if rows},
    )


def _origins(dataset: Dataset, tables: dict[str, Table]) -> dict[str, str]:
    """The name of the table that each of the contract's columns comes from; the target may come from none of them."""
    key = dataset.source.key
    for table in tables.values():
        if len(tables) > 1 and key not in table.types:
            raise WindowUnfit(f"columns are missing: {table.name} lacks {key}, which joins the tables")
    origins: dict[str, str] = {}
    for column in dataset.columns:
        holders = [name for name, table in tables.items() if column in table.types]
        if len(holders) > 1 and column != key:
            names = " and ".join(tables[name].name for name in holders)
            raise WindowUnfit(f"the column {column} is in {names}: which one is meant cannot be told")
        if holders:
            origins[column] = holders[0]
    if missing := [column for column in dataset.inputs if column not in origins]:
        has = "; ".join(f"{table.name} has {', '.join(table.types)}" for table in tables.values())
        raise WindowUnfit(f"columns are missing: {', '.join(missing)}; {has}")
    wanted: dict[str, str] = {name: feature.type for name, feature in dataset.features.items()}
    if dataset.event_time in dataset.kept:
        wanted[dataset.event_time] = "time"
    wrong = [
        f"{column} is {table.types[column]}, the contract says {kind}"
        for column, kind in wanted.items()
        if not (table := tables[origins[column]]).is_text and not can_hold(table.types[column], kind)
    ]
    if wrong:
        raise WindowUnfit("columns are of another type: " + "; ".join(wrong))
    return origins


def _join(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, base: Table, table: Table, alias: str, columns: list[str]
) -> str:
    """Makes a view of a table with one row a key, and gives the join with it."""
    key = str(dataset.source.key)
    values = "".join(f", min({quoted(column)}) AS {quoted(column)}" for column in columns)
    connection.execute(
        f"CREATE VIEW {alias} AS SELECT {_key(table, key)} AS _k, count(*) AS _rows{values} FROM {table.sql} GROUP BY 1"
    )
    return _joined_to(connection, base, key, alias)


def _join_labels(connection: duckdb.DuckDBPyConnection, dataset: Dataset, base: Table, labels: Table) -> str:
    """Makes a view of the labels with one row a key, and gives the join with it."""
    key, target = dataset.label_key, dataset.target
    for table, column in ((labels, key), (labels, target), (base, key)):
        if column not in table.types:
            raise WindowUnfit(f"columns are missing: {table.name} lacks {column}, which its labels are joined by")
    label = label_sql(quoted(target), labels.types[target])
    connection.execute(
        f"CREATE VIEW {LABELS} AS SELECT {_key(labels, key)} AS _k, min({label}) AS _label, "
        f"count(DISTINCT {label}) AS _values, count(*) AS _rows FROM {labels.sql} GROUP BY 1"
    )
    return _joined_to(connection, base, key, LABELS)


def _joined_to(connection: duckdb.DuckDBPyConnection, base: Table, key: str, alias: str) -> str:
    connection.execute(f"CREATE OR REPLACE VIEW keys AS SELECT {_key(base, key)} AS _k FROM {base.sql}")
    own = text_sql(f"{BASE}.{quoted(key)}", base.types[key])
    return f"LEFT JOIN {alias} ON {own} = {alias}._k"


def _unmatched(connection: duckdb.DuckDBPyConnection, table: Table, alias: str) -> int:
    with reading_from(table.name):
        return number(connection, f"SELECT sum(_rows) FROM {alias} ANTI JOIN keys USING (_k)")


def _absent(connection: duckdb.DuckDBPyConnection, table: Table, alias: str) -> int:
    with reading_from(table.name):
        return number(connection, f"SELECT count(*) FROM keys ANTI JOIN {alias} USING (_k)")


def _key(table: Table, column: str) -> str:
    return text_sql(quoted(column), table.types[column])


def _demand_readable(connection: duckdb.DuckDBPyConnection, base: Table) -> None:
    """A bad line of the first table is a bad row; one of another table would take its values from a good row."""
    found = connection.execute(
        "SELECT _table, min(_line_number), count(*) FROM unreadable_lines WHERE _table <> $base GROUP BY 1 ORDER BY 1",
        {"base": base.name},
    ).fetchall()
    if found:
        said = "; ".join(
            f"{table}: {lines} lines cannot be read, the first is line {line}" for table, line, lines in found
        )
        raise WindowUnfit(said)
