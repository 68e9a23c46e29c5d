"""Prevents that a new feature table is missed, that a bad one replaces a good one, and that a slow one holds up."""

import asyncio
import logging
import threading
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from serving.entity_key import EntityKey
from serving.feature_source import AskedDatabase, FollowedFile, feature_source
from serving.feature_table import FILE, EntityUnknown, FeaturesUnavailable, FoundFeatures
from serving.release import Manifest
from serving.settings import Settings
from tests.unit.serving.feature_tables import ROW, manifest, write_table


@pytest.fixture
def followed(releases: Path) -> FollowedFile:
    """Of an empty folder."""
    return FollowedFile(releases / FILE)


def window_of(followed: FollowedFile) -> str:
    """The window that answers after a look."""
    followed.look()
    return asyncio.run(followed.find("c1", manifest())).window


def test_each_new_table_is_followed(releases: Path, followed: FollowedFile) -> None:
    followed.look()
    with pytest.raises(FeaturesUnavailable, match=r"no features\.sqlite beside the releases yet.*`entity_key`"):
        asyncio.run(followed.find("c1", manifest()))
    write_table(releases, as_of=time.time())
    assert window_of(followed) == "2023-11"
    write_table(releases, as_of=time.time(), window="2023-12")
    assert window_of(followed) == "2023-12"


def test_a_table_is_read_once(releases: Path, followed: FollowedFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a load at every poll."""
    write_table(releases, as_of=time.time())
    followed.look()
    monkeypatch.setattr("serving.feature_source.FeatureFile", None)
    assert window_of(followed) == "2023-11"


def test_a_table_that_cannot_be_read_leaves_the_one_before_and_is_reported_once(
    releases: Path, followed: FollowedFile, caplog: pytest.LogCaptureFixture
) -> None:
    write_table(releases, as_of=time.time())
    assert window_of(followed) == "2023-11"
    beside = releases / "beside"
    beside.write_text("no database")
    beside.replace(releases / FILE)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert window_of(followed) == "2023-11"
        (said,) = [record.message for record in caplog.records]
        assert "refused features: features.sqlite cannot be read" in said
        assert "those of 2023-11 stay in use" in said
        (releases / FILE).unlink()
        assert window_of(followed) == "2023-11"
        assert "features.sqlite is gone" in caplog.records[-1].message
    write_table(releases, as_of=time.time(), window="2023-12")
    assert window_of(followed) == "2023-12"


def test_without_one_before_the_lookup_says_what_is_wrong(releases: Path, followed: FollowedFile) -> None:
    (releases / FILE).write_text("no database")
    followed.look()
    with pytest.raises(FeaturesUnavailable, match="cannot be read"):
        asyncio.run(followed.find("c1", manifest()))


def test_a_failing_disk_is_asked_again_without_a_change_of_the_file(
    releases: Path, followed: FollowedFile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Prevents that a moment's EIO is for ever."""
    write_table(releases, as_of=time.time())

    def failing(_: Path) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as failed:
        failed.setattr("serving.feature_source.FeatureFile", failing)
        for _ in range(3):
            followed.look()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert window_of(followed) == "2023-11"


def test_whatever_a_file_does_the_watcher_lives(
    releases: Path, followed: FollowedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_table(releases)

    def failing(_: Path) -> None:
        raise MemoryError

    monkeypatch.setattr("serving.feature_source.FeatureFile", failing)
    followed.look()
    with pytest.raises(FeaturesUnavailable, match="MemoryError"):
        asyncio.run(followed.find("c1", manifest()))


class Slow:
    """A table that answers when it is let."""

    def __init__(self) -> None:
        self.let = threading.Event()

    def find(self, key: EntityKey, manifest: Manifest, *, now: float) -> FoundFeatures:
        """Unknown, at last."""
        self.let.wait(10)
        raise EntityUnknown(f"{key} {manifest.model_name} {now}")

    def close(self) -> None:
        """Holds nothing."""


def test_a_database_that_hangs_is_unavailable_in_time_and_holds_up_nothing() -> None:
    """Prevents that one slow database stops the event loop, and with it every other request."""
    slow = Slow()
    asked = AskedDatabase(slow, timeout_seconds=0.2)

    async def ask() -> float:
        began = time.perf_counter()
        asking = [asyncio.create_task(asked.find("c1", manifest())) for _ in range(40)]
        await asyncio.to_thread(time.sleep, 0)  # other threads are free
        held_up = time.perf_counter() - began
        for found in await asyncio.gather(*asking, return_exceptions=True):
            assert isinstance(found, FeaturesUnavailable)
            assert "does not answer within 0.2 s" in str(found)
        assert time.perf_counter() - began < 5
        return held_up

    try:
        assert asyncio.run(ask()) < 0.15
        slow.let.set()
        with pytest.raises(EntityUnknown):
            asyncio.run(asked.find("c1", manifest()))
    finally:
        slow.let.set()
        asked.close()


def test_the_form_is_the_operators_choice(releases: Path) -> None:
    write_table(releases, {"c1": ROW}, as_of=time.time())
    embedded = feature_source(Settings(releases=releases, features=""))
    assert isinstance(embedded, FollowedFile)
    assert window_of(embedded) == "2023-11"
    embedded.close()
    asked = feature_source(Settings(releases=releases, features="postgresql://someone@127.0.0.1:1/nowhere"))
    with pytest.raises(FeaturesUnavailable, match="does not answer"):
        asyncio.run(asked.find("c1", manifest()))
    asked.close()


@pytest.mark.parametrize("url", ["mysql://u:hunter2@host/db", "features.sqlite", "postgresql+psycopg://host/db"])
def test_another_place_is_refused_at_the_start_without_its_password(url: str) -> None:
    with pytest.raises(ValidationError, match="is a URL such as postgresql://user@host/database") as refused:
        Settings(features=url)
    assert "hunter2" not in str(refused.value)


def test_a_url_that_cannot_be_read_is_refused_without_its_password() -> None:
    with pytest.raises(FeaturesUnavailable, match="SERVING_FEATURES is no URL") as refused:
        feature_source(Settings(features="postgresql://u:hunter2@host/db?no_such_option=1"))
    assert refused.value.__suppress_context__, "the driver's own words hold the URL"
    assert "hunter2" not in f"{refused.value} {Settings(features='postgresql://u:hunter2@host/db')}"
