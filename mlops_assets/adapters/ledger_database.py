"""The database of ledger and approvals, SQLite or PostgreSQL: opening it, and writing one after the other."""

from sqlalchemy import Connection, Engine, MetaData, NullPool, create_engine, func, select
from sqlalchemy.schema import CreateTable


def opened(url: str, tables: MetaData) -> Engine:
    """The database with its tables, which are made where they are missing."""
    # A connection that is kept fails at its first use after the server's restart, and a ledger that nobody uses any
    # more keeps one of the server's 100 until the garbage collector comes by.
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":  # where IF NOT EXISTS fails when two processes say it at once
            wait_for_other_writers(connection)
        # Not create_all: it looks first, and fails where another process makes a table meanwhile.
        for table in tables.sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))
    return engine


def wait_for_other_writers(connection: Connection) -> None:
    """And keeps them waiting until the transaction ends: what it reads then holds until it has written."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext("ledger"))))
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
