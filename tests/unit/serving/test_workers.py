"""Prevents that a worker which serves another release, or none, is not seen."""

import os
import time
from pathlib import Path

import pytest

from serving.settings import Settings
from serving.slot import load
from serving.state import Serving
from serving.workers import SILENT_SECONDS, Workers
from tests.unit.serving.bundles import promote, write_bundle


@pytest.fixture
def serving(releases: Path) -> Serving:
    """Of a worker that serves version 1, epoch 7."""
    write_bundle(releases, 1)
    return Serving(load(releases, promote(releases, 1, epoch=7)))


def test_each_worker_is_told_of_by_all(settings: Settings, serving: Serving) -> None:
    """Prevents that `/model` speaks of the worker alone that happens to answer."""
    first, second = Workers(settings, serving, "a"), Workers(settings, Serving(), "b")
    second.tell()
    assert [(one.worker, one.epoch) for one in first.living()] == [("a", 7), ("b", None)]
    assert [one.worker for one in second.living()] == ["a", "b"]
    assert {one.pid for one in first.living()} == {os.getpid()}


def test_a_worker_that_says_nothing_is_gone(settings: Settings, serving: Serving) -> None:
    """Prevents that a killed worker counts for ever, with the epoch of its death."""
    gone, lives = Workers(settings, Serving(), "a"), Workers(settings, serving, "b")
    gone.tell()
    long_ago = time.time() - SILENT_SECONDS - 1
    os.utime(settings.workers_folder / "a.json", (long_ago, long_ago))
    assert [one.worker for one in lives.living()] == ["b"]
    assert [path.name for path in settings.workers_folder.iterdir()] == ["b.json"]


def test_a_swap_and_a_file_that_was_removed_are_told(settings: Settings, serving: Serving, releases: Path) -> None:
    """Prevents that what a worker said first stands for ever."""
    workers = Workers(settings, serving, "a")
    workers.tell()
    serving.slot = load(releases, promote(releases, 1, epoch=8))
    assert [one.epoch for one in workers.living()] == [8]
    (settings.workers_folder / "a.json").unlink()
    assert [one.epoch for one in workers.living()] == [8]


def test_a_folder_that_cannot_be_written_ends_nothing(settings: Settings, serving: Serving, tmp_path: Path) -> None:
    """Prevents that a full disk takes `/model` away."""
    (tmp_path / "file").write_text("in the way")
    workers = Workers(settings.model_copy(update={"state": tmp_path / "file"}), serving, "a")
    assert [(one.worker, one.epoch) for one in workers.living()] == [("a", 7)]
