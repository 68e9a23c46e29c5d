"""Prevents that a bad release ends the service, that a good one is missed, and that a refused one is retried idly."""

import os
from pathlib import Path

import pytest

from serving.feature_source import feature_source
from serving.metrics import Metrics
from serving.release import CASES, MODEL, POINTER, Case, Pointer
from serving.settings import Settings
from serving.slot import Slot, load
from serving.state import Serving
from serving.watcher import Watcher
from tests.unit.serving.bundles import ROW, change_byte, promote, publish, write_bundle


class Followed:
    """A watcher that looks when it is told, and what came of it."""

    def __init__(self, releases: Path, **changes: object) -> None:
        self.serving = Serving()
        self.metrics = Metrics()
        settings = Settings(releases=releases, state=releases / "state").model_copy(update=changes)
        self.watcher = Watcher(settings, self.serving, feature_source(settings), self.metrics)

    def look(self) -> tuple[int, int] | None:
        """Version and epoch that are served after a look."""
        self.watcher.look()
        slot = self.serving.slot
        return (slot.pointer.model_version, slot.pointer.epoch) if slot else None

    def count(self, name: str) -> float | None:
        """A metric's value."""
        return self.metrics.registry.get_sample_value(name)

    @property
    def reason(self) -> str | None:
        """Of the refusal that stands."""
        return self.serving.refused.reason if self.serving.refused else None


@pytest.fixture
def followed(releases: Path) -> Followed:
    """A watcher of an empty folder."""
    return Followed(releases)


def test_follows_promotions_roll_backs_and_new_epochs(releases: Path, followed: Followed) -> None:
    """Prevents that a roll back, or a new epoch of the same version, is missed."""
    assert followed.look() is None
    publish(releases, 1)
    assert followed.look() == (1, 1)
    publish(releases, 2)
    assert followed.look() == (2, 2)
    promote(releases, 1, epoch=3)
    assert followed.look() == (1, 3)
    promote(releases, 1, epoch=4)
    assert followed.look() == (1, 4)
    assert followed.count("serving_swaps_total") == 4


def test_the_slot_stays_while_nothing_changes(releases: Path, followed: Followed) -> None:
    """Prevents a load at every poll."""
    publish(releases, 1)
    followed.look()
    before = followed.serving.slot
    followed.look()
    assert followed.serving.slot is before


def test_a_corrupted_release_is_refused_and_the_old_one_kept(releases: Path, followed: Followed) -> None:
    """Prevents that changed bytes are served, or that they end the service."""
    publish(releases, 1)
    followed.look()
    bundle = write_bundle(releases, 2)
    pointer = promote(releases, 2, epoch=2)
    change_byte(bundle / MODEL)
    assert followed.look() == (1, 1)
    refused = followed.serving.refused
    assert refused is not None
    assert (refused.model_version, refused.epoch) == (pointer.model_version, pointer.epoch)
    assert "model.onnx: is" in refused.reason
    assert followed.count("serving_refused_releases_total") == 1


def test_a_release_that_answers_its_cases_otherwise_is_refused(releases: Path, followed: Followed) -> None:
    """Prevents a swap to a model that answers wrong."""
    publish(releases, 1)
    followed.look()
    write_bundle(releases, 2, cases=[Case(ROW, 0.123)])
    promote(releases, 2, epoch=2)
    assert followed.look() == (1, 1)
    assert "expected 0.123" in str(followed.reason)


@pytest.mark.parametrize("name", [MODEL, CASES])
def test_a_refused_release_is_tried_again_when_it_was_mended_and_not_before(
    releases: Path, followed: Followed, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Prevents idle loads of a bad bundle, and a restart to serve a mended one."""
    loads: list[int] = []

    def counting_load(releases: Path, pointer: Pointer, *, max_row_milliseconds: float) -> Slot:
        loads.append(pointer.model_version)
        return load(releases, pointer, max_row_milliseconds=max_row_milliseconds)

    monkeypatch.setattr("serving.watcher.load", counting_load)
    bundle = publish(releases, 1)
    whole = (bundle / name).read_bytes()
    (bundle / name).unlink()
    for _ in range(3):
        assert followed.look() is None
    assert loads == [1]
    (bundle / name).write_bytes(whole)
    assert followed.look() == (1, 1)
    assert followed.reason is None


def test_a_pointer_before_its_bundle_is_followed_when_the_bundle_comes(releases: Path, followed: Followed) -> None:
    """Prevents that files copied out of order strand the service."""
    bundle = publish(releases, 1)
    bundle.rename(releases / "aside")
    assert followed.look() is None
    assert "no such bundle" in str(followed.reason)
    (releases / "aside").rename(bundle)
    assert followed.look() == (1, 1)


def test_going_back_to_the_served_release_ends_a_refusal(releases: Path, followed: Followed) -> None:
    """Prevents that a settled refusal stays in /model."""
    publish(releases, 1)
    followed.look()
    change_byte(publish(releases, 2) / MODEL)
    followed.look()
    promote(releases, 1, epoch=3)
    assert followed.look() == (1, 3)
    assert followed.reason is None


def test_an_unreadable_pointer_keeps_what_is_served(releases: Path, followed: Followed) -> None:
    """Prevents that a damaged or lost pointer ends the service."""
    publish(releases, 1)
    followed.look()
    (releases / POINTER).write_bytes(b'{"model_ver')
    assert followed.look() == (1, 1)
    assert followed.serving.refused is not None
    assert followed.serving.refused.model_version is None
    (releases / POINTER).unlink()
    assert followed.look() == (1, 1)
    publish(releases, 2)
    assert followed.look() == (2, 2)


def test_a_folder_that_comes_later_is_followed(tmp_path: Path) -> None:
    """Prevents that the service must be started after the graph."""
    followed = Followed(tmp_path / "later" / "releases")
    assert followed.look() is None
    assert followed.reason is None
    publish(tmp_path / "later" / "releases", 1)
    assert followed.look() == (1, 1)


def test_a_failing_disk_is_asked_again_without_a_change_of_files_and_reported_once(
    releases: Path, followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prevents that a moment's EIO is for ever, and five log lines a second."""
    publish(releases, 1)

    def failing(_: Path) -> Pointer:
        raise OSError(5, os.strerror(5))

    with monkeypatch.context() as patch:
        patch.setattr("serving.watcher.read_pointer", failing)
        assert followed.look() is None
        assert followed.look() is None
        assert followed.count("serving_refused_releases_total") == 1
    assert followed.look() == (1, 1)


def test_an_unexpected_error_is_a_refusal_too(
    releases: Path, followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prevents that a bug in the loading ends the watching."""
    publish(releases, 1)
    followed.look()

    def failing(*_: object, **__: object) -> Slot:
        raise RuntimeError("surprise")

    monkeypatch.setattr("serving.watcher.load", failing)
    publish(releases, 2)
    assert followed.look() == (1, 1)
    assert followed.reason == "RuntimeError: surprise"
