"""Reads the tables of the windows that are looked at, and finds the key that joins them.

Here belongs which files are read, and what is odd about them. What was read belongs to `seen_tables`.
"""

import re
from dataclasses import replace
from pathlib import Path

import duckdb

from mlops_assets.datasets.drafting.column_reading import read_columns
from mlops_assets.datasets.drafting.columns import Column
from mlops_assets.datasets.drafting.facts import ColumnFacts
from mlops_assets.datasets.drafting.found_windows import FoundData
from mlops_assets.datasets.drafting.roles import NO_KEY, Choice
from mlops_assets.datasets.drafting.seen_tables import SeenTables, first_table
from mlops_assets.datasets.drafting.table_files import DataUnreadable, open_table
from mlops_assets.datasets.drafting.target_choice import LABEL_TABLES
from mlops_assets.domain.windows import WINDOW_NAME

TABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_tables(found: FoundData) -> SeenTables:
    """Reads the sample of the windows.

    Raises:
        DataUnreadable: a file cannot be read, or holds no rows.
    """
    remarks = [
        f"window {window.name!r}: cannot name a window, which is 1 to 64 letters, digits, '-' and '_'"
        for window in found.windows
        if not WINDOW_NAME.fullmatch(window.name)
    ][:3]
    files = []
    for window in found.sample:
        tables = {**window.tables, **({"labels": window.labels} if window.labels else {})}
        odd = [table for table in tables if not TABLE_NAME.fullmatch(table)] if found.has_tables else []
        remarks += [f"table {table!r} of {window.name}: a table's name is letters, digits and '_'" for table in odd]
        files.append({table: path for table, path in tables.items() if table not in odd})
    known = dict.fromkeys(table for one in files for table in one)
    is_labels = {table for table in known if table.lower() in LABEL_TABLES and len(known) > 1}
    partly = [table for table in known if table not in is_labels and not all(table in one for one in files)]
    remarks += [f"table {table!r}: left out, it is not in every window" for table in partly]
    columns = _columns(found, files, [table for table in known if table not in partly])
    if not columns:
        raise DataUnreadable(f"{found.landing} holds no table that is in every window")
    labels = Choice(sorted(is_labels)[0], "by its name") if is_labels else Choice(None, "")
    unjoined = SeenTables(columns, tuple(files), _key(columns), labels, Choice(None, ""), tuple(dict.fromkeys(remarks)))
    return replace(unjoined, first=first_table(unjoined, labels=labels.value))


def _columns(found: FoundData, files: list[dict[str, Path]], tables: list[str]) -> dict[str, list[Column]]:
    columns = {}
    for table in tables:
        seen: dict[str, list[tuple[str, ColumnFacts]]] = {}
        paths = {window.name: one[table] for window, one in zip(found.sample, files, strict=True) if table in one}
        for window, path in paths.items():
            for facts in _read(path):
                seen.setdefault(facts.name, []).append((window, facts))
        is_text = all(path.suffix == ".csv" for path in paths.values())
        columns[table] = [Column(name, table, dict(facts), is_text) for name, facts in seen.items()]
    return columns


def _read(path: Path) -> list[ColumnFacts]:
    try:
        with duckdb.connect() as engine:
            columns = read_columns(engine, open_table(engine, path))
    except (duckdb.Error, UnicodeDecodeError) as error:
        raise DataUnreadable(f"{path} cannot be read to its end: {str(error).splitlines()[0]}") from error
    if columns[0].rows == 0:
        raise DataUnreadable(f"{path} holds no rows; a contract is drafted from windows that do")
    return columns


def _key(columns: dict[str, list[Column]]) -> Choice:
    if len(columns) == 1:
        return Choice(None, "")
    shared = set.intersection(*({column.name for column in one} for one in columns.values()))
    keys = [[column for one in columns.values() for column in one if column.name == name] for name in sorted(shared)]
    unique = [same[0] for same in keys if all(column.is_key and column.is_unique for column in same)]
    if not unique:
        return Choice(NO_KEY, "", "no column is in every table and unique in each; name the one that joins them")
    chosen = min(unique, key=lambda column: (not column.is_named_id, not column.names_entity))
    others = ", ".join(repr(column.name) for column in unique if column is not chosen)
    because = f"in each of the {len(columns)} tables, unique and never null in each"
    return Choice(chosen.name, because, f"could also be {others}" if others else None)
