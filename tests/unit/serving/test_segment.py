"""Prevents that what a dead writer left is lost or spoilt, and that a living one is taken for dead."""

from pathlib import Path
from threading import Event, Thread

import pytest
from hypothesis import given, settings, strategies

from serving.log_segments import OPEN
from serving.segment import seal_abandoned
from tests.unit.serving.logs import content_of, log_in


@settings(max_examples=60, deadline=None)
@given(
    whole=strategies.lists(strategies.binary(max_size=9).map(bytes.hex), max_size=4), torn=strategies.integers(0, 20)
)
def test_what_a_dead_writer_left_is_sealed_up_to_its_last_whole_line(
    tmp_path_factory: pytest.TempPathFactory, whole: list[str], torn: int
) -> None:
    """Prevents that a torn line spoils a segment, and that a whole one is cut off."""
    folder = tmp_path_factory.mktemp("log")
    lines = b"".join(f'"{line}"\n'.encode() for line in whole)
    left = folder / f"20260102T030405000006Z-0123456789abcdef-1{OPEN}"
    left.write_bytes(lines + b"x" * torn)
    assert seal_abandoned(folder) == torn
    assert not left.exists()
    assert content_of(folder) == lines


def test_the_segment_of_a_living_writer_is_left_alone(tmp_path: Path) -> None:
    """Prevents that one worker's start seals what another one is writing."""
    log = log_in(tmp_path)
    log.append(b"one\n")
    assert seal_abandoned(tmp_path) == 0
    log.append(b"two\n")
    log.seal()
    assert content_of(tmp_path) == b"one\ntwo\n"


def test_no_writer_is_taken_for_gone_while_it_opens_a_segment(tmp_path: Path) -> None:
    """Prevents that a worker which starts removes the segment that another one has just opened."""
    stop = Event()

    def start_again_and_again() -> None:
        while not stop.is_set():
            seal_abandoned(tmp_path)

    others = [Thread(target=start_again_and_again) for _ in range(2)]
    for other in others:
        other.start()
    log = log_in(tmp_path)
    try:
        for number in range(300):
            log.append(f"{number}\n".encode())
            log.seal()
    finally:
        stop.set()
        for other in others:
            other.join()
    assert log.failure is None
    assert sorted(map(int, content_of(tmp_path).split())) == list(range(300))
