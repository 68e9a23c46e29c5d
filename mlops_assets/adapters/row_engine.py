"""What runs the rules of rows, split, sample and scoring: an engine that takes them as expressions of Ibis.

Here belongs what every such engine can do. DuckDB is the one where nothing else is asked for (`duckdb_rows`).
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from mlops_assets.adapters.window_tables import Reading

if TYPE_CHECKING:
    import ibis.expr.types as ir


class EngineMissing(Exception):
    """The engine that is asked for cannot run here; the message says what to install."""


class RowEngine(Protocol):
    """Runs expressions over tables of any size."""

    def landed(self, reading: Reading) -> "ir.Table":
        """The window's rows as they landed, and as `window_tables` read them."""

    def of_file(self, file: Path, types: Mapping[str, str]) -> "ir.Table":
        """A Parquet file that somebody else wrote.

        Args:
            file: The file.
            types: DuckDB's type of the columns that are wanted.
        """

    def reading_from(self, of: str) -> AbstractContextManager[None]:
        """For what reads rows that landed, which the user knows as `of`, and does not write them.

        Raises:
            WindowUnfit: they are broken somewhere.
        """

    def unreadable_lines(self) -> "ir.Table | None":
        """Lines of its files that are no rows; None where there are none."""

    def parquet(self, *paths: Path, file_column: str | None = None) -> "ir.Table":
        """Parquet files, or folders of such, of one shape.

        Args:
            paths: The files.
            file_column: Name of a column that says which of them a row is from; in the order of their names.
        """

    def named(self, name: str, rows: "ir.Table") -> "ir.Table":
        """The same rows, under a name that several expressions can speak of."""

    def kept(self, name: str, rows: "ir.Table") -> "ir.Table":
        """The same rows, found once and held."""

    def suspects(self, rows: "ir.Table", column: str) -> "ir.Table":
        """Of a table's values of one column at least those that more than one row has, each as often as it is there."""

    def write(self, rows: "ir.Table", path: Path, *, of: str) -> int:
        """Streams rows into a Parquet file, or a folder of such, and gives their number.

        Raises:
            WindowUnfit: what is read, which the user knows as `of`, is broken somewhere.
        """

    def answers(self, rows: "ir.Table") -> list[tuple[Any, ...]]:
        """Few rows, as Python's values."""

    def frame(self, rows: "ir.Table") -> pd.DataFrame:
        """A bounded number of rows as a frame, in their order."""
