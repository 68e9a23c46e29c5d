"""Windows in a real object store. Prevents what shows only over a wire: stale listings, and stores that hang."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import fsspec
import pytest

from mlops_assets.adapters.landing.choose import landing_at
from mlops_assets.adapters.landing.landed_window import ROWS, Landing, SourceDown
from mlops_assets.adapters.landing.object_store import PIECE_BYTES
from tests.integration.servers import S3Server
from tests.unit.mlops_assets.adapters.landing.contracts import one_file, tables

pytestmark = pytest.mark.integration

BUCKET = "windows"
URL = f"s3://{BUCKET}/landing"
BOUND_SECONDS = 12


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One for all tests."""
    server = S3Server(tmp_path_factory.mktemp("moto") / "moto.log")
    yield server
    server.kill()


@pytest.fixture
def store(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> fsspec.AbstractFileSystem:
    """The user's own client, with an empty bucket."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    store = client(server)
    if store.exists(BUCKET):
        store.rm(BUCKET, recursive=True)
    store.mkdir(BUCKET)
    return store


def client(server: S3Server) -> fsspec.AbstractFileSystem:
    """A client that does not share what it remembers with the landing's."""
    return fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False, endpoint_url=server.url)


@pytest.fixture
def landing(store: fsspec.AbstractFileSystem, tmp_path: Path) -> Landing:  # noqa: ARG001
    """Windows that are one file."""
    return landing_at(URL, one_file(), tmp_path / "spool")


def test_windows_are_seen_as_they_land(landing: Landing, store: fsspec.AbstractFileSystem) -> None:
    """At once, whole, and with every change: a client that remembers a listing would see none."""
    assert landing.landed(now=0) == []
    store.pipe(f"{BUCKET}/landing/2024-02.csv", b"first")
    store.pipe(f"{BUCKET}/landing/2024-01.parquet", b"PAR1")
    store.pipe(f"{BUCKET}/landing/", b"")
    store.pipe(f"{BUCKET}/landing/archive/2023-01.csv", b"")
    store.pipe(f"{BUCKET}/landing/notes.txt", b"")
    seen = landing.landed(now=0)
    assert [(window.window, window.is_ready) for window in seen] == [("2024-01", True), ("2024-02", True)]
    assert landing.ignored() == ["archive", "notes.txt"]
    store.pipe(f"{BUCKET}/landing/2024-02.csv", b"other")
    assert landing.landed(now=0)[1].fingerprint != seen[1].fingerprint
    store.rm(f"{BUCKET}/landing/2024-01.parquet")
    assert [window.window for window in landing.landed(now=0)] == ["2024-02"]


def test_a_window_is_copied_for_as_long_as_it_is_read(
    landing: Landing, store: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    """In pieces; the same bytes have the same hash under whatever name, and labels change it."""
    content = b"0123456789abcdef" * (PIECE_BYTES // 16) + b"more than one piece"
    for window in ("2024-01", "2024-02"):
        store.pipe(f"{BUCKET}/landing/{window}.csv", content)
    with landing.fetch("2024-01") as first, landing.fetch("2024-02") as second:
        assert first.tables[ROWS].path.read_bytes() == content
        assert first.content_sha256 == second.content_sha256
        assert len(list((tmp_path / "spool").iterdir())) == 2
        first.demand_unchanged()
    before = landing.landed(now=0)[0].fingerprint
    store.pipe(f"{BUCKET}/landing/2024-01.labels.csv", b"labels")
    assert landing.landed(now=0)[0].fingerprint != before
    with landing.fetch("2024-01") as labelled:
        assert labelled.content_sha256 != first.content_sha256
    assert list((tmp_path / "spool").iterdir()) == []


def test_tables_are_waited_for(store: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    """A window's tables are uploaded one after the other."""
    landing = landing_at(URL, tables(), tmp_path / "spool")
    assert landing.landed(now=0) == []
    store.pipe(f"{BUCKET}/landing/2024-01/users.csv", b"users")
    assert landing.landed(now=0)[0].waits_for == "the table usage"
    store.pipe(f"{BUCKET}/landing/2024-01/usage.parquet", b"usage")
    store.pipe(f"{BUCKET}/landing/2024-01/notes.txt", b"notes")
    ready = landing.landed(now=0)[0]
    assert ready.is_ready
    store.pipe(f"{BUCKET}/landing/2024-01/truth.csv", b"truth")
    assert landing.landed(now=0)[0].fingerprint != ready.fingerprint
    with landing.fetch("2024-01") as window:
        assert [(table, file.name, file.format) for table, file in window.tables.items()] == [
            ("users", "2024-01/users.csv", "csv"),
            ("usage", "2024-01/usage.parquet", "parquet"),
        ]
        assert window.labels is not None
        assert window.labels.path.read_bytes() == b"truth"
        assert window.ignored == ("notes.txt",)


def test_an_object_replaced_while_it_is_copied_is_noticed(
    landing: Landing, store: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its two halves would be of two windows."""
    store.pipe(f"{BUCKET}/landing/2024-01.csv", b"a" * (4 * PIECE_BYTES))
    read = fsspec.spec.AbstractBufferedFile.read
    replaced: list[bool] = []

    def read_and_replace(file: fsspec.spec.AbstractBufferedFile, length: int = -1) -> bytes:
        piece: bytes = read(file, length)
        if not replaced:
            store.pipe(f"{BUCKET}/landing/2024-01.csv", b"b" * (4 * PIECE_BYTES))
            replaced.append(True)
        return piece

    monkeypatch.setattr(fsspec.spec.AbstractBufferedFile, "read", read_and_replace)
    with pytest.raises(SourceDown, match=r"2024-01\.csv was replaced while it was read"), landing.fetch("2024-01"):
        pass
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_bucket_that_is_not_there_is_down(store: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    """A mistyped one would else be empty for ever."""
    assert store
    for dataset in (one_file(), tables()):
        with pytest.raises(SourceDown, match=r"s3://mistyped/landing does not answer: .*bucket does not exist"):
            landing_at("s3://mistyped/landing", dataset, tmp_path).landed(now=0)


def test_a_store_that_goes_down_is_told_in_time_and_seen_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed, or alive without an answer; the same landing goes on when it is back."""
    server = S3Server(tmp_path / "moto.log")
    try:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        landing = landing_at(URL, one_file(), tmp_path / "spool")
        put(server)
        fingerprint = landing.landed(now=0)[0].fingerprint
        server.process.send_signal(signal.SIGSTOP)
        assert_down(lambda: landing.landed(now=0))
        server.process.send_signal(signal.SIGCONT)
        assert landing.landed(now=0)[0].fingerprint == fingerprint
        server.kill()
        assert_down(lambda: landing.landed(now=0))
        assert_down(lambda: landing.fetch("2024-01").__enter__())
        server.start()
        put(server)
        assert [window.window for window in landing.landed(now=0)] == ["2024-01"]
        with landing.fetch("2024-01") as window:
            assert window.tables[ROWS].path.read_bytes() == b"rows"
    finally:
        server.kill()
    assert list((tmp_path / "spool").iterdir()) == []


def test_missing_credentials_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In time, and as what they are."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(SourceDown, match="Unable to locate credentials"):
        landing_at(URL, one_file(), tmp_path).landed(now=0)


def put(server: S3Server) -> None:
    """One window, in a bucket that may have gone."""
    store = client(server)
    store.mkdir(BUCKET)
    store.pipe(f"{BUCKET}/landing/2024-01.csv", b"rows")


def assert_down(ask: Callable[[], object]) -> None:
    """Asking says so, in bounded time, and tells no secret."""
    since = monotonic()
    with pytest.raises(SourceDown, match=f"{URL} does not answer") as down:
        ask()
    assert monotonic() - since < BOUND_SECONDS
    assert "hunter2" not in str(down.value)
