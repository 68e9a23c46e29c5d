import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.domain.drift_columns import (
    MIN_VALUES,
    Column,
    ColumnDrift,
    Keys,
    Unusable,
    Verdict,
    drift_share,
    is_value,
    ranked,
    why_unusable,
)

CHANCE = 0.001
MEASURED = pd.Series(np.arange(1_000) % 40 / 4)
NAMED = pd.Series([f"level {at % 5}" for at in range(1_000)], dtype=object)


def filled(values: int, rows: int) -> Column:
    """A number with so many values, and nulls in the other rows."""
    at = np.arange(rows)
    return pd.Series(np.where(at < values, at % 7, math.nan))


def one_value(rows: int, *, others: int = 0, nulls: int = 0) -> Column:
    """A number that is 7 but for so many rows, and nulls beside."""
    return pd.Series([7.0] * (rows - others) + [8.0] * others + [math.nan] * nulls)


def judged(
    reference: "Column | None",
    current: "Column | None",
    *,
    is_category: bool = False,
    keys: tuple[Keys, Keys] | None = None,
    min_keys: int = 0,
) -> Unusable | None:
    """What is said of a column, with one of a thousand as chance."""
    return why_unusable(reference, current, is_category=is_category, chance=CHANCE, keys=keys, min_keys=min_keys)


A_DAY = 70
"""Rows of each day in the samples by days."""


def days(count: int) -> Keys:
    """Split keys of so many days."""
    return np.repeat(np.arange(count), A_DAY)


def on_days(count: int, filled_on: int, *, rows: int = A_DAY) -> Column:
    """A number that so many rows of the first of the days have, and no other."""
    here = (days(count) < filled_on) & (np.arange(count * A_DAY) % A_DAY < rows)
    return pd.Series(np.where(here, np.arange(len(here)) % 7, math.nan))


def set_on_days(count: int, others_on: int, *, holding: int | None = None) -> Column:
    """A number that is 7, but 8 on the first of the days; null on those after the holding ones."""
    day = days(count)
    return pd.Series(np.where(day < others_on, 8.0, 7.0)).where(day < (count if holding is None else holding))


DAYS_OF_BOTH = (days(60), days(20))
"""Sixty days of a reference, and twenty of a window."""


KINDS: list[tuple[str, "Column | None", bool, str]] = [
    ("missing number", None, False, "missing"),
    ("missing category", None, True, "missing"),
    ("null number", pd.Series([math.nan] * 1_000), False, "all null"),
    ("null without a type", pd.Series([None] * 1_000, dtype=object), False, "all null"),
    ("null category", pd.Series([None] * 1_000, dtype=object), True, "all null"),
    ("infinite", pd.Series([math.inf, -math.inf] * 500), False, "all infinite"),
    ("infinite beside nulls", pd.Series([math.inf, math.nan] * 500), False, "all infinite"),
    ("negative infinite", pd.Series([-math.inf] * 1_000), False, "all infinite"),
    ("29 values beside nulls", filled(29, 1_000), False, "29 values, 30 are needed,"),
    ("29 values beside infinities", filled(29, 1_000).fillna(math.inf), False, "29 values, 30 are needed,"),
    ("one value", filled(1, 1_000), False, "1 values, 30 are needed,"),
    ("29 categories", NAMED.where(NAMED.index < 29), True, "29 values, 30 are needed,"),
    ("text", NAMED, False, "no numbers, as the contract has them,"),
    ("numbers as text", MEASURED.map(str), False, "no numbers, as the contract has them,"),
    ("dates", pd.Series(pd.date_range("2024-01-01", periods=1_000)), False, "no numbers, as the contract has them,"),
]
each_kind = pytest.mark.parametrize(
    ("column", "is_category", "fault"), [pytest.param(*rest, id=name) for name, *rest in KINDS]
)


@each_kind
def test_what_went_silent_is_unusable_and_changed(column: "Column | None", is_category: bool, fault: str) -> None:
    """A feature that the window lost must not pass for an unchanged one, nor reach Evidently, which would fail."""
    usual = NAMED if is_category else MEASURED
    assert judged(usual, column, is_category=is_category) == Unusable(f"{fault} in the current window", changed=True)


@each_kind
def test_what_came_to_life_is_unusable_and_changed(column: "Column | None", is_category: bool, fault: str) -> None:
    """There is nothing to compare the window's values with, and the model never saw any."""
    usual = NAMED if is_category else MEASURED
    assert judged(column, usual, is_category=is_category) == Unusable(f"{fault} in the reference", changed=True)


@each_kind
def test_what_never_could_be_judged_did_not_change(column: "Column | None", is_category: bool, fault: str) -> None:
    """It would start a training for every window, and none would help."""
    said = f"{fault} in the reference; {fault} in the current window"
    assert judged(column, column, is_category=is_category) == Unusable(said, changed=False)


@pytest.mark.parametrize(
    ("column", "is_category"),
    [
        (filled(MIN_VALUES, 30), False),
        (filled(MIN_VALUES, 1_000), False),
        (filled(MIN_VALUES, 1_000).fillna(math.inf), False),
        (filled(400, 1_000), False),
        (NAMED.where(NAMED.index < MIN_VALUES), True),
        (NAMED, True),
        (NAMED.astype("category"), True),
        (NAMED.astype("string"), True),
        (MEASURED.round().astype("Int64").where(MEASURED.index % 2 == 0), False),
        (MEASURED > 5, False),
        (MEASURED > 5, True),
        ((MEASURED > 5).astype("boolean").where(MEASURED.index % 2 == 0), True),
        (MEASURED, True),
        (pd.Series(pd.date_range("2024-01-01", periods=40)), True),
    ],
)
def test_thirty_values_of_the_contracts_type_are_judged(column: Column, is_category: bool) -> None:
    """A guard too many would take a good column out of the report, whatever type its file gave it."""
    assert judged(column, column, is_category=is_category) is None


@pytest.mark.parametrize(
    ("reference", "current", "changed"),
    [
        # 99 of 100 rows are null: a small window may well have no value, a large one not.
        (filled(200, 20_000), filled(0, 100), False),
        (filled(200, 20_000), filled(0, 600), False),
        (filled(200, 20_000), filled(0, 800), True),
        (filled(200, 20_000), filled(1, 700), False),
        # What the reference says of a rare value is chance as well.
        (filled(10, 20_000), filled(1, 100), False),
        (filled(1, 100), filled(10, 20_000), False),
        (filled(20, 20_000), filled(3, 500), False),
        (filled(29, 20_000), filled(14, 20_000), False),
        (filled(29, 20_000), filled(8, 20_000), True),
        (filled(1_000, 20_000), filled(8, 400), False),
        (filled(1_000, 20_000), filled(4, 400), True),
        (filled(20_000, 20_000), filled(0, 100), True),
        (filled(20_000, 20_000), filled(29, 100), True),
        (filled(10_000, 20_000), filled(28, 56), False),
        # The window is small, and lost nothing.
        (filled(20_000, 20_000), filled(29, 29), False),
        (filled(20_000, 20_000), filled(0, 0), False),
        # The same from the other side.
        (filled(0, 100), filled(200, 20_000), False),
        (filled(0, 800), filled(200, 20_000), True),
        (filled(29, 29), filled(20_000, 20_000), False),
        (filled(100, 20_000), filled(29, 100), True),
        # Too few on both sides, and yet not the same.
        (filled(20, 1_000), filled(25, 1_000), False),
        (filled(29, 1_000), filled(2, 1_000), True),
        (filled(2, 1_000), filled(29, 1_000), True),
        # Files have a column or have it not; of no rows it is gone all the same, but it takes nothing along.
        (filled(200, 20_000), None, True),
        (None, filled(1, 20_000), True),
        (None, filled(0, 1_000), False),
        (filled(0, 1_000), None, False),
        # What is infinite, or no number, is no value either.
        (MEASURED, pd.Series([math.inf] * 1_000), True),
        (pd.Series([math.inf] * 1_000), pd.Series([math.nan] * 1_000), False),
        (NAMED, pd.Series([math.nan] * 1_000), False),
        (NAMED, filled(3, 1_000), False),
        (NAMED, filled(20, 1_000), True),
    ],
)
def test_fewer_values_are_a_change_where_chance_does_not_explain_them(
    reference: "Column | None", current: "Column | None", changed: bool
) -> None:
    """A rare value that a small window lacks would start trainings for nothing; one that vanished must start one."""
    found = judged(reference, current)
    assert found is not None
    assert found.changed is changed


@settings(deadline=None)
@given(st.data(), st.floats(0.0001, 0.2))
def test_a_change_reads_the_same_from_both_sides(data: st.DataObject, chance: float) -> None:
    """Losing values and gaining them are one difference; and more of it never says less."""
    rows, usual_rows = data.draw(st.integers(1, 300)), data.draw(st.integers(30, 300))
    usual_values, values = data.draw(st.integers(30, usual_rows)), data.draw(st.integers(0, min(rows, 29)))
    usual, scarce = filled(usual_values, usual_rows), filled(values, rows)
    found = why_unusable(usual, scarce, is_category=False, chance=chance)
    turned = why_unusable(scarce, usual, is_category=False, chance=chance)
    assert found is not None
    assert turned is not None
    assert found.changed == turned.changed
    if found.changed and values / rows < usual_values / usual_rows:
        scarcer = filled(data.draw(st.integers(0, values)), rows)
        worse = why_unusable(usual, scarcer, is_category=False, chance=chance)
        assert worse is not None
        assert worse.changed


@pytest.mark.parametrize(("share", "rows"), [(0.001, 500), (0.0014, 20_000), (0.05, 500)])
def test_a_rare_column_is_called_changed_no_more_often_than_chance_may(share: float, rows: int) -> None:
    """With the reference's share taken for the true one, one of four windows of 500 rows started a training."""
    chance, draws = np.random.default_rng(0), 4_000
    values = zip(*(chance.binomial(of, share, draws).tolist() for of in (20_000, rows)), strict=True)
    changed, unusable = 0, 0
    for (before, now), times in Counter(values).items():
        found = judged(filled(before, 20_000), filled(now, rows))
        if found is not None:
            unusable += times
            changed += times * found.changed
    assert unusable / draws > 0.4, "too few values to be judged"
    assert changed / draws < 0.002, "one of a thousand from either side"


@pytest.mark.parametrize(
    ("reference", "current", "changed"),
    [
        # One of two values falls into the window by chance: ten of them do in one of a thousand cases.
        (one_value(1_000), one_value(1_000, others=1), False),
        (one_value(1_000), one_value(1_000, others=9), False),
        (one_value(1_000), one_value(1_000, others=10), True),
        (one_value(1_000), one_value(1_000, others=1_000), True),
        # A small window would hardly get two of them.
        (one_value(20_000), one_value(100, others=1), False),
        (one_value(20_000), one_value(100, others=2), True),
        # And a large one many that a small reference has missed.
        (one_value(100), one_value(20_000, others=1_330), False),
        (one_value(100), one_value(20_000, others=1_340), True),
        # Rows without a value are no draws.
        (one_value(100, nulls=19_900), one_value(100, others=9), False),
        (one_value(100), one_value(100, others=9, nulls=90), False),
        (one_value(100), one_value(100, others=10, nulls=90), True),
    ],
)
def test_what_was_constant_changed_where_chance_does_not_explain_the_others(
    reference: Column, current: Column, changed: bool
) -> None:
    """A flag that the reference's sample happened to miss is no change; one that is now set everywhere is."""
    values = current.dropna()
    said = f"constant in the reference: 7.0; {int((values != 7).sum())} of {len(values)} values differ"
    assert judged(reference, current) == Unusable(f"{said} in the current window", changed)


@pytest.mark.parametrize(
    ("reference", "current", "is_category", "said"),
    [
        (one_value(50), one_value(1_000), False, "7.0"),
        (one_value(1_000, nulls=200), one_value(50, nulls=60), False, "7.0"),
        (one_value(50), one_value(50).astype("Int64"), False, "7.0"),
        (pd.Series([math.inf, 7.0] * 50), pd.Series([7.0, -math.inf] * 50), False, "7.0"),
        (pd.Series(["a"] * 50), pd.Series(["a"] * 50).astype("category"), True, "a"),
        (pd.Series([True] * 50), pd.Series([1.0] * 50), True, "True"),
        (pd.Series([0.0] * 50), pd.Series([False] * 50), True, "0.0"),
        (pd.Series([False, None] * 50, dtype="boolean"), pd.Series([0.0, math.nan] * 50), True, "False"),
    ],
)
def test_what_is_constant_on_both_sides_did_not_change(
    reference: Column, current: Column, is_category: bool, said: str
) -> None:
    """A boolean comes back as a number where the file has nulls: the type is no other value."""
    found = judged(reference, current, is_category=is_category)
    assert found == Unusable(f"constant: {said} throughout", changed=False)


@pytest.mark.parametrize(
    ("reference", "current", "is_category"),
    [
        (MEASURED, one_value(1_000), False),
        (one_value(1_000, others=1), one_value(1_000), False),
        (one_value(1_000, others=1), one_value(1_000, others=500), False),
        (NAMED, pd.Series(["level 0"] * 1_000), True),
        (NAMED, pd.Series(["never seen"] * 1_000), True),
        (pd.Series([True, False] * 50), pd.Series([1.0] * 100), True),
        (pd.Series([1.0, 0.0, math.nan] * 50), pd.Series([False] * 100), True),
    ],
)
def test_what_became_constant_is_judged(reference: Column, current: Column, is_category: bool) -> None:
    """The reference has a distribution, and Evidently a distance from it: a dead sensor is drift."""
    assert judged(reference, current, is_category=is_category) is None


@pytest.mark.parametrize(
    ("now", "differ"), [("b", 1_000), (1.0, 1_000), (True, 1_000), ("a", 0)], ids=["text", "number", "boolean", "same"]
)
def test_a_constant_category_is_compared_with_values_of_any_type(now: object, differ: int) -> None:
    """Categories of another type are other categories, and comparing them must not fail."""
    found = judged(pd.Series(["a"] * 1_000), pd.Series([now] * 1_000, dtype=object), is_category=True)
    assert found is not None
    assert found.changed is bool(differ)
    assert (f"{differ} of 1000 values differ" in found.reason) is bool(differ)


@pytest.mark.parametrize(
    ("others_on", "changed", "by_rows"),
    [(1, False, True), (4, False, True), (5, True, True), (20, True, True)],
)
def test_rows_of_a_day_are_one_draw_of_what_was_constant(others_on: int, changed: bool, by_rows: bool) -> None:
    """A holiday's flag has all rows of one day, which the reference's days may well not have had."""
    reference, current = one_value(60 * A_DAY), set_on_days(20, others_on)
    said = f"constant in the reference: 7.0; {others_on * A_DAY} of 1400 values differ in the current window"
    assert judged(reference, current, keys=DAYS_OF_BOTH) == Unusable(said, changed)
    assert judged(reference, current) == Unusable(said, by_rows)


def test_each_day_with_another_value_is_a_draw_however_few_rows_it_has() -> None:
    """One row of each of five days is as unlikely as five rows that share nothing."""
    day = days(20)
    current = pd.Series(np.where((day < 5) & (np.arange(len(day)) % A_DAY == 0), 8.0, 7.0))
    found = judged(one_value(60 * A_DAY), current, keys=DAYS_OF_BOTH)
    assert found is not None
    assert (found.changed, "5 of 1400 values" in found.reason) == (True, True)
    fewer = current.where(day != 4, 7.0)
    assert judged(one_value(60 * A_DAY), fewer, keys=DAYS_OF_BOTH) == Unusable(
        "constant in the reference: 7.0; 4 of 1400 values differ in the current window", changed=False
    )


@pytest.mark.parametrize(("others_on", "changed"), [(4, False), (5, True)])
def test_a_days_nulls_do_not_move_its_values_to_another_day(others_on: int, changed: bool) -> None:
    """Counted from the first value on, five days of half as many would be three."""
    current = set_on_days(20, others_on)
    current = current.where(current.index % 2 == 1)
    found = judged(one_value(60 * A_DAY), current, keys=DAYS_OF_BOTH)
    assert found is not None
    assert found.changed is changed


@pytest.mark.parametrize(("others_on", "changed"), [(8, False), (9, True)])
def test_days_without_a_value_are_no_draws(others_on: int, changed: bool) -> None:
    """Of forty days, twenty with values in the window, all others fall into it, at nine of them in six of ten thousand.

    With its days without values among the draws, five were enough.
    """
    reference = set_on_days(60, 0, holding=20)
    found = judged(reference, set_on_days(20, others_on), keys=DAYS_OF_BOTH)
    assert found is not None
    assert found.changed is changed


@pytest.mark.parametrize(
    ("reference", "current", "keys", "changed", "by_rows"),
    [
        # A fifth of the days has values: ten days without any are chance, twenty-eight are not.
        (on_days(60, 12), on_days(10, 0), (days(60), days(10)), False, True),
        (on_days(60, 12), on_days(56, 0), (days(60), days(56)), True, True),
        (on_days(60, 30), on_days(20, 0), DAYS_OF_BOTH, True, True),
        # The same from the other side.
        (on_days(20, 0), on_days(60, 12), (days(20), days(60)), False, True),
        (on_days(20, 0), on_days(60, 30), (days(20), days(60)), True, True),
        # One day without values is one draw of sixty-one, and two of them are no chance any more.
        (on_days(60, 60), on_days(1, 0), (days(60), days(1)), False, True),
        (on_days(60, 60), on_days(2, 0), (days(60), days(2)), True, True),
        # A column that is gone went by no chance.
        (on_days(60, 12), None, (days(60), days(10)), True, True),
        (None, on_days(10, 1), (days(60), days(10)), True, True),
        # A few rows of each day are the days' all the same, where the other sample has as few.
        (on_days(60, 60, rows=1), on_days(20, 20, rows=1), DAYS_OF_BOTH, False, False),
    ],
)
def test_days_without_a_value_are_a_change_where_chance_does_not_explain_them(
    reference: "Column | None", current: "Column | None", keys: tuple[Keys, Keys], changed: bool, by_rows: bool
) -> None:
    """A column of rare days is missing on all of a short window's, and five hundred rows say no more than ten days."""
    for found, expected in ((judged(reference, current, keys=keys), changed), (judged(reference, current), by_rows)):
        assert found is not None
        assert found.changed is expected


@pytest.mark.parametrize(("reference_rows", "changed"), [(A_DAY, True), (3, True), (2, False), (1, False)])
def test_a_value_a_day_in_place_of_many_is_silence_too(reference_rows: int, changed: bool) -> None:
    """The days that have one are as many as before, and what they have is not."""
    found = judged(on_days(60, 60, rows=reference_rows), on_days(20, 20, rows=1), keys=DAYS_OF_BOTH)
    assert found == Unusable("20 values, 30 are needed, in the current window", changed)


def test_all_days_of_a_small_window_with_another_value_are_a_change() -> None:
    """Ten days of each: a flag that was never set, and now is throughout, would by chance in one of 180,000 windows."""
    keys = (days(10), days(10))
    found = why_unusable(one_value(10 * A_DAY), set_on_days(10, 10), is_category=False, chance=1e-4, keys=keys)
    assert found is not None
    assert found.changed


@pytest.mark.parametrize(
    ("reference", "current", "min_keys", "reason", "changed"),
    [
        (on_days(60, 9), on_days(20, 3), 9, None, None),
        (on_days(60, 9), on_days(20, 3), 0, None, None),
        (on_days(60, 9), on_days(20, 3), 10, "values in 9 split keys, 10 are needed, in the reference", False),
        (on_days(60, 9), on_days(20, 20), 10, "values in 9 split keys, 10 are needed, in the reference", True),
        (on_days(60, 9), on_days(20, 1), 10, "values in 9 split keys, 10 are needed, in the reference", False),
        (on_days(60, 10), on_days(20, 1), 10, None, None),
        # Infinities are no values.
        (on_days(60, 9).fillna(math.inf), on_days(20, 3), 10, "values in 9 split keys, 10 are needed,", False),
        # One day that never changes: how often it does is not known either.
        (set_on_days(60, 0, holding=1), set_on_days(20, 1), 10, "values in 1 split keys, 10 are needed,", True),
        # What says more comes first.
        (on_days(60, 2, rows=10), on_days(20, 3), 10, "20 values, 30 are needed, in the reference", False),
        (on_days(60, 2), on_days(20, 0), 10, "all null in the current window", False),
        (on_days(60, 2), None, 10, "missing in the current window", True),
    ],
)
def test_a_column_with_values_on_few_days_cannot_be_judged(
    reference: Column, current: "Column | None", min_keys: int, reason: str | None, changed: bool | None
) -> None:
    """How far chance moves it would be read off two or three days, which says nothing of a fourth."""
    found = judged(reference, current, keys=DAYS_OF_BOTH, min_keys=min_keys)
    if found is None:
        assert reason is None
    else:
        assert reason is not None
        assert found.reason.startswith(reason)
        assert "; " not in found.reason
        assert found.changed is changed


def test_a_reference_of_few_rows_that_are_their_own_keys_has_few_keys() -> None:
    """Without split keys each row with a value is one."""
    assert judged(filled(99, 200), filled(50, 100), min_keys=99) is None
    said = "values in 99 split keys, 100 are needed, in the reference"
    assert judged(filled(99, 200), filled(50, 100), min_keys=100) == Unusable(said, changed=False)


@pytest.mark.parametrize(
    ("reference", "current", "reason"),
    [
        (filled(5_000, 5_000), filled(50, 5_000), "values in 1.0% of the rows, 100.0% in the reference"),
        (filled(5_000, 5_000), filled(2_499, 5_000), "values in 50.0% of the rows, 100.0% in the reference"),
        (filled(5_000, 5_000), filled(2_500, 5_000), None),
        (filled(3_000, 5_000), filled(290, 1_000), "values in 29.0% of the rows, 60.0% in the reference"),
        (filled(3_000, 5_000), filled(310, 1_000), None),
        (filled(3_000, 5_000), filled(290, 1_000).fillna(math.inf), "values in 29.0% of the rows, 60.0%"),
        (NAMED, NAMED.where(NAMED.index < 40), "values in 4.0% of the rows, 100.0% in the reference"),
        (one_value(1_000), one_value(40, nulls=960), "values in 4.0% of the rows, 100.0% in the reference"),
        # More values than before, and as few as before.
        (filled(50, 5_000), filled(5_000, 5_000), None),
        (filled(2_000, 5_000), filled(5_000, 5_000), None),
        (filled(50, 5_000), filled(50, 5_000), None),
        # Thirty values of the reference may well have been twice as many as it should have, but sixty not.
        (filled(30, 1_000), filled(290, 20_000), None),
        (filled(60, 2_000), filled(290, 20_000), "values in 1.5% of the rows, 3.0% in the reference"),
    ],
)
def test_a_column_that_lost_most_of_its_values_is_unusable_and_changed(
    reference: Column, current: Column, reason: str | None
) -> None:
    """Fifty values of five thousand rows are compared as if all was well; the model gets nulls in all others."""
    found = judged(reference, current, is_category=reference.dtype == object)
    if reason is None:
        assert found is None
    else:
        assert found is not None
        assert found.reason.startswith(reason)
        assert found.changed is True


@pytest.mark.parametrize(
    ("reference", "current", "lost", "by_rows"),
    [
        # A quarter of four days has values, of the reference's three fifths: that is chance, and of forty it is not.
        (on_days(60, 36), on_days(4, 1), False, True),
        (on_days(60, 36), on_days(40, 10), True, True),
        # Three sevenths of each day's rows, where days had all of theirs.
        (on_days(60, 60), on_days(20, 20, rows=30), True, True),
        (on_days(60, 60), on_days(2, 2, rows=30), True, True),
        (on_days(60, 36), on_days(40, 24, rows=30), True, True),
        # Of a single day nothing is known: days may differ so much.
        (on_days(60, 60), on_days(1, 1, rows=30), False, True),
        (on_days(1, 1), on_days(60, 60, rows=30), False, True),
    ],
)
def test_values_are_lost_where_days_differ_by_more_than_chance(
    reference: Column, current: Column, lost: bool, by_rows: bool
) -> None:
    """A sensor that is off for whole days has a bad week now and then, and no training would help."""
    keys = (days(len(reference) // A_DAY), days(len(current) // A_DAY))
    assert (judged(reference, current, keys=keys) is not None) is lost
    assert (judged(reference, current) is not None) is by_rows


def test_days_that_differ_among_themselves_say_little_though_many_others_agree() -> None:
    """Three days between nothing and all are no fall, however alike the reference's five hundred are."""
    alike = on_days(500, 500, rows=69)
    unlike, together = (
        pd.concat([on_days(1, 1, rows=rows) for rows in each], ignore_index=True)
        for each in ((0, 30, 69), (30, 33, 34))
    )
    keys = (days(500), days(3))
    assert judged(alike, unlike, keys=keys) is None
    assert judged(alike, together, keys=keys) is not None


def scattered(present: npt.NDArray[np.bool_]) -> Column:
    """A number that is there on the days it says."""
    return pd.Series(np.where(np.repeat(present, A_DAY), np.arange(len(present) * A_DAY) % 7, math.nan))


@pytest.mark.parametrize("window", [5, 12])
def test_days_that_are_there_by_chance_are_no_loss(window: int) -> None:
    """On three of five days there are values: few such days would start a training again and again."""
    changed, halved, draws = 0, 0, 1_500
    for seed in range(draws):
        chance = np.random.default_rng([seed, window])
        before, now = chance.random(60) < 0.6, chance.random(window) < 0.6
        found = judged(scattered(before), scattered(now), keys=(days(60), days(window)))
        changed += found is not None and found.changed
        halved += now.mean() < before.mean() / 2
    assert halved / draws > 0.015, "by chance the share often is below half"
    assert changed / draws <= 0.003, "one of a thousand is asked for"


kinds_of_values = st.sampled_from([math.nan, math.inf, -math.inf, 1.0, 2.0, 3.0])
columns_of_values = st.dictionaries(kinds_of_values, st.integers(0, 60), max_size=6).map(
    lambda counts: pd.Series([value for value, count in counts.items() for _ in range(count)], dtype=float)
)


@settings(deadline=None)
@given(columns_of_values, columns_of_values, st.booleans(), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_the_verdict_does_not_depend_on_the_order_of_rows(
    reference: Column, current: Column, is_category: bool, of_a_key: int, seed: int
) -> None:
    """The same windows come back from the store in another order, and must give the same report."""
    chance = np.random.default_rng(seed)
    samples = [(column, np.arange(len(column)) // of_a_key) for column in (reference, current)]
    turned = []
    for column, keys in samples:
        order = chance.permutation(len(column))
        numbers = chance.permutation(len(np.unique(keys)))
        turned.append((column.iloc[order], numbers[keys[order]]))
    found = [
        judged(before, now, is_category=is_category, keys=(keys, keys_now), min_keys=2)
        for (before, keys), (now, keys_now) in (samples, turned)
    ]
    assert found[0] == found[1]


@settings(deadline=None)
@given(columns_of_values, columns_of_values, st.integers(0, 40))
def test_without_split_keys_each_row_is_one(reference: Column, current: Column, min_keys: int) -> None:
    """A contract whose rows are independent must not be judged by another rule."""
    keys = (np.arange(len(reference)), np.arange(len(current)))
    found = judged(reference, current, keys=keys, min_keys=min_keys)
    assert found == judged(reference, current, min_keys=min_keys)


@pytest.mark.parametrize(
    ("column", "there"),
    [
        (pd.Series([1.5, math.nan, math.inf, -math.inf, 0.0]), [True, False, False, False, True]),
        (pd.Series([1, None, 3], dtype="Int64"), [True, False, True]),
        (pd.Series(["inf", None, "", "nan"], dtype=object), [True, False, True, True]),
        (pd.Series(["a", None], dtype="category"), [True, False]),
        (pd.Series([True, None], dtype="boolean"), [True, False]),
        (pd.Series([math.inf, "a", None], dtype=object), [False, True, False]),
    ],
)
def test_a_value_is_there_and_finite(column: Column, there: list[bool]) -> None:
    """Evidently fails as a whole where one column has none, and its numbers where one is infinite."""
    labelled = column.set_axis([f"row {at}" for at in range(len(column))])
    found = is_value(labelled)
    assert found.tolist() == there
    assert found.index.equals(labelled.index)


def drift(column: str, verdict: Verdict, times: float | None = None, importance: float | None = None) -> ColumnDrift:
    """What a report would say of the column; an unusable one counts as drifted."""
    counts = verdict != "stable"
    return ColumnDrift(
        column, verdict, "wasserstein", times_limit=times, counts_as_drifted=counts, importance=importance
    )


def left_out(column: str, importance: float | None = None) -> ColumnDrift:
    """A column that never could be judged."""
    return replace(drift(column, "unusable", importance=importance), counts_as_drifted=None)


DRIFTED, STABLE, SILENT = drift("a", "drifted", 2.0), drift("b", "stable", 0.5), drift("c", "unusable")


@pytest.mark.parametrize(
    ("columns", "share"),
    [
        ([STABLE], 0),
        ([DRIFTED], 1),
        ([DRIFTED, STABLE, STABLE, STABLE], 0.25),
        ([SILENT, STABLE], 0.5),
        ([DRIFTED, STABLE, left_out("d"), left_out("e")], 0.5),
        ([left_out("d"), STABLE], 0),
    ],
)
def test_the_share_is_of_the_columns_that_count(columns: Sequence[ColumnDrift], share: float) -> None:
    """A constant column in the denominator would dilute the drift of the others; a silent one belongs to it."""
    assert drift_share(columns) == share


@pytest.mark.parametrize("columns", [[], [left_out("d")], [left_out("d"), left_out("e")]])
def test_without_a_column_that_counts_there_is_no_share(columns: Sequence[ColumnDrift]) -> None:
    """A share of 0 would say that nothing drifted, and nothing was measured."""
    with pytest.raises(ValueError, match="no column can be judged"):
        drift_share(columns)


@pytest.mark.parametrize(
    ("column", "impact"),
    [
        (drift("a", "drifted", 3.0, 0.2), 0.6),
        (drift("a", "stable", 0.5, 0.2), 0.1),
        (drift("a", "drifted", 3.0), 3.0),
        (drift("a", "drifted", 3.0, 0.0), 0),
        (drift("a", "drifted", 3.0, -0.2), 0),
        (drift("a", "drifted", None, 0.2), 0),
        (drift("a", "unusable"), math.inf),
        (drift("a", "unusable", importance=-0.2), math.inf),
        (replace(SILENT, counts_as_drifted=False), 0),
        (left_out("a"), 0),
        (left_out("a", 0.4), 0),
    ],
)
def test_the_impact_is_size_times_importance(column: ColumnDrift, impact: float) -> None:
    """A feature that misleads has none that is negative; one that was never measured is not at the top by accident."""
    assert column.impact == pytest.approx(impact)


def test_the_columns_rank_by_what_their_drift_costs() -> None:
    """The first lines of the report are what its reader acts on."""
    expected = [
        drift("silent, unimportant", "unusable", importance=0.0),
        drift("silent, unknown", "unusable"),
        drift("small, important", "drifted", 1.1, 0.3),
        drift("large, less important", "drifted", 3.0, 0.1),
        drift("even a", "drifted", 2.0, 0.05),
        drift("even b", "drifted", 1.0, 0.1),
        drift("misleading", "drifted", 9.0, -0.4),
        drift("no cost", "drifted", 9.0, 0.0),
        drift("close, important", "stable", 0.9, 0.5),
        drift("stable", "stable", 0.1, 0.5),
        left_out("v", 0.9),
        left_out("w"),
    ]
    assert ranked(expected[::-1]) == expected


some_columns = st.lists(
    st.builds(
        ColumnDrift,
        st.text(max_size=3),
        st.sampled_from(["drifted", "stable", "unusable"]),
        st.just("psi"),
        times_limit=st.none() | st.floats(0, 10),
        counts_as_drifted=st.none() | st.booleans(),
        importance=st.none() | st.floats(-0.5, 0.5),
    ),
    unique_by=lambda column: column.column,
)


@given(some_columns, st.randoms(use_true_random=False))
def test_the_rank_is_the_same_for_any_order_and_loses_none(columns: list[ColumnDrift], chance: Random) -> None:
    """The page and `mlops explain` list the same report; drifted columns stand above all others in both."""
    turned = list(columns)
    chance.shuffle(turned)
    found = ranked(turned)
    assert found == ranked(columns)
    assert sorted(column.column for column in found) == sorted(column.column for column in columns)
    drifted = [bool(column.counts_as_drifted) for column in found]
    assert drifted == sorted(drifted, reverse=True)
    for kind in (True, False):
        impacts = [column.impact for column in found if bool(column.counts_as_drifted) is kind]
        assert impacts == sorted(impacts, reverse=True)
