"""The feature table in a real PostgreSQL. Prevents what a file cannot show: it is never away, slow or locked."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import psycopg
import pytest

from mlops_assets.adapters.feature_database import DatabaseFeatureStore
from mlops_assets.adapters.feature_rows import FeatureRow
from mlops_assets.adapters.feature_store import FeatureStoreDown
from mlops_assets.config import Settings
from mlops_assets.definitions import build_definitions
from serving.entity_key import EntityKey
from serving.feature_database import MOST_IDLE, FeatureDatabase
from serving.feature_table import FILE, EntityUnknown, FeaturesStale, FeaturesUnavailable, TableMeta
from serving.release import Row
from tests.integration.conftest import Loop, failure_message, new_loop
from tests.integration.servers import PostgresServer
from tests.integration.test_feature_table import BY_CUSTOMER, built, by_hand
from tests.unit.serving.feature_tables import AS_OF, DAY, META, ROW, manifest

pytestmark = pytest.mark.integration

SCHEMA = "features"


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    """An empty schema."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        connection.execute(f"CREATE SCHEMA {SCHEMA}")
    sign = "&" if "?" in postgres.url else "?"
    return f"{postgres.url}{sign}options=-csearch_path%3D{SCHEMA}"


@pytest.fixture
def asked(url: str) -> Iterator[FeatureDatabase]:
    """What the service asks."""
    database = FeatureDatabase(url, timeout_seconds=5)
    yield database
    database.close()


def write(url: str, rows: dict[str, Row] | None = None, **changes: object) -> TableMeta:
    """Replaces the table by one with these entities; one that is called `c1` where none are given."""
    batch = [
        (entity, AS_OF * 1_000_000, msgspec.json.encode(row).decode()) for entity, row in (rows or {"c1": ROW}).items()
    ]
    with DatabaseFeatureStore(url).taken() as table:
        return table.replace(msgspec.structs.replace(META, **changes), [batch])


@pytest.mark.parametrize("key", ["5", 5, 5.0, "5.0"])
def test_an_entity_is_found_as_it_is_in_a_file(url: str, asked: FeatureDatabase, key: EntityKey) -> None:
    write(url, {"4": {}, "5": ROW, "5\t\n\\N": ROW})
    found = asked.find(key, manifest(), now=AS_OF + 60)
    assert (found.entity, found.features, found.age_seconds) == ("5", ROW, 60)
    assert (found.window, found.data_version) == ("2023-11", "abc")
    assert asked.find("5\t\n\\N", manifest(), now=AS_OF).features == ROW


def test_what_does_not_answer_is_told_as_by_a_file(url: str, asked: FeatureDatabase) -> None:
    with pytest.raises(FeaturesUnavailable, match="no table mlops_features in the feature database"):
        asked.find("c1", manifest(), now=AS_OF)
    write(url)
    for nobody in ("c2", "", "a\0b"):
        with pytest.raises(EntityUnknown):
            asked.find(nobody, manifest(), now=AS_OF)
    with pytest.raises(FeaturesStale):
        asked.find("c1", manifest(), now=AS_OF + 31 * DAY)
    with pytest.raises(FeaturesUnavailable, match="promote a model"):
        asked.find("c1", manifest(model_name="other"), now=AS_OF)


def test_a_table_that_says_nothing_of_itself_answers_nothing_and_is_replaced(url: str, asked: FeatureDatabase) -> None:
    write(url)
    with psycopg.connect(url) as connection:
        connection.execute("DELETE FROM mlops_features WHERE entity = ''")
    with pytest.raises(FeaturesUnavailable, match="says nothing of itself"):
        asked.find("c1", manifest(), now=AS_OF)
    with DatabaseFeatureStore(url).taken() as table:
        assert table.meta is None
    assert write(url).entities == 1
    with DatabaseFeatureStore(url).taken() as table:
        assert table.meta is not None


def test_readers_see_one_table_or_the_other_while_it_is_replaced_over_and_over(
    url: str, asked: FeatureDatabase
) -> None:
    """Prevents a moment without a table, a deadlock, and a row of one table told with the window of another."""
    write(url, {"c1": {**ROW, "visits": 0}}, window="w0")
    over = threading.Event()

    def ask() -> int:
        asks = 0
        while not over.is_set():
            found = asked.find("c1", manifest(), now=AS_OF)
            assert found.window == f"w{found.features['visits']}"
            asks += 1
        return asks

    with ThreadPoolExecutor(4) as threads:
        asking = [threads.submit(ask) for _ in range(4)]
        for number in range(1, 31):
            write(url, {"c1": {**ROW, "visits": number}}, window=f"w{number}")
        over.set()
        assert all(asks.result() > 10 for asks in asking)
    assert asked.find("c1", manifest(), now=AS_OF).window == "w30"


def test_a_build_that_fails_leaves_the_table_before_and_nothing_else(url: str, asked: FeatureDatabase) -> None:
    write(url)

    def failing() -> Iterator[list[FeatureRow]]:
        yield [("a", 0, "{}")]
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"), DatabaseFeatureStore(url).taken() as table:
        table.replace(META, failing())
    assert asked.find("c1", manifest(), now=AS_OF).window == "2023-11"
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (SCHEMA,)).fetchall()
    assert tables == [("mlops_features",)]


def test_of_two_who_want_to_replace_it_one_waits_and_sees_the_others(url: str) -> None:
    """Prevents that a late window which began first ends last, over a newer one."""
    seen: list[object] = []

    def second() -> None:
        with DatabaseFeatureStore(url).taken() as table:
            seen.append(table.meta and table.meta.window)

    with DatabaseFeatureStore(url).taken() as table:
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.3)
        assert not seen
        table.replace(META, [[("a", 0, "{}")]])
    waiting.join(10)
    assert seen == ["2023-11"]


def test_a_restart_of_the_server_is_not_noticed(url: str, postgres: PostgresServer, asked: FeatureDatabase) -> None:
    write(url)
    with ThreadPoolExecutor(MOST_IDLE) as threads:
        list(threads.map(lambda _: asked.find("c1", manifest(), now=AS_OF), range(50)))
    with psycopg.connect(postgres.url) as restarting:
        restarting.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
    assert asked.find("c1", manifest(), now=AS_OF).features == ROW


def test_a_table_that_is_locked_is_unavailable_in_time(url: str) -> None:
    """Prevents that a request waits as long as somebody's transaction."""
    write(url)
    hasty = FeatureDatabase(url, timeout_seconds=0.3)
    with psycopg.connect(url) as locking:
        locking.execute("LOCK TABLE mlops_features IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        with pytest.raises(FeaturesUnavailable, match="does not answer"):
            hasty.find("c1", manifest(), now=AS_OF)
        assert time.monotonic() - began < 5
    assert hasty.find("c1", manifest(), now=AS_OF).features == ROW
    hasty.close()


def test_the_service_only_reads(url: str, asked: FeatureDatabase) -> None:
    """Prevents that whoever takes the service over can change the features of others through its connection."""
    write(url)
    asked.find("c1", manifest(), now=AS_OF)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        asked._idle[0].execute("DELETE FROM mlops_features")


def test_a_database_that_is_down_is_told_without_its_password() -> None:
    nowhere = "postgresql://someone:hunter2@127.0.0.1:1/features"
    with pytest.raises(FeaturesUnavailable, match="the feature database does not answer") as told:
        FeatureDatabase(nowhere, timeout_seconds=1).find("c1", manifest(), now=AS_OF)
    assert "someone" not in str(told.value)
    with pytest.raises(FeatureStoreDown, match=r"someone:\*\*\*@127") as down, DatabaseFeatureStore(nowhere).taken():
        pass
    assert "hunter2" not in str(down.value)
    with pytest.raises(FeatureStoreDown) as wrong, DatabaseFeatureStore(f"{nowhere}?no_such_option=1").taken():
        pass
    assert "hunter2" not in str(wrong.value)


@pytest.fixture
def in_database(tmp_path: Path, empty_mlflow: Path, url: str) -> Iterator[Loop]:
    """A loop that writes its features there."""
    (tmp_path / "small.toml").write_text(BY_CUSTOMER)
    with new_loop(tmp_path, empty_mlflow, contract=tmp_path / "small.toml") as loop:
        loop.settings = Settings(**{**loop.settings.model_dump(), "features_url": url})
        loop.definitions = build_definitions(loop.settings)
        yield loop


def test_the_graph_writes_there_and_not_beside_the_releases(in_database: Loop, url: str) -> None:
    loop = in_database
    loop.land("2024-01")
    assert loop.ingest("2024-01").success
    window = loop.windows.current("2024-01")
    with DatabaseFeatureStore(url).taken() as table:
        assert table.meta is not None
        assert (table.meta.window, table.meta.entities) == ("2024-01", 400)
        assert window is not None
        assert table.meta.data_version == window.data_version
    assert not (loop.settings.releases / FILE).exists()
    (said,) = built(loop)
    assert "table mlops_features" in str(said["place"])
    assert "hunter2" not in str(said["place"])


def test_another_datasets_table_is_left_alone(in_database: Loop, url: str) -> None:
    write(url, dataset="other")
    in_database.land("2024-01")
    assert in_database.ingest("2024-01").success
    assert "the feature table is of the dataset other" in failure_message(by_hand(in_database))
    with DatabaseFeatureStore(url).taken() as table:
        assert table.meta is not None
        assert table.meta.dataset == "other"


def test_a_database_that_is_down_fails_the_run_and_a_later_one_mends_it(in_database: Loop, url: str) -> None:
    """Prevents that a window's features are lost, and that its drift is not measured, for a database that was away."""
    loop = in_database
    loop.land("2024-01")
    up = loop.definitions
    loop.definitions = build_definitions(
        Settings(**{**loop.settings.model_dump(), "features_url": "postgresql://u:hunter2@127.0.0.1:1/features"})
    )
    failed = loop.ingest("2024-01")
    assert not failed.success
    said = failure_message(failed)
    assert "hunter2" not in said
    assert "127.0.0.1:1/features, table mlops_features" in said
    assert loop.reported("drift_report", "2024-01")
    loop.definitions = up
    assert loop.ingest("2024-01").success
    with DatabaseFeatureStore(url).taken() as table:
        assert table.meta is not None
