import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.adapters.gathered_segment import LABELS, PREDICTIONS
from mlops_assets.adapters.prediction_log import BROKEN, GatheredLog, LogUnreadable
from serving.log_segments import demand_whole, sealed
from serving.prediction_log import PredictionLog
from tests.unit.mlops_assets.log_segments import DAY, answer, label, lines_of, seal

NOW = datetime(2024, 3, 7, tzinfo=UTC)


@pytest.fixture
def log(tmp_path: Path) -> GatheredLog:
    """An empty log."""
    return GatheredLog(tmp_path / "log", tmp_path / "gathered")


def ids_of(log: GatheredLog, name: str = PREDICTIONS) -> list[str]:
    """The ids of all that was gathered, each as often as it is there."""
    files = [str(folder / name) for folder in log.gathered()]
    return sorted(row[0] for row in duckdb.read_parquet(files).fetchall()) if files else []


def test_sealed_segments_become_parquet_and_go(log: GatheredLog) -> None:
    """Prevents rows that are counted twice: what is Parquet is no segment any more."""
    seal(log.log, [answer("a"), label("a", True)], number=1)
    seal(log.log, [answer("b")], number=2)
    (log.log / "20240305T000000000000Z-0123456789abcdef-3.open").write_bytes(b'{"kind": "predic')
    gathered = log.gather(now=NOW)
    assert (len(gathered.segments), gathered.predictions, gathered.labels, gathered.set_aside) == (2, 2, 1, {})
    assert (gathered.first, gathered.last) == (
        datetime(2024, 3, 5, 12, tzinfo=UTC),
        datetime(2024, 3, 6, 8, tzinfo=UTC),
    )
    assert ids_of(log) == ["a", "b"]
    assert ids_of(log, LABELS) == ["a"]
    assert [path.suffix for path in log.log.iterdir()] == [".open"], "what is being written is the service's"
    assert log.gather(now=NOW).predictions == 0
    assert ids_of(log) == ["a", "b"]
    assert log.open_before(DAY) == 0
    assert log.open_before(DAY + timedelta(seconds=1)) == 1


def test_several_services_may_write_one_log(log: GatheredLog) -> None:
    """Prevents rows that are lost or doubled where replicas share a volume, and one of them is gone for good."""
    first, second, gone = (
        PredictionLog(log.log, sync_seconds=60, seal_seconds=60, segment_bytes=2**20) for _ in range(3)
    )
    gone.append(lines_of([answer("left")]))
    (left,) = log.log.iterdir()
    for number in range(3):
        first.append(lines_of([answer(f"first {number}")]))
        second.append(lines_of([answer(f"second {number}")]))
        first.seal()
    content = left.read_bytes()
    gone.seal()  # else its process would have to end for the kernel to free its lock
    (segment,) = [path for path in sealed(log.log) if path.name.startswith(left.stem)]
    segment.unlink()
    left.write_bytes(content)
    first.look_for_abandoned()
    log.gather(now=NOW)
    assert ids_of(log) == ["first 0", "first 1", "first 2", "left"]
    second.seal()
    log.gather(now=NOW)
    assert ids_of(log) == ["first 0", "first 1", "first 2", "left", "second 0", "second 1", "second 2"]


def test_no_log_is_an_empty_one(log: GatheredLog) -> None:
    """Prevents a loop whose service never answered from failing."""
    assert log.gather(now=NOW).segments == []
    assert (log.broken(), log.gathered(), log.open_before(NOW)) == ({}, [], 0)


def test_a_segment_that_is_not_what_its_name_says_is_set_aside_and_the_others_go_on(log: GatheredLog) -> None:
    """Prevents one flipped bit from holding up the log, and from getting into a window."""
    flipped = seal(log.log, [answer("a")], number=1)
    flipped.write_bytes(flipped.read_bytes().replace(b"0.25", b"0.75"))
    torn = seal(log.log, number=2, content=lines_of([answer("b")])[:-20])
    seal(log.log, [answer("c")], number=3)
    gathered = log.gather(now=NOW)
    assert ids_of(log) == ["c"]
    assert "its sha256 is" in gathered.set_aside[flipped.name]
    assert "line 1 is no record" in gathered.set_aside[torn.name]
    assert log.broken() == gathered.set_aside
    assert (log.log / BROKEN / flipped.name).read_bytes().count(b"0.75") == 1, "nothing is deleted"
    assert log.gather(now=NOW).set_aside == {}, "once is enough"
    shutil.copy(log.log / BROKEN / torn.name, torn)
    log.gather(now=NOW)
    assert len(log.broken()) == 3, "put back as it was it is set aside beside the first, and not over it"


def test_a_link_is_not_followed(log: GatheredLog, tmp_path: Path) -> None:
    """Prevents a file elsewhere from being read, and deleted, for a segment."""
    elsewhere = seal(tmp_path / "elsewhere", [answer("a")])
    log.log.mkdir()
    (log.log / elsewhere.name).symlink_to(elsewhere)
    assert "not a regular file" in log.gather(now=NOW).set_aside[elsewhere.name]
    assert elsewhere.exists()


def test_what_the_machine_cannot_read_waits_and_the_others_go_on(
    log: GatheredLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prevents a full disk or a closed file from being taken for a broken segment."""
    closed = seal(log.log, [answer("a")], number=1)
    seal(log.log, [answer("b")], number=2)

    def refused(segment: Path) -> None:
        if segment == closed:
            raise PermissionError(13, "Permission denied")
        demand_whole(segment)

    monkeypatch.setattr("mlops_assets.adapters.prediction_log.demand_whole", refused)
    with pytest.raises(
        LogUnreadable, match=r"1 segments of .* cannot be gathered, and wait there: .*Permission denied"
    ):
        log.gather(now=NOW)
    assert ids_of(log) == ["b"]
    monkeypatch.undo()
    log.gather(now=NOW)
    assert (ids_of(log), log.broken()) == (["a", "b"], {})


def test_what_is_older_than_is_to_be_kept_is_removed(log: GatheredLog) -> None:
    """Prevents a disk that fills for ever; what has a newer label stays, for a window may need it."""
    seal(log.log, [answer("old")], number=1)
    seal(log.log, [answer("labelled"), label("labelled", True)], number=2)
    seal(log.log, number=3)
    log.gather(now=NOW + timedelta(days=1000))
    assert ids_of(log) == ["labelled", "old"], "all is kept where no days are given"
    keeping = GatheredLog(log.log, log.folder, keep_days=2)
    assert keeping.gather(now=datetime(2024, 3, 7, 13, tzinfo=UTC)).removed == 2
    assert ids_of(log) == ["labelled"]
    assert keeping.gather(now=datetime(2024, 3, 8, 8, tzinfo=UTC)).removed == 1
    assert log.gathered() == []


class Killed(BaseException):
    """As a process that is gone: nothing that it would still have done is done."""


class Dying:
    """Kills the process at its nth step that others can see."""

    def __init__(self, patch: pytest.MonkeyPatch, step: int) -> None:
        self.left = step
        for owner, name in (
            (Path, "mkdir"),
            (Path, "rename"),
            (Path, "replace"),
            (Path, "unlink"),
        ):
            patch.setattr(owner, name, self._counted(getattr(owner, name)))
        for name in ("os.fsync", "shutil.rmtree", "mlops_assets.adapters.prediction_log.write_rows"):
            patch.setattr(name, self._counted(_named(name)))

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **named: Any) -> Any:  # noqa: ANN401
            if self.left <= 0:
                raise Killed
            self.left -= 1
            return call(*args, **named)

        return step


def _named(name: str) -> Callable[..., Any]:
    module, _, attribute = name.rpartition(".")
    found: Callable[..., Any] = getattr(__import__(module, fromlist=[attribute]), attribute)
    return found


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("seal"), st.integers(0, 3)),
        st.tuples(st.just("seal broken"), st.just(0)),
        st.tuples(st.just("gather"), st.just(0)),
        st.tuples(st.just("killed"), st.integers(0, 30)),
    ),
    max_size=12,
)


@given(ACTIONS)
@settings(max_examples=150, deadline=None)
def test_any_order_of_segments_gatherings_and_deaths_loses_no_record_and_doubles_none(
    actions: list[tuple[str, int]],
) -> None:
    """Prevents a log that depends on when a process died."""
    with TemporaryDirectory() as folder:
        log = GatheredLog(Path(folder) / "log", Path(folder) / "gathered")
        written: list[str] = []
        broken = 0
        for number, (action, count) in enumerate(actions):
            if action == "seal":
                ids = [f"{number}-{row}" for row in range(count)]
                written += ids
                seal(log.log, [record for id_ in ids for record in (answer(id_), label(id_, True))], number=number)
            elif action == "seal broken":
                broken += 1
                seal(log.log, number=number, content=lines_of([answer(f"{number}")]) + b"{")
            elif action == "gather":
                log.gather(now=NOW)
            else:
                with pytest.MonkeyPatch.context() as patch:
                    Dying(patch, count)
                    with suppress(Killed):
                        log.gather(now=NOW)
            assert max(Counter(ids_of(log)).values(), default=1) == 1, "never is one there twice"
        log.gather(now=NOW)
        assert ids_of(log) == ids_of(log, LABELS) == sorted(written)
        assert len(log.broken()) == broken
        assert sealed(log.log) == []
        assert [path.name for path in log.folder.glob(".*")] == [".lock"], "nothing half done stays"


def test_who_reads_what_is_gathered_is_waited_for(log: GatheredLog) -> None:
    """Prevents a gathering in the loop from clearing away what a command is working on."""
    seal(log.log, [answer("a")])
    other = Thread(target=log.gather, kwargs={"now": NOW})
    with log.held():
        other.start()
        other.join(timeout=0.3)
        assert (other.is_alive(), ids_of(log)) == (True, [])
    other.join(timeout=10)
    assert ids_of(log) == ["a"]
