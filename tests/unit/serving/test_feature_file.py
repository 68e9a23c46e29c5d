"""Prevents that a file which is damaged, or replaced while it is read, answers with something that nobody wrote."""

import gc
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from serving.entity_key import EntityKey
from serving.feature_file import FeatureFile
from serving.feature_table import APPLICATION_ID, FILE_SCHEMA, EntityUnknown, FeaturesStale, FeaturesUnavailable
from tests.unit.serving.feature_tables import AS_OF, DAY, META, ROW, manifest, write_table

SAID = msgspec.json.encode(META).decode()
TWICE = f"INSERT INTO meta VALUES ('{SAID}'), ('{SAID}')"  # noqa: S608


def table(path: Path, *statements: str) -> Path:
    """A SQLite file of these statements."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(";".join(statements))
    return path


@pytest.mark.parametrize("key", ["5", 5, 5.0, "5.0"])
def test_an_entity_is_found_however_its_key_is_written(releases: Path, key: EntityKey) -> None:
    found = FeatureFile(write_table(releases, {"4": {}, "5": ROW, "50": {}})).find(key, manifest(), now=AS_OF)
    assert (found.entity, found.features) == ("5", ROW)


@pytest.mark.parametrize("key", ["c", "C1", "c10", "c1 ", "", "' OR 1=1 --", "ü"])
def test_an_entity_that_is_not_there_is_unknown(releases: Path, key: str) -> None:
    """Prevents a neighbour's features."""
    opened = FeatureFile(write_table(releases))
    with pytest.raises(EntityUnknown):
        opened.find(key, manifest(), now=AS_OF)


def test_stale_features_and_another_model_are_refused(releases: Path) -> None:
    opened = FeatureFile(write_table(releases))
    with pytest.raises(FeaturesStale):
        opened.find("c1", manifest(), now=AS_OF + 31 * DAY)
    with pytest.raises(FeaturesUnavailable, match="promote a model"):
        opened.find("c1", manifest(model_name="other"), now=AS_OF)


def test_a_reader_goes_on_with_the_file_that_it_opened(releases: Path) -> None:
    """Prevents that a request is answered from two tables."""
    before = FeatureFile(write_table(releases))
    after = FeatureFile(write_table(releases, {"c1": {**ROW, "visits": 4}}, window="2023-12"))
    assert [opened.find("c1", manifest(), now=AS_OF).features["visits"] for opened in (before, after)] == [3, 4]
    assert before.find("c1", manifest(), now=AS_OF).window == "2023-11"


def test_it_may_stand_where_nothing_can_be_written(releases: Path) -> None:
    """Prevents that a service needs more than to read: no journal and no lock beside the file."""
    path = write_table(releases)
    path.chmod(0o444)
    before = sorted(releases.iterdir())
    with closing(sqlite3.connect(path, isolation_level=None)) as locking:
        locking.execute("BEGIN EXCLUSIVE")
        opened = FeatureFile(path)
        opened.find("c1", manifest(), now=AS_OF)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        opened._connection.execute("DELETE FROM features")
    assert sorted(releases.iterdir()) == before == [path]


def test_a_path_with_signs_that_a_uri_has_is_opened(tmp_path: Path) -> None:
    odd = tmp_path / "50% ? #1 ü"
    assert FeatureFile(write_table(odd)).meta.window == "2023-11"


def test_many_threads_find_each_their_own_entity(releases: Path) -> None:
    """Prevents that two lookups on one connection read each other's rows."""
    opened = FeatureFile(write_table(releases, {f"c{n}": {**ROW, "visits": n} for n in range(2000)}))

    def look_up(start: int) -> bool:
        return all(opened.find(f"c{n}", manifest(), now=AS_OF).features["visits"] == n for n in range(start, 2000, 8))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(look_up, range(8)))


def test_its_one_connection_is_asked_by_one_thread_at_a_time(releases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a crash where SQLite was built without locks of its own."""
    opened = FeatureFile(write_table(releases))
    connection, asking, together = opened._connection, threading.Lock(), []

    class Watched:
        def execute(self, question: str, entity: tuple[str]) -> object:
            together.append(not asking.acquire(blocking=False))
            time.sleep(0.002)
            found = connection.execute(question, entity)
            if not together[-1]:
                asking.release()
            return found

    with monkeypatch.context() as watching:
        watching.setattr(opened, "_connection", Watched())
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda _: opened.find("c1", manifest(), now=AS_OF), range(20)))
    assert together == [False] * 20


def test_a_dropped_reader_gives_its_file_back_in_whichever_thread_that_is(releases: Path) -> None:
    """Prevents a file handle, and a replaced file's disk space, for each window that landed."""
    path = write_table(releases)

    def open_files() -> int:
        gc.collect()
        links = [Path(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]  # noqa: PTH208
        return sum(link.exists() and link.samefile(path) for link in links)

    held = [FeatureFile(path)]
    assert open_files() == 1
    dropping = threading.Thread(target=held.clear)
    dropping.start()
    dropping.join()
    assert open_files() == 0


def test_a_file_that_is_marked_as_no_feature_table_is_none(releases: Path) -> None:
    path = table(write_table(releases), "PRAGMA application_id = 1")
    with pytest.raises(FeaturesUnavailable, match="it is no feature table"):
        FeatureFile(path)


def _cut_short(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 4096)


def _first_page_alone(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(4096)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_text("no database\n" * 1000)


def _zeros_at_the_end(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + bytes(len(content) - 4096))


@pytest.mark.parametrize("spoil", [_cut_short, _first_page_alone, _empty, _text, _zeros_at_the_end])
def test_a_damaged_file_is_refused_when_it_is_opened(releases: Path, spoil: Callable[[Path], None]) -> None:
    path = write_table(releases, {f"c{n}": ROW for n in range(500)})
    spoil(path)
    with pytest.raises(FeaturesUnavailable, match=r"features\.sqlite cannot be read .*materialize feature_table"):
        FeatureFile(path)


@pytest.mark.parametrize(
    "statements",
    [
        (FILE_SCHEMA,),
        (f"PRAGMA application_id = {APPLICATION_ID}", FILE_SCHEMA),
        (f"PRAGMA application_id = {APPLICATION_ID}", "CREATE TABLE meta (content)"),
        (f"PRAGMA application_id = {APPLICATION_ID}", "CREATE TABLE meta (content)", "INSERT INTO meta VALUES (1)"),
        (f"PRAGMA application_id = {APPLICATION_ID}", FILE_SCHEMA, TWICE),
    ],
)
def test_another_database_is_refused(tmp_path: Path, statements: tuple[str, ...]) -> None:
    """Prevents that the service takes what lies under the name for a feature table."""
    with pytest.raises(FeaturesUnavailable, match="materialize feature_table"):
        FeatureFile(table(tmp_path / "features.sqlite", *statements))


def test_a_page_that_is_damaged_in_the_middle_answers_nothing(releases: Path) -> None:
    """Prevents a crash of the route: what the opening did not see is told at the lookup."""
    path = write_table(releases, {f"c{n:04d}": ROW for n in range(2000)})
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = bytes(4096)
    path.write_bytes(content)
    opened = FeatureFile(path)
    failed = []
    for number in range(2000):
        try:
            assert opened.find(f"c{number:04d}", manifest(), now=AS_OF).features == ROW
        except FeaturesUnavailable as error:
            failed.append(str(error))
    assert failed
    assert "cannot be read" in failed[0]


def test_a_file_that_is_not_there_is_the_disks_word(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FeatureFile(tmp_path / "features.sqlite")


def test_the_table_says_what_was_counted(releases: Path) -> None:
    meta = FeatureFile(write_table(releases, {"a": ROW, "b": ROW})).meta
    assert (meta.entities, meta.oldest_as_of, meta.newest_as_of) == (2, "2023-11-14T22:13:20Z", "2023-11-14T22:13:20Z")
    assert meta.features == META.features
