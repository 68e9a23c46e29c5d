import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binom, wasserstein_distance

from mlops_assets.domain.drift_calibration import RESAMPLES, CalibratedColumn, Calibration, Sizes, calibrate
from mlops_assets.domain.drift_columns import Column, ColumnDrift, drift_share
from mlops_assets.domain.drift_statistics import distances

SEEDS = st.integers(0, 2**32 - 1)
LITTLE = 1e-6
"""A contract's threshold that chance exceeds at any size."""
MUCH = 1e6
"""And one that it never does."""


def number(name: str = "number", method: str = "wasserstein", threshold: float = LITTLE) -> CalibratedColumn:
    return CalibratedColumn(name, method, threshold, is_category=False)


def category(name: str = "group", method: str = "jensenshannon", threshold: float = LITTLE) -> CalibratedColumn:
    return CalibratedColumn(name, method, threshold, is_category=True)


def each_row(frame: pd.DataFrame) -> Column:
    """Split keys where every row is independent of the others."""
    return pd.Series(np.arange(len(frame)))


def by_rows(
    frame: pd.DataFrame,
    *columns: CalibratedColumn,
    rows: int,
    share: float = 0.0,
    rate: float = 0.05,
    silent: int = 0,
    resamples: int = 200,
) -> Calibration:
    """The calibration for a window of so many rows, all of them independent."""
    return calibrate(
        frame,
        each_row(frame),
        columns,
        current=Sizes(rows=rows, keys=rows),
        drift_share_threshold=share,
        false_alarm_rate=rate,
        drifted_already=silent,
        resamples=resamples,
    )


def independent(rows: int, columns: int, chance: np.random.Generator) -> pd.DataFrame:
    """Normal numbers that have nothing to do with each other, named c0, c1, ..."""
    return pd.DataFrame(chance.normal(size=(rows, columns)), columns=[f"c{at}" for at in range(columns)])


def grouped(keys: int, rows_a_key: int, columns: int, chance: np.random.Generator) -> tuple[pd.DataFrame, Column]:
    """Numbers of which a key's rows share the most, as a day's flights share its weather; and the keys."""
    shared = np.repeat(chance.normal(size=(keys, columns)), rows_a_key, axis=0)
    own = chance.normal(0, 0.3, size=(keys * rows_a_key, columns))
    frame = pd.DataFrame(shared + own, columns=[f"c{at}" for at in range(columns)])
    return frame, pd.Series(np.repeat(np.arange(keys), rows_a_key))


def mixed(rows: int, chance: np.random.Generator) -> tuple[pd.DataFrame, list[CalibratedColumn]]:
    """Every kind of column, with nulls, and the columns as asked for."""
    amount = chance.lognormal(0, 1, rows)
    frame = pd.DataFrame(
        {
            "amount": np.where(chance.random(rows) < 0.3, np.nan, amount),
            "far": 1e9 + amount,
            "visits": chance.poisson(3, rows),
            "seconds": np.where(chance.random(rows) < 0.1, np.inf, chance.exponential(50, rows)),
            "plan": pd.Series(chance.choice(np.array(["a", "b", "c", None], dtype=object), rows)),
            "late": chance.random(rows) < 0.2,
        }
    )
    columns = [
        number("amount"),
        number("far", "ed"),
        number("visits", "psi"),
        number("seconds", "hellinger"),
        category("plan"),
        replace(category("late", "kl_div"), in_share=False),
    ]
    return frame, columns


def moved(reference: Column, current: Column) -> float:
    """The distance by its definition."""
    before, now = reference.to_numpy(), current.to_numpy()
    return float(wasserstein_distance(before, now) / np.std(before))


def has_drifted(
    calibrations: Sequence[Calibration],
    columns: Sequence[CalibratedColumn],
    reference: pd.DataFrame,
    current: pd.DataFrame,
    share: float,
    silent: int = 0,
) -> npt.NDArray[np.bool_]:
    """The whole decision on a pair of samples, as a report makes it, by each; silent columns count as drifted."""
    distance = [moved(reference[column.name], current[column.name]) for column in columns]
    limits = [[made.threshold(column, values=len(current)) for column in columns] for made in calibrations]
    drifted = (np.array(distance) >= np.array(limits)).sum(axis=1)
    return np.asarray((drifted + silent) / (len(columns) + silent) > share)


def test_the_same_samples_have_the_same_calibration() -> None:
    """It is kept and read again: made anew it must be equal, whatever else drew random numbers before."""
    frame, columns = mixed(300, np.random.default_rng(0))
    first = by_rows(frame, *columns, rows=200)
    np.random.default_rng().random(7)
    assert by_rows(frame, *columns, rows=200) == first
    assert by_rows(frame, *columns, rows=200, resamples=210) != first


def test_a_thousand_resamples_are_drawn_unless_fewer_are_asked_for() -> None:
    """The rate of 1 % is read off the ten largest of them."""
    frame = independent(40, 1, np.random.default_rng(0))
    asked = partial(
        calibrate,
        frame,
        each_row(frame),
        [number("c0")],
        current=Sizes(rows=50, keys=45),
        drift_share_threshold=0.0,
        false_alarm_rate=0.01,
    )
    made = asked()
    assert made == asked(resamples=1_000)
    assert (made.resamples, made.false_alarm_rate) == (RESAMPLES, 0.01) == (1_000, 0.01)
    assert (made.reference, made.current) == (Sizes(rows=40, keys=40), Sizes(rows=50, keys=45))


@settings(deadline=None, max_examples=25)
@given(SEEDS)
def test_rows_in_any_order_have_the_same_calibration(seed: int) -> None:
    """The store gives them back in another order; a last digit that differs could turn a verdict."""
    chance = np.random.default_rng(seed)
    frame, columns = mixed(120, chance)
    keys = pd.Series(chance.choice(["x", "y", "z", *map(str, range(30))], len(frame)))
    order = chance.permutation(len(frame))
    found = [
        calibrate(
            rows,
            of_rows,
            columns,
            current=Sizes(rows=80, keys=20),
            drift_share_threshold=0.2,
            false_alarm_rate=0.05,
            resamples=50,
        )
        for rows, of_rows in ((frame, keys), (frame.iloc[order], keys.iloc[order]))
    ]
    assert found[0] == found[1]


def test_a_columns_noise_is_the_same_whichever_others_are_asked_for() -> None:
    """A contract that gets a column must not change what chance makes of the others."""
    frame, columns = mixed(300, np.random.default_rng(1))
    together = by_rows(frame, *columns, rows=200)
    turned = by_rows(frame, *columns[::-1], rows=200)
    for column in columns:
        alone = by_rows(frame, column, rows=200)
        assert together.noise[column.name] == turned.noise[column.name] == alone.noise[column.name]
        assert together.expected_values[column.name] == alone.expected_values[column.name]
    assert together.factor == turned.factor


COLUMNS = [number(f"c{at}") for at in range(10)]


MATTERS = [replace(column, threshold=0.35 if at % 2 else LITTLE) for at, column in enumerate(COLUMNS[:6])]
"""Every second with a contract's threshold that chance reaches in a few of a hundred windows of 100 rows."""


@pytest.mark.parametrize(
    ("columns", "rows", "window", "share", "silent"),
    [
        pytest.param(COLUMNS[:1], 100, 100, 0.0, 0, id="one column"),
        pytest.param(COLUMNS, 200, 60, 0.0, 0, id="any of ten"),
        pytest.param(COLUMNS[:8], 100, 100, 0.2, 2, id="two silent beside eight"),
        pytest.param(MATTERS, 100, 100, 0.0, 0, id="larger distances matter"),
    ],
)
def test_chance_starts_a_training_as_seldom_as_asked_for(
    columns: list[CalibratedColumn], rows: int, window: int, share: float, silent: int
) -> None:
    """Each of ten columns keeps a rate of 5 %, and in 40 % of the windows one of them drifts: hence the factor."""
    alarms, pairs = np.zeros(2), 300
    for seed in range(pairs):
        chance = np.random.default_rng([seed, rows])
        reference, current = (independent(size, len(columns), chance) for size in (rows, window))
        made = by_rows(reference, *columns, rows=window, share=share, silent=silent)
        alarms += has_drifted([made, replace(made, factor=1.0)], columns, reference, current, share, silent)
    rate, single = alarms / pairs
    assert rate <= 0.08
    assert rate >= 0.015, "a threshold that nothing reaches would keep any rate"
    if len(columns) > 1:
        assert single > 0.15, "without the factor the rate is another"


@pytest.mark.parametrize("rows", [100, 1_000])
def test_a_column_that_moved_far_is_found_beside_nine_others(rows: int) -> None:
    """Thresholds that keep the rate must still let drift through."""
    for seed in range(20):
        chance = np.random.default_rng(seed)
        reference, current = independent(rows, 10, chance), independent(rows, 10, chance)
        made = by_rows(reference, *COLUMNS, rows=rows)
        current["c3"] += 1.0 if rows == 100 else 0.3
        assert moved(reference["c3"], current["c3"]) >= made.threshold(COLUMNS[3], values=rows)


def test_rows_that_share_a_key_are_drawn_together() -> None:
    """Thirty days are thirty draws of the weather: with rows drawn, most windows would alarm though nothing changed."""
    columns, alarms, alarms_by_rows, pairs, fewer = COLUMNS[:3], 0, 0, 300, 40
    for seed in range(pairs):
        chance = np.random.default_rng(seed)
        (reference, keys), (current, _) = grouped(30, 20, 3, chance), grouped(30, 20, 3, chance)
        made = calibrate(
            reference,
            keys,
            columns,
            current=Sizes(600, 30),
            drift_share_threshold=0.0,
            false_alarm_rate=0.05,
            resamples=200,
        )
        assert made.reference == Sizes(rows=600, keys=30)
        alarms += has_drifted([made], columns, reference, current, 0.0).sum()
        if seed < fewer:
            made = by_rows(reference, *columns, rows=600)
            alarms_by_rows += has_drifted([made], columns, reference, current, 0.0).sum()
    assert 0.02 <= alarms / pairs <= 0.09
    assert alarms_by_rows / fewer > 0.9, "the rows of these samples do depend on each other"


def test_keys_that_say_nothing_change_nothing() -> None:
    """Where a key's rows share nothing, drawing keys must not cost what could be found."""
    chance = np.random.default_rng(0)
    frame = independent(2_000, 1, chance)
    made = calibrate(
        frame,
        pd.Series(np.arange(2_000) % 400),
        [number("c0")],
        current=Sizes(rows=2_000, keys=400),
        drift_share_threshold=0.0,
        false_alarm_rate=0.05,
    )
    expected = by_rows(frame, number("c0"), rows=2_000, resamples=1_000)
    assert made.noise["c0"] == pytest.approx(expected.noise["c0"], rel=0.1)


def by_keys(rows: int, keys: int) -> Calibration:
    """Of a reference of 40 keys of 25 rows each, for a window of such a size."""
    frame, of_rows = grouped(40, 25, 1, np.random.default_rng(0))
    return calibrate(
        frame,
        of_rows,
        [number("c0")],
        current=Sizes(rows=rows, keys=keys),
        drift_share_threshold=0.0,
        false_alarm_rate=0.05,
        resamples=200,
    )


def test_a_window_is_stood_for_by_as_many_keys_as_it_has() -> None:
    """Fewer days tell less, however many rows they have."""
    noise = [by_keys(25 * keys, keys).noise["c0"] for keys in (40, 20, 10, 5)]
    assert noise == sorted(noise)
    assert noise[-1] > 1.5 * noise[0]
    assert by_keys(10_000, 10).noise == by_keys(250, 10).noise, "more rows a key than the reference has"


def test_a_window_of_few_rows_a_key_keeps_its_keys() -> None:
    """Forty keys of a row each are no thousand rows, but they do tell more than two keys of twenty-five rows."""
    many, single, two = (by_keys(rows, keys).noise["c0"] for rows, keys in ((1_000, 40), (40, 40), (50, 2)))
    assert many < single < 0.5 * two
    noise = [by_keys(rows, 40).noise["c0"] for rows in (800, 400, 120, 40)]
    assert noise == sorted(set(noise))


def test_a_window_of_almost_as_many_rows_a_key_has_the_same_noise() -> None:
    """Each night's window has a few rows more or less; its thresholds would be others for nothing."""
    expected = by_keys(1_000, 40).noise
    assert by_keys(900, 40).noise == by_keys(1_100, 40).noise == expected
    assert by_keys(899, 40).noise != expected


def day_like(keys: int, rows_a_key: int, alike: float, chance: np.random.Generator) -> tuple[pd.DataFrame, Column]:
    """Normal numbers that share so much of their variance with the others of their key; and the keys."""
    shared = np.repeat(chance.normal(0, math.sqrt(alike), keys), rows_a_key)
    own = chance.normal(0, math.sqrt(1 - alike), keys * rows_a_key)
    return pd.DataFrame({"number": shared + own}), pd.Series(np.repeat(np.arange(keys), rows_a_key))


@pytest.mark.parametrize("alike", [0.0, 0.3])
def test_noise_is_what_windows_of_fewer_rows_a_key_really_reach(alike: float) -> None:
    """A daily window of 28 days of 20 rows is neither two whole days nor 28: drift would be missed, or chance be it."""
    true = []
    for seed in range(400):
        chance = np.random.default_rng([seed, 1])
        (reference, _), (current, _) = day_like(69, 290, alike, chance), day_like(28, 20, alike, chance)
        true.append(moved(reference["number"], current["number"]))
    for seed in range(3):
        reference, keys = day_like(69, 290, alike, np.random.default_rng([seed, 2]))
        made = calibrate(
            reference,
            keys,
            [number()],
            current=Sizes(rows=28 * 20, keys=28),
            drift_share_threshold=0.0,
            false_alarm_rate=0.01,
        )
        assert made.noise["number"] == pytest.approx(np.quantile(true, 0.99), rel=0.25)


def on_some_keys(keys: int, rows_a_key: int, chance: np.random.Generator) -> pd.DataFrame:
    """A number that a tenth of the keys have, and which the rows of a key share the most of; beside it the keys."""
    frame, of_rows = day_like(keys, rows_a_key, 0.8, chance)
    there = np.repeat(chance.random(keys) < 0.1, rows_a_key)
    return frame.assign(number=frame["number"].where(there), key=of_rows)


def test_a_column_with_values_on_few_keys_keeps_its_rate() -> None:
    """Three of four windows have none of it and are not compared; as distances of 0 they hid what the fourth does."""
    alarms, windows, drawn = 0, 0, 600
    for seed in range(drawn):
        chance = np.random.default_rng([seed, 3])
        reference, current = on_some_keys(100, 10, chance), on_some_keys(3, 10, chance)
        values = current["number"].dropna()
        if not len(values):
            continue
        made = calibrate(
            reference,
            reference["key"],
            [number()],
            current=Sizes(rows=30, keys=3),
            drift_share_threshold=0.0,
            false_alarm_rate=0.1,
            resamples=200,
        )
        windows += 1
        distance = moved(reference["number"].dropna(), values)
        alarms += distance >= made.threshold(number(), values=len(values))
    assert windows / drawn < 0.3
    assert 0.04 <= alarms / windows <= 0.18


@pytest.mark.parametrize("columns", [[number("c0")], [number("c0", "psi")], [number("c0", "ed")]])
def test_what_chance_makes_grows_as_the_window_gets_smaller(columns: list[CalibratedColumn]) -> None:
    """Thresholds of a large window would call most small ones drifted."""
    frame = independent(1_000, 1, np.random.default_rng(0))
    noise = [by_rows(frame, *columns, rows=rows).noise["c0"] for rows in (1_000, 300, 100, 30)]
    assert noise == sorted(set(noise))
    assert noise[-1] > 2 * noise[0]


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.floats(1e-6, 10), st.integers(0, 600), st.floats(0, 1))
def test_a_threshold_is_never_below_the_contracts_nor_below_noise(
    seed: int, threshold: float, values: int, share: float
) -> None:
    """With many rows everything differs significantly; the contract says from which distance on it matters."""
    chance = np.random.default_rng(seed)
    frame, columns = mixed(100, chance)
    columns = [replace(column, threshold=threshold) for column in columns]
    made = by_rows(frame, *columns, rows=150, share=share, resamples=30)
    assert made.factor >= 1
    for column in columns:
        found = made.threshold(column, values=values)
        raised = made.noise[column.name] * (made.factor if column.in_share else 1)
        assert found >= max(threshold, raised) >= max(threshold, made.noise[column.name])
        assert found == max(threshold, raised) or values < made.expected_values[column.name][1]
        assert math.isfinite(found)


def test_the_contracts_threshold_is_the_threshold_where_chance_makes_less() -> None:
    """Noise is no addition to it, and no reason to raise it."""
    frame = independent(1_000, 3, np.random.default_rng(0))
    columns = [number(f"c{at}", threshold=0.5) for at in range(3)]
    made = by_rows(frame, *columns, rows=1_000)
    assert max(made.noise.values()) < 0.25
    assert made.factor == 1.0
    assert [made.threshold(column, values=1_000) for column in columns] == [0.5] * 3


def test_the_contracts_threshold_is_not_raised_by_what_chance_does_to_the_others() -> None:
    """A distance that matters, and that chance does not reach, would be missed for the other columns' noise."""
    frame = independent(100, 10, np.random.default_rng(0))
    made = by_rows(frame, *COLUMNS, rows=100)
    noise = made.noise["c0"]
    assert made.factor > 1.15
    within = replace(COLUMNS[0], threshold=noise * (1 + made.factor) / 2)
    above = replace(COLUMNS[0], threshold=noise * made.factor * 1.01)
    assert made.threshold(within, values=100) == noise * made.factor
    assert made.threshold(above, values=100) == above.threshold
    assert made.threshold(replace(above, in_share=False), values=100) == above.threshold


@pytest.mark.parametrize("loud", [1, 10])
def test_distances_below_the_contracts_threshold_ask_for_no_factor(loud: int) -> None:
    """Nine columns that chance never makes drift are no nine chances: the tenth would be missed for them."""
    frame = independent(100, 10, np.random.default_rng(0))
    columns = [column if at < loud else replace(column, threshold=1.0) for at, column in enumerate(COLUMNS)]
    made = by_rows(frame, *columns, rows=100)
    assert max(made.noise.values()) < 0.5
    assert made.factor == by_rows(frame, *columns[:loud], rows=100).factor
    assert (made.factor > 1.15) is (loud == 10)


def test_what_chance_makes_of_a_distance_that_matters_asks_for_a_factor() -> None:
    """Where a contract's threshold is within chance's reach, its columns can alarm like all others."""
    frame = independent(100, 10, np.random.default_rng(0))
    free = by_rows(frame, *COLUMNS, rows=100)
    within = [replace(column, threshold=min(free.noise.values())) for column in COLUMNS]
    assert by_rows(frame, *within, rows=100).factor == free.factor
    beyond = [replace(column, threshold=max(free.noise.values()) * free.factor * 1.2) for column in COLUMNS]
    assert by_rows(frame, *beyond, rows=100).factor == 1.0


def eight_levels(rows: int) -> pd.DataFrame:
    """A category, a number that has a few values, and one that has many."""
    chance = np.random.default_rng(2)
    return pd.DataFrame({"group": chance.integers(0, 8, rows), "number": chance.normal(size=rows)})


@pytest.mark.parametrize(
    ("column", "power"),
    [
        (number(), 0.5),
        (number(method="ed"), 0.5),
        (category(), 0.5),
        (category(method="hellinger"), 0.5),
        (category(method="psi"), 1),
        (category(method="kl_div"), 1),
    ],
)
def test_a_window_of_fewer_values_than_expected_has_the_noise_of_so_many_rows(
    column: CalibratedColumn, power: float
) -> None:
    """A feature that went null in most rows is a small window; by another power it would drift, or never."""
    frame = eight_levels(3_000)
    made, small = (by_rows(frame, column, rows=rows, resamples=1_000) for rows in (3_000, 300))
    raised = made.threshold(column, values=300)
    assert raised / made.threshold(column, values=3_000) == pytest.approx(5.5**power)
    assert raised == pytest.approx(small.threshold(column, values=300), rel=0.15)


def test_a_window_of_more_values_than_expected_has_the_noise_that_was_measured() -> None:
    """Keys were drawn for the window's rows; values that came to life say nothing of how keys differ."""
    made = by_rows(eight_levels(300), number(), rows=100)
    thresholds = [made.threshold(number(), values=values) for values in (0, 1, 2, 99, 100, 101, 5_000)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[0] == thresholds[1], "of no value there is no distance either"
    assert len(set(thresholds[:5])) == 4
    assert set(thresholds[4:]) == {made.noise["number"] * made.factor}


def test_what_is_missing_takes_the_contracts_threshold_along_only_where_noise_is_larger() -> None:
    """A distance that matters matters at any size."""
    column = number(threshold=0.5)
    made = by_rows(eight_levels(3_000), column, rows=3_000)
    assert made.threshold(column, values=1_000) == 0.5
    assert made.threshold(column, values=5) > 0.5


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_nulls_and_infinities_are_no_values(missing: float) -> None:
    """Half of the rows have one: the noise is that of half as many values, and as many are expected in the window."""
    chance = np.random.default_rng(0)
    values = chance.normal(size=1_000)
    frame = pd.DataFrame({"half": np.where(np.arange(1_000) % 2, values, missing), "whole": values})
    made = by_rows(frame, number("half"), number("whole"), rows=400, resamples=1_000)
    assert made.expected_values == {"half": (500, 200.0), "whole": (1_000, 400.0)}
    expected = by_rows(pd.DataFrame({"half": values[1::2]}), number("half"), rows=200, resamples=1_000)
    assert made.noise["half"] == pytest.approx(expected.noise["half"], rel=0.1)
    assert made.noise["whole"] < 0.85 * made.noise["half"]


@pytest.mark.parametrize("column", [number(), category("number"), number(method="psi"), number(method="hellinger")])
def test_resamples_without_a_value_say_nothing(column: CalibratedColumn) -> None:
    """A column that is null in 99 of 100 rows: distances that are no number would make all thresholds none."""
    frame = pd.DataFrame({"number": [1.0, 2.0, 4.0] + [np.nan] * 297, "other": np.arange(300.0)})
    made = by_rows(frame, column, number("other"), rows=40, rate=0.2)
    assert all(math.isfinite(noise) and noise > 0 for noise in made.noise.values())
    assert made.factor == pytest.approx(1, abs=1)
    assert made.expected_values["number"] == (3, 0.4)


def test_a_column_that_no_resample_has_keeps_the_contracts_threshold() -> None:
    """Of no distance there is no quantile; the others' thresholds must not hang on it."""
    frame = independent(3_000, 1, np.random.default_rng(0))
    frame["number"] = np.where(frame.index < 2, frame.index, np.nan)
    column = number(threshold=0.3)
    made = by_rows(frame, column, number("c0"), rows=1, resamples=20)
    assert (made.noise["number"], made.factor) == (0.0, 1.0)
    assert made.threshold(column, values=1) == 0.3
    assert made.noise["c0"] > 0


def test_columns_that_move_together_are_one_chance() -> None:
    """Ten copies of a column drift together or not at all; drawn each for itself, they would need a factor."""
    chance = np.random.default_rng(0)
    apart = independent(100, 10, chance)
    alike = pd.DataFrame(dict.fromkeys(apart, apart["c0"]))
    assert by_rows(alike, *COLUMNS, rows=100).factor == pytest.approx(1, abs=1e-6)
    assert by_rows(apart, *COLUMNS, rows=100).factor > 1.15


def test_only_columns_of_the_share_are_raised_by_the_factor() -> None:
    """The target and the scores start no training: what is said of them is their own rate's alone."""
    frame = independent(100, 11, np.random.default_rng(0))
    beside = replace(number("c10"), in_share=False)
    without, made = by_rows(frame, *COLUMNS, rows=100), by_rows(frame, beside, *COLUMNS, rows=100)
    assert made.factor == without.factor > 1.15
    assert made.threshold(beside, values=100) == made.noise["c10"]
    assert made.threshold(COLUMNS[0], values=100) == made.noise["c0"] * made.factor
    assert made.threshold(replace(COLUMNS[0], threshold=2.0), values=100) == 2.0


def test_without_a_column_in_the_share_there_is_no_factor() -> None:
    """All features may be unusable, and the target is still compared."""
    frame = independent(100, 2, np.random.default_rng(0))
    made = by_rows(frame, *(replace(number(f"c{at}"), in_share=False) for at in range(2)), rows=100)
    assert made.factor == 1.0
    assert min(made.noise.values()) > 0


def test_one_column_of_many_needs_no_factor_where_it_cannot_exceed_the_share() -> None:
    """Thresholds would be raised, and drift missed, for alarms that cannot happen."""
    frame = independent(100, 10, np.random.default_rng(0))
    for share, least in ((0.0, 1.15), (0.09, 1.15), (0.5, 1.0), (0.9, 1.0), (1.0, 1.0)):
        made = by_rows(frame, *COLUMNS, rows=100, share=share)
        assert made.factor >= least
        assert (made.factor == 1.0) is (least == 1.0)


@pytest.mark.parametrize(
    ("silent", "like"),
    [
        # Of ten features three must drift; what went silent is among them, and one tips it where two did.
        (1, 0.2),
        (2, 0.05),
        # They alone exceed the share, so that no threshold can make it happen less often.
        (3, None),
        (30, None),
    ],
)
def test_columns_that_went_silent_are_part_of_the_share(silent: int, like: float | None) -> None:
    """Beside two silent columns of ten one more starts a training, by chance in a third of all windows."""
    columns = COLUMNS[: 10 - min(silent, 3)]
    frame = independent(100, 10, np.random.default_rng(0))
    made = by_rows(frame, *columns, rows=100, share=0.2, silent=silent)
    if like is None:
        assert made.factor == 1.0
    else:
        assert made.factor == by_rows(frame, *columns, rows=100, share=like).factor > 1.05
        assert made.factor > by_rows(frame, *columns, rows=100, share=0.25).factor
    assert made.noise == by_rows(frame, *columns, rows=100).noise


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 40), st.integers(0, 40), st.integers(0, 100), st.integers(0, 9), st.integers(0, 12))
@example(columns=1, noisy=1, hundredths=0, beside=0, silent=0)
@example(columns=1, noisy=1, hundredths=100, beside=0, silent=0)
@example(columns=10, noisy=10, hundredths=30, beside=0, silent=0)
@example(columns=10, noisy=3, hundredths=10, beside=0, silent=0)
@example(columns=30, noisy=25, hundredths=10, beside=0, silent=0)
@example(columns=100, noisy=100, hundredths=29, beside=0, silent=0)
@example(columns=10, noisy=3, hundredths=20, beside=9, silent=0)
@example(columns=17, noisy=17, hundredths=100, beside=0, silent=0)
@example(columns=8, noisy=8, hundredths=20, beside=0, silent=2)
@example(columns=7, noisy=7, hundredths=20, beside=2, silent=3)
@example(columns=9, noisy=9, hundredths=100, beside=0, silent=1)
@example(columns=90, noisy=90, hundredths=29, beside=0, silent=10)
def test_the_columns_that_are_decisive_are_those_that_exceed_the_share(
    columns: int, noisy: int, hundredths: int, beside: int, silent: int
) -> None:
    """One too many, and the rate is not kept; one too few, and drift is missed. Only the noisy ones can ever drift."""
    noisy, share = min(noisy, columns), hundredths / 100
    frame = independent(30, columns + beside, np.random.default_rng(0))
    asked = [number(f"c{at}", threshold=LITTLE if at < noisy else MUCH) for at in range(columns)]
    target_and_scores = [replace(number(f"c{columns + at}"), in_share=False) for at in range(beside)]
    made = by_rows(frame, *asked, *target_and_scores, rows=30, share=share, rate=0.2, silent=silent, resamples=40)

    def exceeds(drifted: int) -> bool:
        said = [True] * (drifted + silent) + [False] * (columns - drifted)
        return drift_share([ColumnDrift("c", "stable", "psi", counts_as_drifted=counts) for counts in said]) > share

    decisive = next((drifted for drifted in range(noisy + 1) if exceeds(drifted)), None)
    if not decisive:
        assert made.factor == 1.0
    else:
        noisy_ones = by_rows(frame, *asked[:noisy], rows=30, share=(decisive - 0.5) / noisy, rate=0.2, resamples=40)
        assert made.factor == noisy_ones.factor


@pytest.mark.parametrize("method", ["jensenshannon", "psi", "kl_div", "hellinger"])
def test_a_flag_reaches_its_threshold_as_seldom_as_asked_for(method: str) -> None:
    """It has few possible distances, and one of them as threshold would be reached by all windows that have it."""
    rows, rate = 10, 0.15
    frame = pd.DataFrame({"flag": np.arange(rows) == 0})
    noise = by_rows(frame, category("flag", method), rows=rows, rate=rate, resamples=1_000).noise["flag"]
    set_in = np.arange(rows + 1)
    before, now = (found.ravel() for found in np.meshgrid(set_in, set_in))
    counts, counts_now = (np.stack([rows - found, found]).astype(float) for found in (before, now))
    distance = distances(method, counts, counts_now, np.arange(2.0))
    odds = binom.pmf(before, rows, 1 / rows) * binom.pmf(now, rows, 1 / rows)
    assert odds[distance >= noise].sum() < rate < odds[distance >= noise * 0.999].sum()


def test_a_larger_rate_is_kept_as_well() -> None:
    """A threshold that is higher than chance asks for finds less, and a lower one calls chance drift."""
    alarms, pairs = 0, 250
    for seed in range(pairs):
        chance = np.random.default_rng([seed, 4])
        reference, current = independent(60, 1, chance), independent(60, 1, chance)
        made = by_rows(reference, COLUMNS[0], rows=60, rate=0.2)
        alarms += has_drifted([made], COLUMNS[:1], reference, current, 0.0).sum()
    assert 0.15 <= alarms / pairs <= 0.25


def test_numbers_are_binned_as_evidently_bins_both_samples() -> None:
    """Its number of bins grows with the values of both together, and noise with the bins."""
    chance = np.random.default_rng(0)
    frame = pd.DataFrame({"number": np.where(np.arange(200) % 2, chance.normal(size=200), np.nan)})
    noise = [
        calibrate(
            frame,
            each_row(frame),
            [number(method="psi")],
            current=Sizes(rows=rows, keys=50),
            drift_share_threshold=0.0,
            false_alarm_rate=0.05,
            resamples=100,
        ).noise["number"]
        for rows in (210, 300, 320)
    ]
    assert noise[0] == noise[1], "205 and 250 values have nine bins"
    assert noise[1] != noise[2], "260 have ten"


def test_a_larger_rate_asks_for_a_smaller_distance() -> None:
    """Turned round, the contract's rate would be kept by none."""
    frame = independent(100, 10, np.random.default_rng(0))
    found = [by_rows(frame, *COLUMNS, rows=100, rate=rate, resamples=500) for rate in (0.01, 0.05, 0.2)]
    thresholds = [made.threshold(COLUMNS[0], values=100) for made in found]
    assert thresholds == sorted(set(thresholds), reverse=True)
    noise = [made.noise["c0"] for made in found]
    assert noise == sorted(set(noise), reverse=True)


def test_codes_are_categories_where_the_contract_says_so() -> None:
    """The distance of their shares does not care which code is next to which."""
    chance = np.random.default_rng(0)
    codes = chance.integers(0, 40, 400)
    renamed: npt.NDArray[np.intp] = chance.permutation(40)[codes]
    frame = pd.DataFrame({"codes": codes, "renamed": renamed, "text": [f"code {code:02}" for code in codes]})
    made = by_rows(frame, category("codes"), category("renamed"), category("text"), rows=200)
    assert made.noise["codes"] == pytest.approx(made.noise["renamed"]) == pytest.approx(made.noise["text"])
    assert by_rows(frame, number("codes", "jensenshannon"), rows=200).noise["codes"] < 0.7 * made.noise["codes"]
