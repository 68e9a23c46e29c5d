"""Prevents that an answered row is lost, doubled or torn, whatever happens to the process or the disk."""

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest

from serving import prediction_log
from serving.log_segments import OPEN, sealed
from serving.prediction_log import CannotRecord, PredictionLog
from serving.schemas import LogState
from tests.unit.serving.logs import content_of, log_in


def _fails(log: PredictionLog) -> bool:
    return log.failure is not None


def test_lines_are_with_the_kernel_at_once_and_sealed_at_the_end(tmp_path: Path) -> None:
    """Prevents that a killed process takes answered rows with it."""
    log = log_in(tmp_path)
    log.append(b"one\n")
    log.append(b"two\nthree\n")
    (open_segment,) = tmp_path.glob(f"*{OPEN}")
    assert open_segment.read_bytes() == b"one\ntwo\nthree\n"
    assert sealed(tmp_path) == []
    log.seal()
    assert not open_segment.exists()
    assert content_of(tmp_path) == b"one\ntwo\nthree\n"


def test_an_empty_log_leaves_no_segment(tmp_path: Path) -> None:
    """Prevents a file a minute where nobody asks."""
    log = log_in(tmp_path)
    log.seal()
    log.look()
    assert list(tmp_path.iterdir()) == []


def test_a_segment_is_sealed_when_it_is_old_or_large(tmp_path: Path) -> None:
    """Prevents that rows wait for ever for the graph."""
    old, large = log_in(tmp_path / "old", seal=0), log_in(tmp_path / "large", size=8)
    for log in (old, large):
        log.append(b"12345678\n")
        log.look()
        log.append(b"9\n")
    assert content_of(tmp_path / "old") == b"12345678\n"
    assert content_of(tmp_path / "large") == b"12345678\n"
    large.look()
    assert len(sealed(tmp_path / "large")) == 1


def test_nothing_of_a_write_that_fails_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents half a line before the next row, on a disk that fills up in the middle of it."""
    log = log_in(tmp_path)
    log.append(b"before\n")
    write = os.pwrite

    def filling(descriptor: int, data: bytes, offset: int) -> int:
        if len(data) <= 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[:-5], offset)

    monkeypatch.setattr(os, "pwrite", filling)
    with pytest.raises(CannotRecord, match="No space left"):
        log.append(b"1\n2\n3456789\n")
    (left,) = tmp_path.glob(f"*{OPEN}")
    assert left.read_bytes() == b"before\n"  # as it is found where the process is killed now
    log.look()
    assert _fails(log)
    monkeypatch.undo()
    log.look()
    assert not _fails(log)
    log.append(b"after\n")
    log.seal()
    assert content_of(tmp_path) == b"before\nafter\n"


def test_a_log_that_could_never_be_opened_recovers_by_itself(tmp_path: Path) -> None:
    """Prevents that a folder which appears late needs a restart."""
    folder = tmp_path / "file" / "log"
    (tmp_path / "file").write_text("in the way")
    log = log_in(folder)
    with pytest.raises(CannotRecord):
        log.append(b"lost\n")
    log.look()
    assert _fails(log)
    (tmp_path / "file").unlink()
    log.look()
    assert not _fails(log)
    log.append(b"kept\n")
    log.seal()
    assert content_of(folder) == b"kept\n"


def test_rows_of_several_threads_are_all_there_and_whole(tmp_path: Path) -> None:
    """Prevents that a large request in a thread writes into the line of a small one."""
    log = log_in(tmp_path, size=500)

    def write(name: str) -> Callable[[], None]:
        def writing() -> None:
            for number in range(200):
                log.append(f"{name}{number:04}\n".encode() * 3)
                log.look()

        return writing

    threads = [Thread(target=write(name)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.seal()
    lines = content_of(tmp_path).splitlines()
    assert sorted(lines) == sorted(
        f"{name}{number:04}".encode() for name in "abcd" for number in range(200) for _ in "123"
    )
    assert len(sealed(tmp_path)) > 1


def test_a_segment_that_cannot_be_sealed_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents that one failure of the disk keeps a segment's rows from the graph until a restart."""
    log = log_in(tmp_path)
    log.append(b"one\n")

    def failing(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    log.seal()
    assert _fails(log)
    log.append(b"two\n")
    monkeypatch.undo()
    log.look()
    assert content_of(tmp_path) == b"one\n"
    log.seal()
    assert content_of(tmp_path) == b"one\ntwo\n"


def test_a_sync_waits_for_a_seal_that_is_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents that a row counts as on the disk because its segment is just being closed."""
    log = log_in(tmp_path, sync=0)
    segment = log.append(b"one\n")
    sealing, go = Event(), Event()
    sync = os.fsync

    def slow(descriptor: int) -> None:
        sealing.set()
        go.wait(5)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    seal = Thread(target=log.seal)
    seal.start()
    sealing.wait(5)
    synced = Thread(target=log.sync, args=(segment,))
    synced.start()
    synced.join(0.1)
    assert synced.is_alive()
    go.set()
    synced.join(5)
    seal.join()
    assert content_of(tmp_path) == b"one\n"


def test_a_sync_that_fails_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents that an answer leaves before its row is on the disk, where that was asked for."""
    log = log_in(tmp_path, sync=0)
    segment = log.append(b"one\n")

    def failing(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", failing)
    with pytest.raises(CannotRecord, match="Input/output error"):
        log.sync(segment)
    assert _fails(log)


def test_it_syncs_at_the_interval_and_seals_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents that a machine which loses power loses hours."""
    synced: list[int] = []
    sync = os.fdatasync

    def counting(descriptor: int) -> None:
        synced.append(descriptor)
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", counting)
    monkeypatch.setattr(prediction_log, "TICK_SECONDS", 0.01)

    async def live() -> None:
        log = log_in(tmp_path, sync=0.02)
        async with log.lifespan(None):
            log.append(b"one\n")
            await asyncio.sleep(0.3)
            assert len(synced) >= 2

    asyncio.run(live())
    assert content_of(tmp_path) == b"one\n"


def test_what_another_service_left_is_sealed_while_this_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prevents that answers wait for ever in a log that services share: one that died may not come again."""
    monkeypatch.setattr(prediction_log, "ABANDONED_SECONDS", 0.01)

    async def live() -> None:
        log = log_in(tmp_path)
        async with log.lifespan(None):
            log.append(b"mine\n")
            (tmp_path / f"20260102T030405000006Z-0123456789abcdef-1{OPEN}").write_bytes(b"left\ntorn")
            async with asyncio.timeout(10):
                while not sealed(tmp_path):
                    await asyncio.sleep(0.01)
            assert content_of(tmp_path) == b"left\n", "and what is being written stays open"

    asyncio.run(live())
    assert content_of(tmp_path) == b"left\nmine\n"


def test_how_far_the_disk_is_behind_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents that a disk which takes nothing any more is found by the power cut that loses the rows."""
    log = log_in(tmp_path, sync=1e-9)
    assert log.state() == LogState()
    log.append(b"one\n")
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", _no_disk)
        log.look()
        log.look()
    waiting = log.state()
    assert waiting.unsynced_since is not None
    assert waiting.unsealed_since is not None
    log.append(b"two\n")
    assert log.state().unsealed_since == waiting.unsealed_since, "the oldest record's, not the newest's"
    log.look()
    log.look()
    assert log.state().unsynced_since is None
    log.seal()
    assert log.state() == LogState()


def test_a_log_that_cannot_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_in(tmp_path)
    monkeypatch.setattr(os, "pwrite", _no_disk)
    with pytest.raises(CannotRecord):
        log.append(b"one\n")
    assert log.state() == LogState(can_record=False)


def _no_disk(*_: object) -> int:
    raise OSError(errno.EIO, "no disk")
