"""The feature table in PostgreSQL: written as another table, which takes the name of the one before in a transaction.

Readers see one or the other. A new table has no grants but the default ones. The embedded form belongs to
`feature_store`, asking the table to `serving.feature_database`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import psycopg
from psycopg import sql

from mlops_assets.adapters.feature_rows import FeatureRow
from mlops_assets.adapters.feature_store import Counted, FeatureStoreDown, TakenTable
from mlops_assets.domain.location import masked, without_secrets
from serving.feature_table import DATABASE_TABLE, META_KEY, FeaturesUnavailable, TableMeta, read_meta

CONNECT_SECONDS = 5
LOCK_SECONDS = 30
"""What the swap waits for readers, each of whom asks for milliseconds, and a build for another one's end."""
_TABLE = sql.Identifier(DATABASE_TABLE)
_NEW = sql.Identifier(f"{DATABASE_TABLE}_new")


class DatabaseFeatureStore:
    """A database's table, in the first schema of the user's search path."""

    def __init__(self, url: str) -> None:
        """Connects to nothing yet."""
        self._url = url
        self.place = f"{masked(url)}, table {DATABASE_TABLE}"

    @contextmanager
    def taken(self) -> Iterator[TakenTable]:
        """As `FeatureStore` says: one transaction, which the end of the block commits."""
        try:
            with psycopg.connect(self._url, connect_timeout=CONNECT_SECONDS) as connection:
                connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS:d}s'")
                connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (DATABASE_TABLE,))
                yield _TakenTable(connection)
        except psycopg.Error as error:
            said = without_secrets(" ".join(str(error).split()), self._url)
            raise FeatureStoreDown(f"{self.place}: {said}") from None  # its own words may hold the password


class _TakenTable:
    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self.meta = self._meta()

    def replace(self, meta: TableMeta, batches: Iterable[list[FeatureRow]]) -> TableMeta:
        counted = Counted(batches)
        with self._connection.cursor() as cursor:

            def run(statement: str) -> None:
                cursor.execute(sql.SQL(statement).format(table=_TABLE, new=_NEW))

            run('CREATE TABLE {new} (entity text COLLATE "C" NOT NULL, as_of bigint NOT NULL, features text NOT NULL)')
            with cursor.copy(sql.SQL("COPY {new} FROM STDIN").format(new=_NEW)) as copy:
                for batch in counted:
                    for row in batch:
                        copy.write_row(row)
                written = counted.told_by(meta)
                copy.write_row((META_KEY, 0, msgspec.json.encode(written).decode()))
            run("ALTER TABLE {new} ADD PRIMARY KEY (entity)")  # filled first: building the index once is faster
            run("ANALYZE {new}")
            run("DROP TABLE IF EXISTS {table}")
            cursor.execute(sql.SQL("ALTER TABLE {new} RENAME TO {table}").format(new=_NEW, table=_TABLE))
        return written

    def _meta(self) -> TableMeta | None:
        there = self._connection.execute("SELECT to_regclass(%s)", (DATABASE_TABLE,)).fetchone()
        if there is None or there[0] is None:
            return None
        row = self._connection.execute(
            sql.SQL("SELECT features FROM {table} WHERE entity = %s").format(table=_TABLE), (META_KEY,)
        ).fetchone()
        try:
            return None if row is None else read_meta(row[0])
        except FeaturesUnavailable:
            return None  # what cannot be read is replaced
