from collections.abc import Iterator, Sequence
from hashlib import md5
from itertools import count
from pathlib import Path

import pandas as pd
import pytest

from mlops_assets.adapters.duckdb_rows import DuckdbRows
from mlops_assets.adapters.engine import engine
from mlops_assets.adapters.window_records import DataWindow
from mlops_assets.adapters.window_sample import SAMPLE, cut, rows_to_draw_from, write_sample
from mlops_assets.adapters.window_store import CLEAN, WindowStore
from mlops_assets.domain.dataset_tables import MAX_SAMPLE_ROWS
from mlops_assets.domain.windows import TRAIN, VALIDATION, split_of
from tests.unit.mlops_assets.landed_windows import landed_window, table_of, take
from tests.unit.mlops_assets.small_windows import land, small_frame

MOST = 200
ROWS = 3000
ODD = ("é", "日本 ", "😀", "o'neil ", '"quoted" ', "back\\slash ", "100%_", "a,b;", "Ä\u0308", "null")


def hash_of(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def customers(side: str) -> Iterator[str]:
    """Split keys of one side."""
    return (key for at in count() if split_of(key := f"c{at}") == side)


def sided_frame(ids: Sequence[str], sides: Sequence[str]) -> pd.DataFrame:
    """Rows of these ids, each on the side that is named beside it."""
    keys = {side: next(customers(side)) for side in (TRAIN, VALIDATION)}
    return small_frame(len(ids)).assign(case_id=list(ids), customer=[keys[side] for side in sides])


def keep_sample(store: WindowStore, stored: DataWindow, *, most: int = MOST) -> Path:
    """Writes a version's sample, of so few rows, where the store looks for it."""
    clean = store.folder / stored.window / stored.data_version / CLEAN
    sample = clean.with_name(SAMPLE)
    with engine() as connection:
        write_sample(
            DuckdbRows(connection), store.dataset, stored.counts, clean=clean, sample=sample, of="rows", most=most
        )
    return sample


def demand_first_of_each_side(store: WindowStore, stored: DataWindow) -> None:
    """The sample must hold the rows of each side that come first by Python's own MD5, as they are in the clean file."""
    keep_sample(store, stored)
    clean, sample = table_of(store, stored), table_of(store, stored, SAMPLE)
    first = clean.assign(_hash=clean["case_id"].map(hash_of)).sort_values("_hash").groupby("_split").head(MOST)
    pd.testing.assert_frame_equal(
        sample.sort_values("case_id", ignore_index=True),
        first.drop(columns="_hash").sort_values("case_id", ignore_index=True),
    )


@pytest.mark.parametrize("max_rows", [1, 7, MOST - 1, MOST])
@pytest.mark.parametrize("split", [None, TRAIN, VALIDATION])
def test_the_sample_gives_the_rows_that_all_rows_would_give(
    store: WindowStore, tmp_path: Path, split: str | None, max_rows: int
) -> None:
    """A report must not change with the size from which on a sample is kept."""
    stored = take(store, land(tmp_path / "r.parquet", small_frame(ROWS)))
    version = {stored.window: stored.data_version}
    expected = store.draw(version, split=split, max_rows=max_rows)
    assert len(expected) == max_rows
    keep_sample(store, stored).with_name(CLEAN).unlink()
    pd.testing.assert_frame_equal(store.draw(version, split=split, max_rows=max_rows), expected)


@pytest.mark.parametrize("split", [None, TRAIN, VALIDATION])
def test_windows_with_a_sample_and_without_are_drawn_from_together(
    store: WindowStore, tmp_path: Path, split: str | None
) -> None:
    """As production's are, which learnt from several; the window tells ids apart that come back in each."""
    versions, kept = {}, []
    for month, rows in enumerate((2000, 300, ROWS), start=1):
        path = land(tmp_path / f"{month}.parquet", small_frame(rows, seed=month))
        _, stored = store.take(landed_window(path, window=f"2013-{month:02d}"))
        assert stored is not None
        versions[stored.window] = stored.data_version
        kept.append(stored)
    draws = [(rows, store.draw(versions, split=split, max_rows=rows)) for rows in (1, 50, MOST)]
    assert [keep_sample(store, stored).exists() for stored in kept] == [True, False, True]
    for rows, expected in draws:
        pd.testing.assert_frame_equal(store.draw(versions, split=split, max_rows=rows), expected)


def test_the_sample_knows_no_order_of_the_landed_rows(store: WindowStore, tmp_path: Path) -> None:
    """The same rows exported in another order are no other sample."""
    frame = small_frame(ROWS)
    samples = []
    for at, of in enumerate((frame, frame.sample(frac=1, random_state=1), frame[::-1])):
        stored = take(store, land(tmp_path / f"{at}.parquet", of))
        keep_sample(store, stored)
        samples.append(table_of(store, stored, SAMPLE).sort_values("case_id", ignore_index=True))
    for sample in samples[1:]:
        pd.testing.assert_frame_equal(sample, samples[0])


def test_ids_of_any_text_are_ordered_by_the_hash_of_their_bytes(store: WindowStore, tmp_path: Path) -> None:
    """Every engine must come to the same sample."""
    frame = small_frame(ROWS).assign(case_id=[f"{ODD[row % len(ODD)]}{row}" for row in range(ROWS)])
    stored = take(store, land(tmp_path / "r.parquet", frame))
    assert stored.counts.clean == ROWS
    demand_first_of_each_side(store, stored)


@pytest.mark.parametrize("side", [TRAIN, VALIDATION])
@pytest.mark.parametrize("others", [0, 1, MOST - 1, MOST, MOST + 1])
def test_a_window_with_most_rows_on_one_side_loses_none_of_the_other(
    store: WindowStore, tmp_path: Path, side: str, others: int
) -> None:
    """A few large customers may be all of a window; each side has a cut of its own."""
    other = VALIDATION if side == TRAIN else TRAIN
    frame = sided_frame([f"r{row}" for row in range(ROWS)], [other] * others + [side] * (ROWS - others))
    stored = take(store, land(tmp_path / "r.parquet", frame))
    demand_first_of_each_side(store, stored)
    held = table_of(store, stored, SAMPLE)["_split"].value_counts().to_dict()
    assert (held[side], held.get(other, 0)) == (MOST, min(others, MOST))


@pytest.mark.parametrize("missed", [(TRAIN,), (VALIDATION,), (TRAIN, VALIDATION)])
def test_where_hashes_are_not_spread_as_chance_would_the_sample_is_still_the_first_rows(
    store: WindowStore, tmp_path: Path, missed: tuple[str, ...]
) -> None:
    """Below the cut of such a side is not one row: a sample of those below it would be empty."""
    high = (key for at in count() if hash_of(key := f"high{at}") >= "8")
    sides = [TRAIN, VALIDATION] * (ROWS // 2)
    ids = [next(high) if side in missed else f"r{row}" for row, side in enumerate(sides)]
    stored = take(store, land(tmp_path / "r.parquet", sided_frame(ids, sides)))
    demand_first_of_each_side(store, stored)


@pytest.mark.parametrize(("rows", "kept"), [(2 * MOST - 1, False), (2 * MOST, False), (2 * MOST + 1, True)])
def test_a_window_that_is_no_larger_than_a_sample_keeps_none(
    store: WindowStore, tmp_path: Path, rows: int, kept: bool
) -> None:
    """Its clean rows are read as fast."""
    stored = take(store, land(tmp_path / "r.parquet", small_frame(rows)))
    assert keep_sample(store, stored).exists() == kept


@pytest.mark.parametrize("of", ["a", "b", "c", "d", "e", "f", "g", "h"])
def test_a_cut_leaves_enough_rows_and_few_more(of: str) -> None:
    """Too few cost a sort of all rows, and so does each one too many."""
    rows, most = 20_000, 500
    below = sum(hash_of(f"{of}{row}") < cut(rows, most) for row in range(rows))
    assert most <= below <= 1.6 * most


@pytest.mark.parametrize("rows", [0, 1, MOST, MOST + 1])
def test_a_side_that_is_hardly_larger_than_its_part_of_the_sample_is_not_cut(rows: int) -> None:
    """The margin would reach beyond the last hash."""
    assert cut(rows, MOST) > "f" * 32


@pytest.mark.parametrize(
    ("max_rows", "labelled", "kept", "name"),
    [
        (1, False, True, SAMPLE),
        (MAX_SAMPLE_ROWS, False, True, SAMPLE),
        (MAX_SAMPLE_ROWS + 1, False, True, CLEAN),
        (1, True, True, CLEAN),
        (1, False, False, CLEAN),
    ],
)
def test_the_sample_stands_for_all_rows_where_it_has_all_that_are_asked_for(
    tmp_path: Path, max_rows: int, labelled: bool, kept: bool, name: str
) -> None:
    """Above its size and of labelled rows it may have too few; and not every window has one."""
    if kept:
        (tmp_path / SAMPLE).touch()
    assert rows_to_draw_from(tmp_path / CLEAN, max_rows=max_rows, labelled=labelled).name == name


def test_a_samples_name_says_for_how_many_rows_it_stands() -> None:
    """Were more allowed one day, one that was kept before must not be taken for them."""
    assert str(MAX_SAMPLE_ROWS) in SAMPLE
