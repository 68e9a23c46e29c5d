import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mlops_assets.adapters.landing import database_windows
from mlops_assets.adapters.landing.database import DatabaseLanding
from mlops_assets.adapters.landing.landed_window import SourceDown
from mlops_assets.domain.landing import SETTLED_SECONDS
from mlops_assets.domain.windows import WindowUnfit
from tests.unit.mlops_assets.adapters.landing.contracts import tables

SCHEMA = """
CREATE TABLE users (case_id TEXT, customer TEXT, amount NUMERIC(9, 2), colour TEXT, secret TEXT, month DATE,
                    seen DATETIME);
CREATE TABLE usage (case_id TEXT, visits INTEGER, age REAL, plan TEXT, month DATE, seen DATETIME);
CREATE TABLE truth (case_id TEXT, late BOOLEAN, month DATE, seen DATETIME);
"""
MONTH = "2024-01-01"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A SQLite database with the contract's tables, and one window in two of them."""
    with closing(sqlite3.connect(tmp_path / "source.db", isolation_level=None)) as connection:
        connection.executescript(SCHEMA)
        for case in ("b", "a"):
            connection.execute(
                "INSERT INTO users VALUES (?, 'c', 1.5, 'red', 'x', ?, '2024-02-01 00:00:00')", (case, MONTH)
            )
            connection.execute("INSERT INTO usage VALUES (?, 3, NULL, 'free', ?, '2024-02-01 00:00:00')", (case, MONTH))
        yield connection


@pytest.fixture
def landing(tmp_path: Path, database: sqlite3.Connection) -> DatabaseLanding:  # noqa: ARG001
    """Its windows."""
    return landing_of(tmp_path)


def landing_of(folder: Path, **source: object) -> DatabaseLanding:
    """The windows of the folder's database."""
    dataset = tables(**{"window_column": "month", "updated_at": "seen", **source})
    return DatabaseLanding(f"sqlite:///{folder / 'source.db'}", dataset, folder / "spool")


def sha256s(landing: DatabaseLanding) -> dict[str, str]:
    """Of the window's tables."""
    with landing.fetch(MONTH) as window:
        return {table: file.sha256 for table, file in window.tables.items()}


def test_a_windows_rows_are_fetched_in_order_and_by_the_contracts_columns(landing: DatabaseLanding) -> None:
    """Not the window column, and not what the contract does not speak of."""
    with landing.fetch(MONTH) as window:
        assert [(name, file.name) for name, file in window.tables.items()] == [
            ("users", "table users"),
            ("usage", "table usage"),
        ]
        assert window.labels is None
        assert window.landed_at == 1706745600
        assert pq.read_table(window.tables["users"].path).to_pylist() == [
            {"case_id": case, "customer": "c", "amount": 1.5, "colour": "red"} for case in ("a", "b")
        ]
        assert str(pq.read_schema(window.tables["usage"].path).field("age").type) == "double"
    assert list(landing.spool.iterdir()) == []


def test_the_same_rows_have_the_same_hash(landing: DatabaseLanding, database: sqlite3.Connection) -> None:
    """Whatever the order they lie in; another value has another."""
    before = sha256s(landing)
    database.executescript("CREATE TABLE copy AS SELECT * FROM users ORDER BY case_id; DELETE FROM users")
    database.executescript("INSERT INTO users SELECT * FROM copy; UPDATE users SET secret = 'other'")
    assert sha256s(landing) == before
    database.execute("UPDATE usage SET visits = 4 WHERE case_id = 'a'")
    assert sha256s(landing)["usage"] != before["usage"]


def test_rows_that_share_a_key_have_an_order_of_their_own(
    landing: DatabaseLanding, database: sqlite3.Connection
) -> None:
    """The key alone would leave it to the database."""
    database.execute("UPDATE usage SET case_id = 'a'")
    database.execute("UPDATE usage SET visits = 9 WHERE rowid = (SELECT min(rowid) FROM usage)")
    before = sha256s(landing)
    database.executescript("CREATE TABLE copy AS SELECT * FROM usage ORDER BY visits; DELETE FROM usage")
    database.executescript("INSERT INTO usage SELECT * FROM copy")
    assert sha256s(landing) == before


def test_a_window_settles_since_it_was_last_seen_to_change(
    landing: DatabaseLanding, database: sqlite3.Connection
) -> None:
    """A load in many transactions is over when nothing more comes."""
    assert landing.landed(now=100)[0].is_ready is False
    assert landing.landed(now=100 + SETTLED_SECONDS - 1)[0].is_ready is False
    database.execute("UPDATE users SET seen = '2024-02-02 00:00:00' WHERE case_id = 'a'")
    assert landing.landed(now=100 + SETTLED_SECONDS)[0].age_seconds == 0
    assert landing.landed(now=100 + 2 * SETTLED_SECONDS)[0].is_ready is True


def test_a_change_is_seen_by_counts_times_and_labels(landing: DatabaseLanding, database: sqlite3.Connection) -> None:
    """Each of them alone changes the fingerprint."""
    seen = {landing.landed(now=0)[0].fingerprint}
    for change in (
        "UPDATE usage SET visits = 5, seen = '2024-03-01 00:00:00' WHERE case_id = 'a'",
        "INSERT INTO users VALUES ('d', 'c', 1, 'red', 'x', '2024-01-01', '2024-02-01 00:00:00')",
        "INSERT INTO truth VALUES ('a', 1, '2024-01-01', '2024-02-01 00:00:00')",
        "DELETE FROM users WHERE case_id = 'd'",
    ):
        database.execute(change)
        seen.add(landing.landed(now=0)[0].fingerprint)
    assert len(seen) == 5
    with landing.fetch(MONTH) as window:
        assert window.labels is not None
        assert pq.read_table(window.labels.path).to_pylist() == [{"case_id": "a", "late": True}]


def test_a_table_without_rows_is_waited_for(landing: DatabaseLanding, database: sqlite3.Connection) -> None:
    """A window is there once the first table names it."""
    database.execute("DELETE FROM usage")
    database.execute("INSERT INTO usage (case_id, month) VALUES ('a', '2024-09-01')")
    assert [(seen.window, seen.waits_for) for seen in landing.landed(now=0)] == [(MONTH, "the table usage")]
    with pytest.raises(SourceDown, match="the table usage has no rows of it"):
        landing.fetch(MONTH).__enter__()
    with pytest.raises(SourceDown, match="2024-07 cannot be read: the table users has no rows"):
        landing.fetch("2024-07").__enter__()


def test_what_names_no_window_is_ignored_and_said(tmp_path: Path, database: sqlite3.Connection) -> None:
    """An empty period, a text with a blank."""
    landing = landing_of(tmp_path, window_column="colour", tables=["users"], labels=None)
    database.execute("UPDATE users SET colour = NULL WHERE case_id = 'a'")
    database.execute("UPDATE users SET colour = 'no window' WHERE case_id = 'b'")
    assert landing.landed(now=0) == []
    assert landing.ignored() == ["table users: colour 'None'", "table users: colour 'no window'"]


def test_a_window_column_that_the_contract_names_is_kept(tmp_path: Path, database: sqlite3.Connection) -> None:
    """As a feature of the model."""
    assert database
    landing = landing_of(tmp_path, window_column="colour", tables=["users"], labels=None)
    with landing.fetch("red") as window:
        assert "colour" in pq.read_schema(window.tables["users"].path).names


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DROP TABLE usage", "the database has no table usage"),
        ("ALTER TABLE usage RENAME COLUMN month TO monat", "the table usage has no column month"),
        ("ALTER TABLE truth DROP COLUMN seen", "the table truth has no column seen"),
    ],
)
def test_a_table_that_is_not_as_the_contract_says_is_told(
    landing: DatabaseLanding, database: sqlite3.Connection, statement: str, said: str
) -> None:
    """By name, with what to do."""
    database.execute(statement)
    with pytest.raises(SourceDown, match=said):
        landing.landed(now=0)


def test_a_mistyped_database_is_not_made(tmp_path: Path) -> None:
    """SQLite would, and be empty for ever."""
    with pytest.raises(SourceDown, match="there is no file"):
        landing_of(tmp_path).landed(now=0)
    assert list(tmp_path.iterdir()) == []


def test_a_column_of_too_many_windows_is_told(
    landing: DatabaseLanding, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every look would read them all."""
    monkeypatch.setattr(database_windows, "MOST_WINDOWS", 1)
    database.execute("INSERT INTO users (case_id, month) VALUES ('z', '2024-09-01')")
    with pytest.raises(SourceDown, match="more than 1 values in its column month"):
        landing.landed(now=0)


@pytest.mark.parametrize(("column", "value"), [("visits", "many"), ("age", "old"), ("visits", 1e30), ("seen", "soon")])
def test_a_value_of_another_type_is_told(
    landing: DatabaseLanding, database: sqlite3.Connection, column: str, value: object
) -> None:
    """SQLite keeps any value in any column."""
    database.execute(f"UPDATE usage SET {column} = ? WHERE case_id = 'b'", (value,))  # noqa: S608
    with pytest.raises(WindowUnfit, match=r"table usage: column (visits|age) holds a value|holds a value that cannot"):
        landing.fetch(MONTH).__enter__()
    assert list(landing.spool.iterdir()) == []


def test_a_table_without_its_key_is_told(landing: DatabaseLanding, database: sqlite3.Connection) -> None:
    """It cannot be joined."""
    database.execute("ALTER TABLE usage RENAME COLUMN case_id TO id")
    with pytest.raises(WindowUnfit, match="table usage has no column case_id"):
        landing.fetch(MONTH).__enter__()
