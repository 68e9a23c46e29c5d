from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.adapters import window_store
from mlops_assets.adapters.landing.landed_window import LandedWindow, SourceDown
from mlops_assets.adapters.window_records import CURRENT, LATEST, DataWindow, RecordInvalid
from mlops_assets.adapters.window_sample import SAMPLE
from mlops_assets.adapters.window_store import CLEAN, QUARANTINED, RECORD, WindowStore
from mlops_assets.adapters.window_tables import read_tables
from mlops_assets.domain.dataset_tables import MAX_SAMPLE_ROWS
from mlops_assets.domain.windows import TRAIN, VALIDATION, WindowNameInvalid, split_of
from tests.unit.mlops_assets.landed_windows import WINDOW, landed_window, table_of, take, write
from tests.unit.mlops_assets.small_windows import land, land_small, small_contract, small_dataset, small_frame


def files_in(folder: Path) -> list[str]:
    """Every file below a folder, hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def unfit_frame(rows: int) -> pd.DataFrame:
    """Rows of which too many break the contract."""
    return small_frame(rows).assign(colour="violet")


# What is taken, and what is to be used.


def test_a_fit_window_is_stored_whole_and_is_the_one_to_use(store: WindowStore, landed: Path) -> None:
    """Nothing else is left behind: no spilled rows, no rewritten files."""
    intake, stored = store.take(landed_window(landed))
    assert stored is not None
    assert (intake.fault, intake.can_be_read, intake.replaces) == (None, True, None)
    assert (intake.data_version, intake.window) == (stored.data_version, WINDOW)
    assert store.current(WINDOW) == store.stored(WINDOW, stored.data_version) == stored
    assert store.latest(WINDOW) == intake
    version = f"{WINDOW}/{stored.data_version}"
    expected = [
        f"{WINDOW}/{CURRENT}",
        f"{WINDOW}/{LATEST}",
        *(f"{version}/{name}" for name in (CLEAN, QUARANTINED, RECORD)),
    ]
    assert files_in(store.folder) == sorted(expected)


@pytest.mark.parametrize(
    ("frame", "said"),
    [(unfit_frame(60), "60 of 60 rows break the contract"), (small_frame(9), "9 clean rows, the contract asks for 10")],
)
def test_a_window_beyond_the_limits_is_stored_and_not_used(
    store: WindowStore, tmp_path: Path, frame: pd.DataFrame, said: str
) -> None:
    """Its quarantine is there to be looked at, and nothing trains on the rest."""
    intake, stored = store.take(landed_window(land(tmp_path / "r.parquet", frame)))
    assert said in str(intake.fault)
    assert intake.can_be_read
    assert stored is not None
    assert len(table_of(store, stored, QUARANTINED)) == stored.counts.quarantined
    assert store.current(WINDOW) is None
    assert store.latest(WINDOW) == intake
    assert store.training_windows(WINDOW) == []


@pytest.mark.parametrize("content", [None, b"PAR1"])
def test_an_unfit_newer_version_leaves_the_current_one_in_use(
    store: WindowStore, landed: Path, tmp_path: Path, content: bytes | None
) -> None:
    """Be it that its rows break the contract or that it cannot be read: the older month goes on being trained on."""
    _, first = store.take(landed_window(landed))
    newer = land(tmp_path / "r.parquet", unfit_frame(60)) if content is None else write(tmp_path / "r.parquet", content)
    intake, _ = store.take(landed_window(newer))
    assert intake.fault is not None
    assert (store.current(WINDOW), store.latest(WINDOW)) == (first, intake)
    assert intake.replaces == (first and first.data_version)


def test_the_same_name_with_other_bytes_is_a_new_version_beside_the_old_one(store: WindowStore, landed: Path) -> None:
    """A production model's training rows must stay as they were, and the change must be seen."""
    _, first = store.take(landed_window(landed))
    assert first is not None
    path = store.folder / WINDOW / first.data_version / CLEAN
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    intake, second = store.take(landed_window(land_small(landed, 60, seed=1)))
    assert second is not None
    assert intake.replaces == first.data_version != second.data_version
    assert store.current(WINDOW) == second
    assert store.stored(WINDOW, first.data_version) == first
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_the_same_bytes_again_are_the_same_version_and_are_not_written_again(
    store: WindowStore, landed: Path, tmp_path: Path
) -> None:
    """Landing a file twice must not look like new data, whatever the file is called."""
    intake, first = store.take(landed_window(landed))
    paths = [store.folder / WINDOW / intake.data_version / name for name in (CLEAN, QUARANTINED, RECORD)]
    before = [(path.stat().st_mtime_ns, path.stat().st_ino) for path in paths]
    again = write(tmp_path / "again.parquet", landed.read_bytes())
    noticed, second = store.take(landed_window(again))
    assert second == first
    assert (noticed.fault, noticed.replaces) == (None, None)
    assert [(path.stat().st_mtime_ns, path.stat().st_ino) for path in paths] == before


def test_the_same_bytes_under_another_name_are_noticed(store: WindowStore, landed: Path) -> None:
    """A month that was copied would be trained on twice, and its drift would be none."""
    store.take(landed_window(landed))
    intake, stored = store.take(landed_window(landed, window="2013-02"))
    assert stored is None
    assert "holds the same bytes as the window 2013-01, which landed before" in str(intake.fault)
    assert "mlops window remove 2013-01" in str(intake.fault)
    assert store.current("2013-02") is None
    assert store.remove(WINDOW)
    intake, stored = store.take(landed_window(landed, window="2013-02"))
    assert intake.fault is None
    assert store.current("2013-02") == stored


def test_the_same_rows_with_other_labels_under_another_name_are_noticed_too(
    store: WindowStore, landed: Path, tmp_path: Path
) -> None:
    """The rows are what must not be used twice."""
    store.take(landed_window(landed))
    labels = write(tmp_path / "labels.csv", "case_id,late\nr000001,1\n")
    intake, _ = store.take(landed_window(landed, labels, window="2013-02"))
    assert "the same bytes as the window 2013-01" in str(intake.fault)


def test_bytes_that_were_unfit_as_one_window_may_land_as_another(store: WindowStore, tmp_path: Path) -> None:
    """What is not in use is nothing to be used twice."""
    path = land(tmp_path / "r.parquet", unfit_frame(60))
    store.take(landed_window(path))
    intake, _ = store.take(landed_window(path, window="2013-02"))
    assert "rows break the contract" in str(intake.fault)


def test_labels_that_come_later_are_a_new_version(store: WindowStore, tmp_path: Path) -> None:
    """The rows are the same, and what can be learnt from them is not."""
    path = land(tmp_path / "r.parquet", small_frame(20).drop(columns="late"))
    first, _ = store.take(landed_window(path))
    labels = write(tmp_path / "labels.csv", "case_id,late\nr000001,1\n")
    second, stored = store.take(landed_window(path, labels))
    assert second.replaces == first.data_version
    assert stored is not None
    assert stored.counts.labelled == 1
    assert store.current(WINDOW) == stored


def test_another_shape_of_the_contract_is_another_version_and_other_limits_are_not(
    landed: Path, tmp_path: Path
) -> None:
    """Evidence names versions: one that stands for two contents proves nothing, and two for one are no news."""
    features: dict[str, Any] = {**small_contract()["features"], "age": {"type": "float"}}  # type: ignore[dict-item]
    contracts = [small_dataset(), small_dataset(limits={"min_rows": 11}), small_dataset(features=features)]
    versions = [
        WindowStore(tmp_path / f"w{at}", of).take(landed_window(landed))[0].data_version
        for at, of in enumerate(contracts)
    ]
    assert versions[0] == versions[1] != versions[2]


# Whole or not at all.


def test_a_file_that_changes_while_it_is_read_is_no_window(
    store: WindowStore, landed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of the new bytes must not be kept under the old bytes' version, which may land again."""
    other = land_small(landed.with_name("other.parquet"), 60, seed=9).read_bytes()
    original, read = landed.read_bytes(), read_tables
    of = landed_window(landed)

    def overwritten_before_it_is_read(connection: Any, landed_: LandedWindow, *rest: Any) -> Any:  # noqa: ANN401
        landed.write_bytes(other)
        return read(connection, landed_, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(window_store, "read_tables", overwritten_before_it_is_read)
        with pytest.raises(SourceDown, match="was written to while it was read"):
            store.take(of)
    assert files_in(store.folder) == []
    landed.write_bytes(original)
    _, stored = store.take(landed_window(landed))
    assert stored is not None
    assert len(table_of(store, stored)) == stored.counts.clean == 120


@pytest.mark.parametrize("step", ["read_tables", "write_rows", "write_sample", "count_new_categories"])
@pytest.mark.parametrize("failure", [duckdb.IOException, KeyboardInterrupt])
def test_a_take_that_is_cut_off_leaves_nothing_and_changes_nothing(
    store: WindowStore,
    landed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    failure: type[BaseException],
) -> None:
    """A full disk or a stopped run is no fault of the window: it is taken up again."""
    intake, first = store.take(landed_window(landed))
    before = files_in(store.folder)

    def fail(*_: object, **__: object) -> None:
        raise failure("No space left on device")

    newer = land_small(tmp_path / "r.parquet", 60, seed=1)
    with monkeypatch.context() as patch:
        patch.setattr(window_store, step, fail)
        with pytest.raises(failure):
            store.take(landed_window(newer))
    assert files_in(store.folder) == before
    assert list(store.folder.rglob(".*")) == []
    assert (store.current(WINDOW), store.latest(WINDOW)) == (first, intake)
    assert store.take(landed_window(newer))[0].fault is None


@pytest.mark.parametrize("lost", [(CLEAN,), (QUARANTINED,), (RECORD,), (CLEAN, QUARANTINED, RECORD)])
def test_a_version_that_was_damaged_is_built_anew(store: WindowStore, landed: Path, lost: tuple[str, ...]) -> None:
    """Its name is the hash of what it holds: the same bytes make it whole again."""
    intake, first = store.take(landed_window(landed))
    assert first is not None
    folder = store.folder / WINDOW / intake.data_version
    expected, before = table_of(store, first), files_in(store.folder)
    for name in lost:
        (folder / name).unlink()
    _, again = store.take(landed_window(landed))
    assert again == first
    assert files_in(store.folder) == before
    pd.testing.assert_frame_equal(table_of(store, again), expected)


def test_a_removed_window_is_out_of_use_and_its_versions_stay(store: WindowStore, landed: Path) -> None:
    """A model that learnt from it must still be explained."""
    intake, stored = store.take(landed_window(landed))
    assert store.remove(WINDOW)
    assert (store.current(WINDOW), store.latest(WINDOW), store.windows()) == (None, None, [])
    assert store.stored(WINDOW, intake.data_version) == stored
    assert not store.remove(WINDOW)
    assert not store.remove("never-there")


# What a candidate learns from.


def take_months(store: WindowStore, folder: Path, *months: str, drop: str | None = None) -> None:
    """Fit windows, each of rows of its own."""
    for at, month in enumerate(months):
        frame = small_frame(30, seed=at, prefix=month)
        store.take(landed_window(land(folder / f"{month}.parquet", frame.drop(columns=drop or [])), window=month))


def test_a_candidate_learns_from_the_newest_current_windows_up_to_its_own(store: WindowStore, tmp_path: Path) -> None:
    """Neither later windows nor ones that were never fit."""
    take_months(store, tmp_path, "2013-04", "2013-01", "2013-03", "2013-02")
    store.take(landed_window(land(tmp_path / "b.parquet", unfit_frame(30)), window="2013-02b"))
    assert store.windows() == ["2013-01", "2013-02", "2013-02b", "2013-03", "2013-04"]
    assert [part.window for part in store.training_windows("2013-03")] == ["2013-02", "2013-03"]
    assert [part.window for part in store.training_windows("2013-01")] == ["2013-01"]
    assert store.training_windows("2012-12") == []


@pytest.mark.parametrize(("labelled", "used"), [(30, True), (27, True), (26, False), (0, False)])
def test_a_window_is_learnt_from_once_enough_of_its_labels_have_come(
    store: WindowStore, tmp_path: Path, labelled: int, used: bool
) -> None:
    """Early labels are seldom typical ones; the share is of the clean rows."""
    take_months(store, tmp_path, "2013-01")
    frame = small_frame(30, seed=9).astype({"late": object})
    frame.loc[labelled:, "late"] = None
    store.take(landed_window(land(tmp_path / "late.parquet", frame), window="2013-02"))
    assert [part.window for part in store.training_windows("2013-02")] == ["2013-01", *(["2013-02"] if used else [])]


def test_windows_of_another_shape_are_not_learnt_from(store: WindowStore, tmp_path: Path) -> None:
    """Their columns are others, or mean something else."""
    take_months(store, tmp_path, "2013-01", "2013-02")
    features: dict[str, Any] = {**small_contract()["features"]}  # type: ignore[dict-item]
    del features["age"]
    later = WindowStore(store.folder, small_dataset(features=features))
    take_months(later, tmp_path / "later", "2013-03", drop="age")
    assert [part.window for part in later.training_windows("2013-03")] == ["2013-03"]
    assert [part.window for part in store.training_windows("2013-03")] == ["2013-01", "2013-02"]


# Bounded frames.


def test_a_drawn_frame_holds_the_contracts_columns_and_types(store: WindowStore, landed: Path) -> None:
    """scikit-learn and Evidently get what the contract names, and nothing that leaks the split."""
    stored = take(store, landed)
    drawn = store.draw({WINDOW: stored.data_version}, split=None, max_rows=1000)
    assert list(drawn.columns) == ["case_id", "customer", "late", "amount", "visits", "age", "colour", "plan"]
    assert [str(drawn[name].dtype) for name in ("late", "amount", "visits", "age")] == ["bool", *["float32"] * 3]
    assert drawn["case_id"].is_monotonic_increasing
    assert drawn["age"].isna().sum() == small_frame(120)["age"].isna().sum() > 0
    assert drawn["plan"].isna().sum() == small_frame(120)["plan"].isna().sum() > 0


def test_a_draw_of_labelled_rows_leaves_the_others_out(store: WindowStore, tmp_path: Path) -> None:
    """Null is no `no`: a model would learn that what has not come yet never does."""
    frame = small_frame(30).astype({"late": object})
    frame.loc[::3, "late"] = None
    version = {WINDOW: take(store, land(tmp_path / "r.parquet", frame)).data_version}
    every = store.draw(version, split=None, max_rows=100)
    assert (len(every), every["late"].isna().sum()) == (30, 10)
    drawn = store.draw(version, split=None, max_rows=100, labelled=True)
    assert (len(drawn), str(drawn["late"].dtype)) == (20, "bool")
    assert drawn["late"].tolist() == frame["late"].dropna().tolist()


@settings(max_examples=6, deadline=None)
@given(rows=st.integers(1, 80), max_rows=st.integers(1, 100), seed=st.integers(0, 99))
def test_a_draw_is_bounded_and_the_same_every_time(rows: int, max_rows: int, seed: int) -> None:
    """A sample by chance, or by the order of a file, would make every report and model another."""
    frame = small_frame(rows)
    shuffled = frame.sample(frac=1, random_state=seed)
    draws = []
    with TemporaryDirectory() as name:
        for at, of in enumerate((frame, shuffled)):
            store = WindowStore(Path(name) / f"w{at}", small_dataset())
            version = {WINDOW: take(store, land(Path(name) / f"{at}.parquet", of)).data_version}
            draws += [store.draw(version, split=None, max_rows=max_rows) for _ in range(2)]
    assert len(draws[0]) == min(rows, max_rows)
    for drawn in draws[1:]:
        pd.testing.assert_frame_equal(drawn, draws[0])


@pytest.mark.parametrize("split", [TRAIN, VALIDATION])
def test_a_draw_never_mixes_the_sides(store: WindowStore, landed: Path, split: str) -> None:
    """Training rows among the validation rows flatter the model that saw them."""
    drawn = store.draw({WINDOW: take(store, landed).data_version}, split=split, max_rows=1000)
    assert len(drawn) > 0
    assert {split_of(key) for key in drawn["customer"]} == {split}


def test_a_larger_draw_holds_the_smaller_one(store: WindowStore, landed: Path) -> None:
    """The sample grows; it is not drawn anew."""
    version = {WINDOW: take(store, landed).data_version}
    small, large = (set(store.draw(version, split=None, max_rows=rows)["case_id"]) for rows in (10, 50))
    assert small < large
    assert len(large) == 50


def test_an_id_that_comes_back_each_month_does_not_leave_the_order_to_chance(tmp_path: Path) -> None:
    """Row ids are unique in a window, and often the customer's: the window must settle who comes first."""
    store = WindowStore(tmp_path / "windows", small_dataset(split_by="case_id", limits={"min_rows": 1}))
    rows = 3000
    versions = {}
    for month in range(1, 4):
        landed = land(tmp_path / f"{month}.parquet", small_frame(rows, seed=month))
        intake, _ = store.take(landed_window(landed, window=f"2013-{month:02d}"))
        versions[intake.window] = intake.data_version
    backwards = dict(reversed(versions.items()))
    for max_rows in (1000, 10_000):
        first = store.draw(versions, split=None, max_rows=max_rows)
        for other in (versions, backwards):
            pd.testing.assert_frame_equal(store.draw(other, split=None, max_rows=max_rows), first)
    amounts = np.concatenate([small_frame(rows, seed=month)["amount"].to_numpy("float32") for month in (1, 2, 3)])
    assert np.array_equal(first["amount"].to_numpy(), amounts.reshape(3, rows).T.ravel())


# Windows so large that they keep a sample.


@pytest.fixture(scope="module")
def large_landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A landed file of 120,000 rows; every other one has a label."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT 'r' || i AS case_id, 'c' || i // 3 AS customer, CASE WHEN i % 2 = 0 THEN i % 6 = 0 END AS late, "
            "i / 1000 AS amount, i % 20 AS visits, nullif(i % 90, 0) AS age, 'red' AS colour, NULL::VARCHAR AS plan "
            "FROM range(120_000) AS made(i)"
        ).df()
    return land(tmp_path_factory.mktemp("landing") / "2013-01.parquet", rows)


@pytest.fixture
def large(store: WindowStore, large_landed: Path) -> DataWindow:
    """That window as it is stored."""
    return take(store, large_landed)


@pytest.mark.parametrize("split", [None, TRAIN, VALIDATION])
def test_a_draw_from_a_large_window_reads_no_more_than_its_sample(
    store: WindowStore, large: DataWindow, split: str | None
) -> None:
    """Drift would else cost more with each row; and the rows must be those that all of them would give."""
    folder, version = store.folder / WINDOW / large.data_version, {WINDOW: large.data_version}
    (folder / CLEAN).rename(folder / "aside")
    drawn = [store.draw(version, split=split, max_rows=rows) for rows in (1000, MAX_SAMPLE_ROWS)]
    (folder / "aside").rename(folder / CLEAN)
    (folder / SAMPLE).unlink()
    for rows, frame in zip((1000, MAX_SAMPLE_ROWS), drawn, strict=True):
        pd.testing.assert_frame_equal(store.draw(version, split=split, max_rows=rows), frame)


@pytest.mark.parametrize(
    ("max_rows", "labelled", "rows"),
    [(MAX_SAMPLE_ROWS + 1, False, MAX_SAMPLE_ROWS + 1), (MAX_SAMPLE_ROWS, True, MAX_SAMPLE_ROWS)],
)
def test_a_draw_of_more_rows_or_of_labelled_ones_reads_them_all(
    store: WindowStore, large: DataWindow, max_rows: int, labelled: bool, rows: int
) -> None:
    """The sample may lack some of those; half of its rows have no label."""
    (store.folder / WINDOW / large.data_version / SAMPLE).write_bytes(b"not to be read")
    drawn = store.draw({WINDOW: large.data_version}, split=None, max_rows=max_rows, labelled=labelled)
    assert len(drawn) == rows


def test_a_version_without_its_sample_is_whole(store: WindowStore, large: DataWindow, large_landed: Path) -> None:
    """As those are that were stored before there were samples: their rows stay, and so does what was learnt of them."""
    clean = store.folder / WINDOW / large.data_version / CLEAN
    clean.with_name(SAMPLE).unlink()
    before = (files_in(store.folder), clean.stat().st_ino)
    assert take(store, large_landed) == large
    assert (files_in(store.folder), clean.stat().st_ino) == before


def test_the_preview_of_the_quarantine_is_short(store: WindowStore, tmp_path: Path) -> None:
    """It goes into the metadata of a run."""
    stored = take(store, land(tmp_path / "r.parquet", unfit_frame(60)))
    assert len(store.quarantined(stored, rows=5)) == 5


def test_stores_of_odd_names_are_stores_like_others(landed: Path, tmp_path: Path) -> None:
    """Folders are pasted into SQL, where a quote ends a text and a star names many files."""
    store = WindowStore(tmp_path / "o'neil [1]*" / "windows ?", small_dataset())
    stored = take(store, landed)
    assert len(store.draw({WINDOW: stored.data_version}, split=None, max_rows=1000)) == 120


@pytest.mark.parametrize("name", [LATEST, CURRENT])
def test_a_record_that_cannot_be_read_is_named_with_what_to_do(store: WindowStore, landed: Path, name: str) -> None:
    """Read as "not there" it would leave the window out of training, silently."""
    store.take(landed_window(landed))
    (store.folder / WINDOW / name).write_text('{"of": "another version"}')
    with pytest.raises(RecordInvalid, match=rf"{name} is damaged.*quarantine requeue {WINDOW}"):
        store.training_windows(WINDOW) if name == CURRENT else store.latest(WINDOW)


YEAR = tuple(f"2013-{month:02d}" for month in range(1, 13))


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Twelve small windows, one of them unfit."""
    folder = tmp_path_factory.mktemp("year")
    frames = {window: small_frame(20, seed=at, prefix=window) for at, window in enumerate(YEAR)}
    frames["2013-05"] = unfit_frame(20)
    return {window: land(folder / f"{window}.parquet", frame) for window, frame in frames.items()}


@settings(max_examples=5, deadline=None)
@given(arrival=st.permutations(YEAR))
def test_shuffled_arrival_of_twelve_windows_ends_in_the_same_store(year: dict[str, Path], arrival: list[str]) -> None:
    """What a model would learn from must not depend on which export was late."""
    with TemporaryDirectory() as folder:
        store = WindowStore(Path(folder), small_dataset(training={"train_windows": 3}))
        for window in arrival:
            store.take(landed_window(year[window], window=window))
        current = {window: store.current(window) for window in YEAR}
        assert {window for window, stored in current.items() if stored is None} == {"2013-05"}
        learned = {window: [part.window for part in store.training_windows(window)] for window in YEAR}
        assert learned["2013-12"] == ["2013-10", "2013-11", "2013-12"]
        assert learned["2013-06"] == ["2013-03", "2013-04", "2013-06"]
        state = {window: stored and (stored.data_version, stored.counts) for window, stored in current.items()}
        in_order = WindowStore(Path(folder) / "in order", store.dataset)
        for window in YEAR:
            in_order.take(landed_window(year[window], window=window))
        ordered = {window: in_order.current(window) for window in YEAR}
        assert state == {window: stored and (stored.data_version, stored.counts) for window, stored in ordered.items()}


def test_the_same_bytes_are_noticed_also_after_a_bad_correction_of_the_original(
    store: WindowStore, landed: Path, tmp_path: Path
) -> None:
    """What landed last was broken, and what is in use is still of these bytes."""
    store.take(landed_window(landed))
    broken, _ = store.take(landed_window(write(tmp_path / "broken.parquet", b"PAR1....PAR1")))
    assert broken.fault
    copy, _ = store.take(landed_window(landed, window="2013-02"))
    assert "holds the same bytes as the window 2013-01" in str(copy.fault)


@pytest.mark.parametrize("folder", ["data[1]", "data*", "c=1", "region=eu", "amount=3", "a'b"])
def test_a_path_is_no_pattern_and_adds_no_columns(tmp_path: Path, folder: str) -> None:
    """DuckDB would read the rows of `data1` for those of `data[1]`, and take a folder's name for a column."""
    (tmp_path / "data1").mkdir()
    land(tmp_path / "data1" / "2013-01.parquet", small_frame(40, seed=7))
    place = tmp_path / folder
    for suffix in (".parquet", ".csv"):
        frame = small_frame(60)
        path = place / f"2013-01{suffix}"
        land(path, frame) if suffix == ".parquet" else frame.to_csv(path, index=False)
        store = WindowStore(place / f"windows of {suffix[1:]}", small_dataset())
        stored = take(store, path)
        assert stored.counts.clean == 60
        assert stored.ignored_columns == ()
        drawn = store.draw({"2013-01": stored.data_version}, split=None, max_rows=100)
        assert list(drawn["amount"]) == pytest.approx(list(frame["amount"]), rel=1e-6)
        assert store.quarantined(stored, rows=5).empty


@pytest.mark.parametrize("window", ["../other", "a/b", "", ".."])
def test_a_name_that_is_a_way_reaches_nothing_outside_the_store(store: WindowStore, window: str) -> None:
    """It comes from a command line, or from Dagster's page."""
    outside = store.folder.parent / "other"
    outside.mkdir(parents=True)
    (outside / LATEST).write_text("{}")
    for use in (store.remove, store.latest, store.current, lambda name: store.refuse(name, "no")):
        with pytest.raises(WindowNameInvalid):
            use(window)
    assert [path.name for path in outside.iterdir()] == [LATEST]


def test_damage_to_one_window_stops_no_other(store: WindowStore, tmp_path: Path) -> None:
    """Its own intake mends it; a training that would need it names it."""
    store.take(landed_window(land_small(tmp_path / "a.parquet", 40)))
    (store.folder / WINDOW / CURRENT).write_text("{}")
    _, other = store.take(landed_window(land_small(tmp_path / "b.parquet", 40, seed=1), window="2013-02"))
    assert other is not None
    store.take(landed_window(tmp_path / "a.parquet"))
    assert store.current(WINDOW) is not None
