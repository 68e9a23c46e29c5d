"""Windows in a real PostgreSQL. Prevents what SQLite cannot show: types, schemas, snapshots, locks, a server down."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.adapters.landing import database as module
from mlops_assets.adapters.landing.choose import landing_at
from mlops_assets.adapters.landing.database_rows import write_rows
from mlops_assets.adapters.landing.landed_window import Landing, SourceDown
from mlops_assets.domain.landing import SETTLED_SECONDS
from mlops_assets.domain.windows import WindowUnfit
from tests.integration.servers import PostgresServer
from tests.unit.mlops_assets.adapters.landing.contracts import tables

pytestmark = pytest.mark.integration

WINDOW = "2024-01-01"
BOUND_SECONDS = 12
SCHEMA = """
DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP SCHEMA IF EXISTS app CASCADE; CREATE SCHEMA app;
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE TABLE app.users (case_id BIGINT, customer UUID, amount NUMERIC(9, 2), colour colour, secret TEXT,
    month DATE, seen TIMESTAMPTZ DEFAULT '2024-02-01 00:00:00+00');
CREATE TABLE "usage" (case_id NUMERIC(20), visits SMALLINT, age DOUBLE PRECISION, plan JSON,
    month DATE, seen TIMESTAMPTZ DEFAULT '2024-02-01 00:00:00+00');
CREATE TABLE truth (case_id BIGINT, late BOOLEAN, month DATE, seen TIMESTAMPTZ DEFAULT '2024-02-01 00:00:00+00');
INSERT INTO app.users SELECT 1000 - i, md5('c')::uuid, i + 0.25, 'red', 'x', '2024-01-01'
    FROM generate_series(1, 500) i;
INSERT INTO "usage" SELECT i, i % 7, NULL, '{"b": 1, "a": [2]}', '2024-01-01' FROM generate_series(500, 999) i;
INSERT INTO "usage" SELECT 7, 7, 7, NULL, '2024-02-01';
INSERT INTO app.users SELECT 8, NULL, NULL, NULL, NULL, NULL;
"""


@pytest.fixture
def user(postgres: PostgresServer) -> "Iterator[psycopg.Connection[tuple[object, ...]]]":
    """Whoever loads the tables: one window is there, of another only the second table's rows."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(SCHEMA.encode())
        yield connection


@pytest.fixture
def landing(postgres: PostgresServer, user: object, tmp_path: Path) -> Landing:  # noqa: ARG001
    """Its windows."""
    return landing_of(postgres.url, tmp_path)


def landing_of(url: str, folder: Path, **source: object) -> Landing:
    """The windows of a database with the tables above."""
    named = {"tables": ["app.users", "usage"], "window_column": "month", "updated_at": "seen", **source}
    return landing_at(url, tables(**named), folder / "spool")


def sha256s(landing: Landing) -> dict[str, str]:
    """Of the window's tables."""
    with landing.fetch(WINDOW) as window:
        return {table: file.sha256 for table, file in window.tables.items()}


def test_windows_are_listed_and_settle(landing: Landing) -> None:
    """By the first table; what names none is said."""
    assert [(seen.window, seen.waits_for) for seen in landing.landed(now=0)] == [(WINDOW, None)]
    assert landing.landed(now=0)[0].is_ready is False
    assert landing.landed(now=SETTLED_SECONDS)[0].is_ready is True
    assert landing.ignored() == ["table app.users: month 'None'"]


def test_rows_are_fetched_in_pieces_with_their_types(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded in memory; ids exact, numbers as numbers, what else there is as text."""
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 200)
    with landing.fetch(WINDOW) as window:
        users = pq.ParquetFile(window.tables["app.users"].path)
        usage = pq.read_table(window.tables["usage"].path)
        assert window.tables["app.users"].name == "table app.users"
        assert users.num_row_groups == 3
        assert dict(zip(users.schema_arrow.names, users.schema_arrow.types, strict=True)) == {
            "case_id": pa.int64(),
            "customer": pa.string(),
            "amount": pa.float64(),
            "colour": pa.string(),
        }
        assert users.read().column("case_id").to_pylist() == list(range(500, 1000))
        assert usage.schema.field("case_id").type == pa.decimal128(20, 0)
        assert usage.to_pylist()[0] == {
            "case_id": 500,
            "visits": 500 % 7,
            "age": None,
            "plan": '{"a": [2], "b": 1}',
        }


def test_the_same_rows_have_the_same_hash(landing: Landing, user: "psycopg.Connection[tuple[object, ...]]") -> None:
    """Wherever an update has moved them to."""
    before = sha256s(landing)
    user.execute("UPDATE app.users SET secret = 'other' WHERE case_id % 2 = 0")
    assert sha256s(landing) == before
    user.execute("UPDATE app.users SET amount = 0 WHERE case_id = 500")
    assert sha256s(landing)["app.users"] != before["app.users"]


def test_a_change_is_seen(landing: Landing, user: "psycopg.Connection[tuple[object, ...]]") -> None:
    """An updated row by its time; late labels by their rows."""
    seen = {landing.landed(now=0)[0].fingerprint}
    for change in (
        b"UPDATE usage SET visits = 1, seen = '2024-03-01' WHERE case_id = 500",
        b"INSERT INTO truth VALUES (500, true, '2024-01-01')",
    ):
        user.execute(change)
        seen.add(landing.landed(now=0)[0].fingerprint)
    assert len(seen) == 3
    with landing.fetch(WINDOW) as window:
        assert window.labels is not None
        assert pq.read_table(window.labels.path).to_pylist() == [{"case_id": 500, "late": True}]


@pytest.mark.parametrize(
    ("column", "window"), [("colour", "red"), ("customer", "4a8a08f0-9d37-b737-9564-9038408b5f33")]
)
def test_a_window_may_be_named_by_any_type(
    postgres: PostgresServer, user: object, tmp_path: Path, column: str, window: str
) -> None:
    """The server compares an enum or a UUID with no text."""
    assert user
    landing = landing_of(postgres.url, tmp_path, tables=["app.users"], labels=None, window_column=column)
    with landing.fetch(window) as fetched:
        assert pq.read_table(fetched.tables["app.users"].path).num_rows == 500


def test_all_tables_are_of_one_moment(
    landing: Landing, user: "psycopg.Connection[tuple[object, ...]]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load that commits between two tables would give rows of the one without those of the other."""

    def write_and_load(*args: object, **kwargs: object) -> None:
        write_rows(*args, **kwargs)  # type: ignore[arg-type]
        user.execute("INSERT INTO usage SELECT 1, 1, 1, NULL, '2024-01-01'")

    monkeypatch.setattr(module, "write_rows", write_and_load)
    with landing.fetch(WINDOW) as window:
        assert pq.read_table(window.tables["usage"].path).num_rows == 500


def test_a_locked_table_does_not_hold_the_sensor(landing: Landing, postgres: PostgresServer, user: object) -> None:
    """Someone alters it, and goes to lunch."""
    assert user
    with psycopg.connect(postgres.url) as other:
        other.execute("LOCK TABLE usage IN ACCESS EXCLUSIVE MODE")
        since = monotonic()
        with pytest.raises(SourceDown, match="lock timeout"):
            landing.landed(now=0)
        assert monotonic() - since < BOUND_SECONDS


def test_a_value_that_cannot_be_read_is_told(
    landing: Landing, user: "psycopg.Connection[tuple[object, ...]]", tmp_path: Path
) -> None:
    """Not as a server that is down: that would be tried again for ever."""
    user.execute("ALTER TABLE usage ADD COLUMN colour TIMESTAMP DEFAULT 'infinity'")
    with pytest.raises(WindowUnfit, match="holds a value that cannot be read: timestamp too large"):
        landing.fetch(WINDOW).__enter__()
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_server_that_goes_down_is_told_in_time_and_seen_again(tmp_path: Path) -> None:
    """Stopped, or alive without an answer; the same landing goes on when it is back."""
    server = PostgresServer(tmp_path / "postgres")
    try:
        with psycopg.connect(server.url, autocommit=True) as user:
            user.execute(SCHEMA.encode())
        landing = landing_of(server.url, tmp_path)
        fingerprint, hashes = landing.landed(now=0)[0].fingerprint, sha256s(landing)
        server.stop()
        assert_down(lambda: landing.landed(now=0))
        assert_down(lambda: landing.fetch(WINDOW).__enter__())
        server.start()
        assert landing.landed(now=0)[0].fingerprint == fingerprint
        assert sha256s(landing) == hashes
        os.kill(server.pid, signal.SIGSTOP)
        try:
            assert_down(lambda: landing.landed(now=0))
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert landing.landed(now=0)[0].fingerprint == fingerprint
    finally:
        server.cleanup()
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_port_where_nobody_answers_is_down(tmp_path: Path) -> None:
    """As behind a firewall that drops everything."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        landing = landing_of(f"postgresql://postgres:hunter2@127.0.0.1:{port}/postgres", tmp_path)
        assert_down(lambda: landing.landed(now=0))


def assert_down(ask: Callable[[], object]) -> None:
    """Asking says so, in bounded time, and tells no secret."""
    since = monotonic()
    with pytest.raises(SourceDown, match=r"postgresql.*postgres:\*\*\*@.* does not answer") as down:
        ask()
    assert monotonic() - since < BOUND_SECONDS
    assert "hunter2" not in str(down.value)
