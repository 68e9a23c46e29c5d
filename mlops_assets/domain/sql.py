"""Names and texts as SQL takes them: every query of the project is put together of these."""

from collections.abc import Iterable
from pathlib import Path


def quoted(name: str) -> str:
    """A column's name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL takes it."""
    return "'" + text.replace("'", "''") + "'"


def literals(texts: Iterable[str]) -> str:
    """Texts as SQL takes them between the parentheses of `IN`."""
    return ", ".join(literal(text) for text in texts)


def path_literal(path: Path) -> str:
    """A file's path as SQL takes it: one file, also where its name holds what a pattern would."""
    return literal("".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(path)))


def parquet_files(*paths: Path, file_column: str | None = None) -> str:
    """Parquet files as SQL takes them behind FROM, with the columns that are in them and no others.

    Args:
        paths: The files.
        file_column: Name of a column that says which file a row is from.
    """
    files = ", ".join(path_literal(path) for path in paths)
    named = f", filename = {literal(file_column)}" if file_column else ""
    # A folder `region=eu` would else become a column, and take the place of one in the file.
    return f"read_parquet([{files}], hive_partitioning = false{named})"
