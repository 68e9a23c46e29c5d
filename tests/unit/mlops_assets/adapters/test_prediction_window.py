from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from msgspec.structs import replace

from mlops_assets.adapters.landing.folder import FolderLanding
from mlops_assets.adapters.landing.landed_window import SourceDown
from mlops_assets.adapters.prediction_log import LOCK, GatheredLog
from mlops_assets.adapters.prediction_window import LoggedWindow, land_period
from mlops_assets.adapters.window_records import DataWindow
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.log_period import Period
from mlops_assets.domain.prediction_log import HASH_ALONE, LogUnfit, NothingAnswered
from mlops_assets.domain.windows import WindowNameInvalid, WindowUnfit
from serving.log_segments import PROBE, LabelRecord, PredictionRecord
from tests.unit.mlops_assets.log_segments import DAY, FEATURES, answer, label, seal
from tests.unit.mlops_assets.small_windows import small_dataset

NOW = datetime(2024, 3, 9, tzinfo=UTC)
PERIOD = Period(DAY, DAY + timedelta(days=1))


class Log:
    """A log that takes records, and a folder where its windows land."""

    def __init__(self, folder: Path, dataset: Dataset) -> None:
        self.log = GatheredLog(folder / "log", folder / "gathered")
        self.landing = FolderLanding(folder / "landing", dataset)
        self.landing.folder.mkdir()
        self.windows = WindowStore(folder / "windows", dataset)
        self.segments = 0

    def write(self, *records: PredictionRecord | LabelRecord, began: datetime = DAY) -> None:
        """One more segment, gathered."""
        self.segments += 1
        seal(self.log.log, records, number=self.segments, began=began)
        self.log.gather(now=NOW)

    def land(self, period: Period = PERIOD, *, window: str | None = None, replace: bool = False) -> LoggedWindow:
        """Makes the period's window."""
        return land_period(self.log, self.landing, period, window=window, replace=replace)

    def rows(self, window: str = "2024-03-05") -> pd.DataFrame:
        """What has landed under a name, as it stands in the file."""
        frame: pd.DataFrame = duckdb.read_parquet(str(self.landing.folder / f"{window}.parquet")).df()
        return frame

    def take(self, window: str = "2024-03-05") -> DataWindow:
        """Takes the window up, as the graph does."""
        with self.landing.fetch(window) as landed:
            intake, stored = self.windows.take(landed)
        assert stored is not None, intake.fault
        return stored


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """An empty log of the small contract."""
    return Log(tmp_path, small_dataset(limits={"min_rows": 1}))


def test_what_was_answered_in_a_period_lands_with_its_labels(log: Log) -> None:
    """Prevents rows of the day before, or after, from getting into the window."""
    log.write(
        answer("before", at="2024-03-04T23:59:59.999999Z"),
        answer("first", at="2024-03-05T00:00:00.000000Z"),
        answer("last", at="2024-03-05T23:59:59.999999Z"),
        answer("after", at="2024-03-06T00:00:00.000000Z"),
    )
    log.write(label("last", True), label("first", False), label("before", True), began=DAY + timedelta(days=3))
    made = log.land()
    assert (made.window, made.is_new, made.rows, made.written, made.labelled) == ("2024-03-05", True, 2, 2, 2)
    assert log.rows()[["case_id", "customer", "late"]].to_dict("list") == {
        "case_id": ["first", "last"],
        "customer": ["customer of first", "customer of last"],
        "late": [False, True],
    }
    stored = log.take()
    assert (stored.counts.clean, stored.counts.labelled, stored.counts.by_reason) == (2, 2, {})


def test_a_row_that_was_written_after_midnight_is_of_the_day_on_which_it_was_answered(log: Log) -> None:
    """Prevents the loss of rows whose segment was opened when the day was over."""
    log.write(answer("late", at="2024-03-05T23:59:59.000000Z"), began=DAY + timedelta(days=1, seconds=2))
    assert log.land().written == 1


def test_of_several_answers_to_one_id_the_first_is_the_row_and_the_last_label_holds(log: Log) -> None:
    """Prevents a client that tries again from having its rows set aside, and a corrected label from being lost."""
    log.write(
        answer("a", at="2024-03-05T12:00:00.000002Z", features={**FEATURES, "amount": 2}),
        answer("a", at="2024-03-05T12:00:00.000001Z", features={**FEATURES, "amount": 1}),
        label("a", False, at="2024-03-06T00:00:00.000000Z"),
        label("a", True, at="2024-03-06T00:00:00.000001Z"),
        label("a", False, at="2024-03-05T13:00:00.000000Z"),
    )
    log.write(answer("b"), label("b", False, at="2024-03-06T08:00:00Z"), label("b", True, at="2024-03-06T08:00:00Z"))
    made = log.land()
    assert (made.rows, made.written, made.left_out) == (3, 2, {"case_id: answered before": 1})
    assert log.rows()[["case_id", "amount", "late"]].values.tolist() == [["b", 1.5, True], ["a", 1.0, True]]


def test_what_a_check_asked_is_no_row(log: Log) -> None:
    """Prevents that a model learns from the cases by which its service is checked, or loses a client's row to them."""
    check = replace(answer("a", at="2024-03-05T10:00:00.000000Z", features={**FEATURES, "amount": 7}), request_id=PROBE)
    log.write(check, answer("a", at="2024-03-05T12:00:00.000000Z"))
    made = log.land()
    assert (made.rows, made.written) == (1, 1)
    assert log.rows()["amount"].tolist() == [FEATURES["amount"]]
    log.write(replace(answer("b", at="2024-03-04T10:00:00.000000Z"), request_id=f"{PROBE}0a1"))
    with pytest.raises(NothingAnswered):
        log.land(Period(DAY - timedelta(days=1), DAY))


def test_rows_in_are_rows_written_and_rows_left_out(log: Log) -> None:
    """Prevents rows that vanish without a word."""
    log.write(answer("good"), answer("nobody", context={}), answer("hashed", features=None), answer("none", context={}))
    made = log.land()
    assert (made.rows, made.written, made.labelled) == (4, 1, 0)
    assert made.left_out == {"customer: missing": 2, HASH_ALONE: 1}


def test_the_same_log_gives_the_same_bytes_and_lands_once(log: Log) -> None:
    """Prevents a training for nothing, and a schedule that fails where its run is tried again."""
    for part in range(3):
        log.write(*(answer(f"{part}-{row}") for row in range(3000)))
    assert log.land().is_new
    before = (log.landing.folder / "2024-03-05.parquet").stat().st_mtime_ns
    assert not log.land().is_new
    assert not log.land(replace=True).is_new
    assert (log.landing.folder / "2024-03-05.parquet").stat().st_mtime_ns == before


def test_labels_that_come_late_are_in_the_window_that_is_made_anew(log: Log) -> None:
    """Prevents a window that waits for its labels for ever; nothing is replaced that nobody asked to."""
    log.write(answer("a"), answer("b"))
    log.land()
    first = log.take()
    log.write(label("a", True), began=DAY + timedelta(days=2))
    with pytest.raises(WindowUnfit, match=r"has landed already .* `--replace`"):
        log.land()
    made = log.land(replace=True)
    assert (made.is_new, made.labelled) == (True, 1)
    second = log.take()
    assert (first.counts.labelled, second.counts.labelled) == (0, 1)
    assert first.data_version != second.data_version


def test_a_period_without_answers_is_no_window(log: Log) -> None:
    """Prevents an empty window in quarantine after each quiet day."""
    for _ in range(2):
        with pytest.raises(NothingAnswered, match=r"no row that was answered from 2024-03-05T00:00:00\+00:00 until"):
            log.land()
        log.write(answer("a", at="2024-03-07T12:00:00Z"), label("b", True))
    assert list(log.landing.folder.iterdir()) == []


def test_hashes_alone_are_no_window_and_that_is_told(log: Log) -> None:
    """Prevents a search for what cannot be found."""
    log.write(answer("a", features=None))
    with pytest.raises(LogUnfit, match=r"window 2024-03-05: features: kept as a hash alone \(1\); what a model saw"):
        log.land()
    assert list(log.landing.folder.iterdir()) == []
    assert [path.name for path in log.log.folder.glob(".*")] == [LOCK]


def test_a_name_that_sorts_before_another_window_is_told(log: Log) -> None:
    """Prevents a newest window that the loop takes for a late one."""
    log.write(answer("a"))
    log.land(window="w_2")
    assert log.land().later == ["w_2"]
    with pytest.raises(WindowNameInvalid, match="cannot name a window"):
        log.land(window="../w")


def test_rows_that_are_still_being_written_are_told(log: Log) -> None:
    """Prevents a window that is taken for whole while the service holds rows of it."""
    log.write(answer("a"))
    (log.log.log / "20240305T235959000000Z-0123456789abcdef-7.open").touch()
    (log.log.log / "20240306T000000000000Z-0123456789abcdef-8.open").touch()
    assert log.land().open_segments == 1


def test_a_landing_folder_that_is_not_there_is_not_made(log: Log) -> None:
    """Prevents a window on the disk below a mount that is missing."""
    log.write(answer("a"))
    log.landing.folder.rmdir()
    with pytest.raises(SourceDown, match="is not there"):
        log.land()
    assert not log.landing.folder.exists()


@pytest.mark.parametrize("key", ["case_id", "customer", "account"])
def test_a_window_of_several_tables_has_all_in_the_first(tmp_path: Path, key: str) -> None:
    """Prevents answered traffic from being of no use where windows land as tables."""
    source = {"tables": ["rows", "profiles"], "key": key, "labels": "truth"}
    log = Log(tmp_path, small_dataset(source=source, limits={"min_rows": 1}))
    log.write(answer("a"), answer("b"), answer("c", context={"customer": "customer of a"}), label("a", True))
    assert log.land().is_new
    assert not log.land().is_new
    stored = log.take()
    assert (stored.counts.clean, stored.counts.labelled, stored.counts.by_reason) == (3, 1, {})
    assert (stored.absent, stored.unmatched) == ({}, {})
    log.write(label("b", True), began=DAY + timedelta(days=1))
    assert log.land(replace=True).labelled == log.take().counts.labelled == 2
