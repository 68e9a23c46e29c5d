"""Speaking to a SQL database: a bounded wait, one moment in time, and errors that tell no password.

What is asked of it belongs to `database`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.adapters.landing.landed_window import SourceDown, SourceInvalid
from mlops_assets.domain.location import masked, without_secrets
from mlops_assets.domain.windows import WindowUnfit

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection

CONNECT_SECONDS = 5
SNAPSHOTS = {
    "postgresql": "REPEATABLE READ",
    "mysql": "REPEATABLE READ",
    "mariadb": "REPEATABLE READ",
    "mssql": "SNAPSHOT",
    "oracle": "SERIALIZABLE",
}
"""The isolation in which all reads of a transaction see one moment. SQLite's transactions all are so."""
_WAITS: dict[str, dict[str, Any]] = {
    # The keepalives notice within some 15 s that the server's machine is gone while a query runs.
    "psycopg": {
        "connect_timeout": CONNECT_SECONDS,
        "keepalives_idle": 5,
        "keepalives_interval": 5,
        "keepalives_count": 2,
    },
    "pymysql": {"connect_timeout": CONNECT_SECONDS},
    "mysqldb": {"connect_timeout": CONNECT_SECONDS},
    "pysqlite": {"timeout": CONNECT_SECONDS},
}


class DatabaseConnection:
    """A database by its URL; each snapshot is a connection of its own."""

    def __init__(self, url: str) -> None:
        """Connects to nothing yet.

        Raises:
            SourceInvalid: it is no URL of a database, or its driver is not installed.
        """
        import sqlalchemy as sa

        try:
            self._url = _with_driver(sa.make_url(url))
            self._shown = masked(self._url.render_as_string(hide_password=False))
            self._engine = sa.create_engine(
                self._url, poolclass=sa.NullPool, connect_args=_WAITS.get(self._url.get_driver_name(), {})
            )
        except ModuleNotFoundError as error:
            raise SourceInvalid(
                f"{self._shown} cannot be reached: its driver is missing; install what gives the module {error.name}"
            ) from error
        except (sa.exc.ArgumentError, ValueError):
            # Its own message may hold the URL, and with it the password.
            raise SourceInvalid("the source is no database URL such as postgresql://user@host/database") from None

    @contextmanager
    def snapshot(self) -> "Iterator[Connection]":
        """A transaction that reads one moment, and writes nothing.

        Raises:
            SourceDown: the database does not answer, or not what it was asked.
            WindowUnfit: it holds a value that cannot be read.
        """
        import sqlalchemy as sa

        dialect = self._engine.dialect.name
        if dialect == "sqlite":
            self._demand_file()
        try:
            with self._engine.connect() as connection:
                if level := SNAPSHOTS.get(dialect):
                    connection.execution_options(isolation_level=level)
                if dialect == "postgresql":
                    # Someone who alters a table holds a lock on it; a sensor must not hang on that.
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{CONNECT_SECONDS}s'")
                if dialect == "sqlite":
                    connection.exec_driver_sql("BEGIN")  # Python's driver begins none for reads
                yield connection
        except (sa.exc.DataError, ValueError) as error:  # the latter for what a SQLite file holds in a column of dates
            raise WindowUnfit(f"{self._shown} holds a value that cannot be read: {self._reason(error)}") from error
        except sa.exc.SQLAlchemyError as error:
            raise SourceDown(
                f"{self._shown} does not answer: {self._reason(error)}; look after the server, the address in "
                "MLOPS_SOURCE, and the tables and columns under [source] in the contract"
            ) from error

    def _demand_file(self) -> None:
        """SQLite would make an empty database of a name that is mistyped."""
        name = self._url.database
        if name and not name.startswith((":", "file:")) and not Path(name).is_file():
            raise SourceDown(f"{self._shown} does not answer: there is no file {name}")

    def _reason(self, error: Exception) -> str:
        """What the driver says; SQLAlchemy's own text holds the statement, which helps no user."""
        said = " ".join(str(getattr(error, "orig", None) or error).split())
        return without_secrets(said, self._url.render_as_string(hide_password=False))


def _with_driver(url: "URL") -> "URL":
    """The URL with the driver that is installed here, where it names none."""
    if url.drivername in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    return url
