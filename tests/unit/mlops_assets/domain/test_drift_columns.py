import math
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.domain.drift_columns import (
    MIN_VALUES,
    Column,
    ColumnDrift,
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
    return pd.Series([*(at % 7 for at in range(values)), *[math.nan] * (rows - values)], dtype=float)


def one_value(rows: int, *, others: int = 0, nulls: int = 0) -> Column:
    """A number that is 7 but for so many rows, and nulls beside."""
    return pd.Series([7.0] * (rows - others) + [8.0] * others + [math.nan] * nulls)


def judged(reference: "Column | None", current: "Column | None", *, is_category: bool = False) -> Unusable | None:
    """What is said of a column, with one of a thousand as chance."""
    return why_unusable(reference, current, is_category=is_category, chance=CHANCE)


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
        (one_value(100), one_value(20_000, others=1_380), False),
        (one_value(100), one_value(20_000, others=1_390), True),
        # Rows without a value are no draws.
        (one_value(100, nulls=19_900), one_value(100, others=9), False),
        (one_value(100), one_value(100, others=9, nulls=19_900), False),
        (one_value(100), one_value(100, others=10, nulls=19_900), True),
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
        (one_value(1_000, nulls=200), one_value(50, nulls=900), False, "7.0"),
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


kinds_of_values = st.sampled_from([math.nan, math.inf, -math.inf, 1.0, 2.0, 3.0])
columns_of_values = st.dictionaries(kinds_of_values, st.integers(0, 60), max_size=6).map(
    lambda counts: pd.Series([value for value, count in counts.items() for _ in range(count)], dtype=float)
)


@settings(deadline=None)
@given(columns_of_values, columns_of_values, st.booleans(), st.integers(0, 2**32 - 1))
def test_the_verdict_does_not_depend_on_the_order_of_rows(
    reference: Column, current: Column, is_category: bool, seed: int
) -> None:
    """The same windows come back from the store in another order, and must give the same report."""
    turned = [column.sample(frac=1, random_state=seed) for column in (reference, current)]
    assert judged(*turned, is_category=is_category) == judged(reference, current, is_category=is_category)


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
