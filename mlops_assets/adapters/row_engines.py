"""Which engine runs the rules of rows, by setting.

Here belongs the choice. What an engine must be able to do belongs to `row_engine`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from mlops_assets.adapters.duckdb_rows import DuckdbRows
from mlops_assets.config import EngineName, Settings

if TYPE_CHECKING:
    from mlops_assets.adapters.spark_rows import SparkRows


@dataclass(frozen=True)
class Engines:
    """What was chosen."""

    name: EngineName = "duckdb"
    spark_master: str = "local[*]"

    def demand(self) -> None:
        """Demands that the engine can run here, without starting it.

        Raises:
            EngineMissing: it cannot; the message says what to install.
        """
        if self.name == "spark":
            from mlops_assets.adapters.spark_session import demand_spark

            demand_spark()

    def over(self, connection: duckdb.DuckDBPyConnection, folder: Path) -> "DuckdbRows | SparkRows":
        """The engine, for one piece of work.

        Args:
            connection: DuckDB, in which a landed window's tables may stand.
            folder: Where intermediate files may be written; whoever gives it removes it.

        Raises:
            EngineMissing: it cannot run here.
        """
        if self.name == "duckdb":
            return DuckdbRows(connection)
        from mlops_assets.adapters.spark_rows import SparkRows
        from mlops_assets.adapters.spark_session import spark_session

        return SparkRows(spark_session(self.spark_master), connection, folder)


def engines_of(settings: Settings) -> Engines:
    """What the settings choose."""
    return Engines(settings.engine, settings.spark_master)
