"""What the tests of the service start from."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar.testing import TestClient

from serving import rate
from serving.app import create_app
from serving.door import Door
from serving.settings import Settings
from tests.unit.serving.bundles import publish


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    """An empty folder of releases."""
    folder = tmp_path / "releases"
    folder.mkdir()
    return folder


@pytest.fixture
def settings(releases: Path, tmp_path: Path) -> Settings:
    """Settings of a service on that folder."""
    return Settings(releases=releases, state=tmp_path / "serving", poll_seconds=0.02, allowed_hosts=("*",))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time by which callers are slowed down, which stands still until a test moves it."""
    now = [100.0]
    monkeypatch.setattr(rate, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def client(releases: Path, settings: Settings) -> Iterator[TestClient[Door]]:
    """A service that serves version 1."""
    publish(releases, 1)
    with TestClient(create_app(settings)) as client:
        yield client


@pytest.fixture
def empty_client(settings: Settings) -> Iterator[TestClient[Door]]:
    """A service before the first promotion."""
    with TestClient(create_app(settings)) as client:
        yield client
