import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from evidently.legacy.calculations.stattests import get_stattest
from evidently.legacy.core import ColumnType
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mlops_assets.domain.drift_columns import Column
from mlops_assets.domain.drift_statistics import (
    FINEST_LEVELS,
    METHODS,
    NUMBERS_AS_LEVELS,
    TAIL_VALUES,
    Counts,
    Levels,
    distances,
    levels,
    noise_exponent,
)

Numbers = npt.NDArray[np.float64]

BETWEEN_VALUES = ["wasserstein", "ed"]
OF_SHARES = ["jensenshannon", "kl_div", "psi", "hellinger"]
ALL = [*BETWEEN_VALUES, *OF_SHARES]
SEEDS = st.integers(0, 2**32 - 1)

each_method = pytest.mark.parametrize("method", ALL)


def exactly(expected: float, method: str) -> object:
    """The same but for rounding; the root of 1 - 1 keeps half of the digits."""
    return pytest.approx(expected, rel=1e-9, abs=1e-7 if method == "hellinger" else 1e-9)


def evidently(reference: Column, current: Column, method: str, *, is_category: bool) -> float:
    """The distance that a report says."""
    kind = ColumnType.Categorical if is_category else ColumnType.Numerical
    before, now = (sample.reset_index(drop=True) for sample in (reference, current))
    return float(get_stattest(before, now, kind, method)(before, now, kind, None).drift_score)


def counted(made: Levels, rows: npt.NDArray[np.intp]) -> Counts:
    """How often each level is in a sample of these rows; shape [levels, 1]."""
    return np.bincount(made.of_value[rows], minlength=len(made.centres)).astype(float)[:, None]


def ours(
    values: Column, before: npt.NDArray[np.intp], now: npt.NDArray[np.intp], method: str, *, is_category: bool = False
) -> float:
    """The distance between two samples of the values, on levels of all of them."""
    made = levels(values, method, is_category=is_category, pooled=len(before) + len(now))
    return float(distances(method, counted(made, before), counted(made, now), made.centres)[0])


def numbers(kind: str, rows: int, chance: np.random.Generator) -> Numbers:
    """Numbers as they occur in features."""
    found: dict[str, Callable[[], npt.NDArray[np.floating[Any]]]] = {
        "normal": lambda: chance.normal(3, 20, rows),
        "skewed": lambda: chance.lognormal(0, 1.5, rows),
        "far tails": lambda: chance.standard_t(1.5, rows),
        "two groups": lambda: np.where(
            chance.random(rows) < 0.3, chance.normal(-5, 0.1, rows), chance.normal(9, 2, rows)
        ),
        "integers": lambda: chance.poisson(40, rows).astype(float),
        "few integers": lambda: chance.integers(-3, 4, rows).astype(float),
        "mostly zero": lambda: np.where(chance.random(rows) < 0.8, 0.0, chance.exponential(5, rows)),
        "almost constant": lambda: 5 + chance.normal(0, 1e-5, rows),
    }
    return np.asarray(found[kind](), dtype=np.float64)


KINDS_OF_NUMBERS = [
    "normal",
    "skewed",
    "far tails",
    "two groups",
    "integers",
    "few integers",
    "mostly zero",
    "almost constant",
]


def leaning(
    values: npt.NDArray[np.floating[Any]], drawn: int, lean: float, chance: np.random.Generator
) -> npt.NDArray[np.intp]:
    """Rows drawn with replacement; with a lean above 1, rather those of small values."""
    at = (chance.random(drawn) ** lean * len(values)).astype(int)
    return np.asarray(np.argsort(values, kind="stable")[at])


def is_power_of_two(size: int) -> bool:
    return size & (size - 1) == 0


@pytest.mark.parametrize("method", OF_SHARES)
@settings(deadline=None, max_examples=60)
@given(
    SEEDS, st.sampled_from(KINDS_OF_NUMBERS), st.integers(30, 400), st.integers(1, 400), st.sampled_from([1, 1.1, 3])
)
def test_shares_of_binned_numbers_are_evidentlys(
    method: str, seed: int, kind: str, rows: int, drawn: int, lean: float
) -> None:
    """The threshold would be of another distance than the one that is held to it."""
    chance = np.random.default_rng(seed)
    values = pd.Series(numbers(kind, rows, chance))
    # There the last digit of a division decides whether Evidently has one bin more.
    assume(not is_power_of_two(values.nunique() if method == "hellinger" else rows + drawn))
    now = leaning(values.to_numpy(), drawn, lean, chance)
    expected = evidently(values, values.iloc[now], method, is_category=False)
    assert ours(values, np.arange(rows), now, method) == exactly(expected, method)


@pytest.mark.parametrize("method", OF_SHARES)
@pytest.mark.parametrize("different", [5, NUMBERS_AS_LEVELS - 1, NUMBERS_AS_LEVELS, NUMBERS_AS_LEVELS + 1, 90])
def test_few_different_numbers_are_levels_where_they_are_evidentlys(method: str, different: int) -> None:
    """From 21 different values on Evidently bins a number, for three of the methods."""
    chance = np.random.default_rng(different)
    values = pd.Series(np.resize(np.sort(chance.normal(0, 1, different)), 500))
    now = leaning(values.to_numpy(), 130, 1.3, chance)
    expected = evidently(values, values.iloc[now], method, is_category=False)
    assert expected > 0.005
    assert ours(values, np.arange(500), now, method) == exactly(expected, method)
    made = levels(values, method, is_category=False, pooled=630)
    assert (len(made.centres) == different) is (method != "hellinger" and different <= NUMBERS_AS_LEVELS)


@pytest.mark.parametrize("method", BETWEEN_VALUES)
@settings(deadline=None, max_examples=60)
@given(SEEDS, st.sampled_from(KINDS_OF_NUMBERS), st.integers(2, 256), st.integers(1, 256), st.sampled_from([1, 1.1, 3]))
def test_distances_between_few_values_are_evidentlys(
    method: str, seed: int, kind: str, rows: int, drawn: int, lean: float
) -> None:
    """Up to 512 values each has its own level, and there is nothing to be rounded."""
    chance = np.random.default_rng(seed)
    values = pd.Series(np.concatenate([numbers(kind, rows, chance), numbers(kind, rows, chance)]))
    before = chance.integers(len(values), size=rows)
    now = leaning(values.to_numpy(), drawn, lean, chance)
    expected = evidently(values.iloc[before], values.iloc[now], method, is_category=False)
    assert ours(values, before, now, method) == exactly(expected, method)


@pytest.mark.parametrize("method", BETWEEN_VALUES)
@pytest.mark.parametrize("kind", KINDS_OF_NUMBERS)
@pytest.mark.parametrize("drawn", [200, 6_000])
def test_distances_between_many_values_are_evidentlys_within_one_percent(method: str, kind: str, drawn: int) -> None:
    """Levels are means of bins there; drift would be measured by another size than it is held to."""
    chance = np.random.default_rng(5)
    values = pd.Series(numbers(kind, 6_000, chance))
    before = chance.integers(len(values), size=6_000)
    now = leaning(values.to_numpy(), drawn, 1.1, chance)
    expected = evidently(values.iloc[before], values.iloc[now], method, is_category=False)
    assert ours(values, before, now, method) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("method", BETWEEN_VALUES)
@pytest.mark.parametrize("kind", KINDS_OF_NUMBERS)
def test_the_noise_of_many_values_is_evidentlys(method: str, kind: str) -> None:
    """Of small distances single ones are off by more than a percent; the threshold, of many, must not be."""
    chance = np.random.default_rng(0)
    values = pd.Series(numbers(kind, 4_000, chance))
    pairs = [chance.integers(len(values), size=(2, 4_000)) for _ in range(40)]
    expected = [evidently(values.iloc[before], values.iloc[now], method, is_category=False) for before, now in pairs]
    found = [ours(values, before, now, method) for before, now in pairs]
    assert np.quantile(found, 0.9) == pytest.approx(np.quantile(expected, 0.9), rel=0.02)
    assert found == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("method", OF_SHARES)
@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from(["a", "b", "c", 'it\'s "d"', ""]), min_size=1, max_size=60),
    st.lists(st.sampled_from(["b", "a", "never seen", "c", "z"]), min_size=1, max_size=60),
)
def test_shares_of_categories_are_evidentlys(method: str, before: list[str], now: list[str]) -> None:
    """Also where one sample lacks a category, for which Evidently fills in a share."""
    values = pd.Series([*before, *now], dtype=object)
    rows = np.arange(len(values))
    expected = evidently(values.iloc[: len(before)], values.iloc[len(before) :], method, is_category=True)
    found = ours(values, rows[: len(before)], rows[len(before) :], method, is_category=True)
    assert found == exactly(expected, method)


@pytest.mark.parametrize("method", OF_SHARES)
@pytest.mark.parametrize("rows", [9_000, 10_000, 11_000, 50_000])
@pytest.mark.parametrize("turned", [False, True])
def test_the_share_that_is_filled_in_is_evidentlys(method: str, rows: int, turned: bool) -> None:
    """It is another from the size on at which one row is a share of 0.0001, and much of a divergence hangs on it."""
    values = pd.Series(["common"] * (rows - 1) + ["rare", "common", "common", "new"])
    before, now = np.arange(rows), np.arange(rows, rows + 3)
    before, now = (now, before) if turned else (before, now)
    expected = evidently(values.iloc[before], values.iloc[now], method, is_category=True)
    assert expected > 0.05
    assert ours(values, before, now, method, is_category=True) == exactly(expected, method)


@pytest.mark.parametrize("method", OF_SHARES)
@pytest.mark.parametrize("different", [5, 60])
def test_a_category_may_be_a_number(method: str, different: int) -> None:
    """Codes are categories where the contract says so, however many: bins of them would mix what is unlike."""
    chance = np.random.default_rng(0)
    values = pd.Series(chance.integers(0, different, 700))
    now = leaning(values.to_numpy(), 300, 1.2, chance)
    expected = evidently(values, values.iloc[now], method, is_category=True)
    assert ours(values, np.arange(700), now, method, is_category=True) == exactly(expected, method)
    assert len(levels(values, method, is_category=True, pooled=1_000).centres) == different


@pytest.mark.parametrize("method", BETWEEN_VALUES)
@pytest.mark.parametrize("offset", [1e6, 1e9, -1e9])
@pytest.mark.parametrize("rows", [250, 5_000])
def test_numbers_far_from_zero_keep_their_digits(method: str, offset: float, rows: int) -> None:
    """The squares of times in seconds have no digits left for their spread: noise would be anything."""
    chance = np.random.default_rng(1)
    values = pd.Series(offset + chance.normal(0, 1, 2 * rows))
    before, now = chance.integers(2 * rows, size=(2, rows))
    expected = evidently(values.iloc[before], values.iloc[now], method, is_category=False)
    assert expected > 0.01
    assert ours(values, before, now, method) == pytest.approx(expected, rel=1e-6 if rows == 250 else 0.01)


def test_the_far_values_at_both_ends_have_levels_of_their_own() -> None:
    """A few of them are most of the distance; averaged with nearer ones they would hide each other."""
    values = pd.Series(np.random.default_rng(0).standard_t(1.5, 20_000))
    centres = levels(values, "wasserstein", is_category=False, pooled=40_000).centres
    ordered = np.sort(values)
    assert centres[-TAIL_VALUES:] == pytest.approx(ordered[-TAIL_VALUES:], rel=1e-12)
    assert centres[: TAIL_VALUES - 1] == pytest.approx(ordered[: TAIL_VALUES - 1], rel=1e-12)
    assert len(centres) <= FINEST_LEVELS + 2 * TAIL_VALUES


@each_method
@settings(deadline=None, max_examples=40)
@given(SEEDS, st.sampled_from(KINDS_OF_NUMBERS), st.integers(1, 3_000), st.integers(0, 3_000))
def test_levels_are_the_same_to_the_last_digit_for_values_in_any_order(
    method: str, seed: int, kind: str, rows: int, more: int
) -> None:
    """The same windows must give the same report; each value stays near its level, and levels ascend."""
    chance = np.random.default_rng(seed)
    values = pd.Series(numbers(kind, rows, chance))
    order = chance.permutation(rows)
    made = levels(values, method, is_category=False, pooled=rows + more)
    turned = levels(values.iloc[order], method, is_category=False, pooled=rows + more)
    assert np.array_equal(turned.centres, made.centres)
    assert np.array_equal(turned.of_value, made.of_value[order])
    assert np.all(np.diff(made.of_value[np.argsort(values, kind="stable")]) >= 0)
    assert made.of_value.max() == len(made.centres) - 1
    if method in BETWEEN_VALUES:
        assert np.all(np.diff(made.centres) > 0)
        for level in np.unique(made.of_value):
            assert made.centres[level] == pytest.approx(values[made.of_value == level].mean(), rel=1e-9, abs=1e-9)


def some_counts(seed: int, *, at_levels: int, samples: int) -> tuple[Counts, Counts, Numbers]:
    """Pairs of samples with empty levels among them, and the levels' values."""
    chance = np.random.default_rng(seed)
    before, now = chance.integers(0, 5, (2, at_levels, samples)).astype(float)
    return before, now, np.sort(chance.normal(0, 3, at_levels))


@each_method
@given(SEEDS, st.integers(1, 12), st.integers(1, 9))
def test_many_pairs_at_once_are_as_far_apart_as_one_after_the_other(
    method: str, seed: int, at_levels: int, samples: int
) -> None:
    """A sample's sum or least share taken over all of them would mix pairs that have nothing to do with each other."""
    before, now, centres = some_counts(seed, at_levels=at_levels, samples=samples)
    together = distances(method, before, now, centres)
    alone = [distances(method, before[:, [at]], now[:, [at]], centres)[0] for at in range(samples)]
    assert together.shape == (samples,)
    # Sums of the same pair come out in another order; the root of what is left of 0 keeps half of their digits.
    assert together == pytest.approx(alone, rel=1e-9, abs=1e-7, nan_ok=True)


@pytest.mark.filterwarnings("error")
@each_method
@given(SEEDS, st.integers(1, 12))
def test_an_empty_sample_is_no_number_and_the_others_stay(method: str, seed: int, at_levels: int) -> None:
    """Its distance would be taken for 0 or for the largest of all, and warn besides."""
    before, now, centres = some_counts(seed, at_levels=at_levels, samples=4)
    before[0], now[0] = 1, 1
    whole = distances(method, before, now, centres)
    before[:, [0, 2]] = 0
    now[:, [1, 2]] = 0
    found = distances(method, before, now, centres)
    assert np.isnan(found).tolist() == [True, True, True, False]
    assert found[3] == pytest.approx(whole[3], rel=1e-9, abs=1e-7)


@each_method
def test_a_rare_level_in_one_sample_is_nothing_to_the_others(method: str) -> None:
    """What an empty level is filled with follows from the sample's own least share."""
    before = np.array([[20_000.0, 30.0, 8.0], [1.0, 20.0, 0.0], [0.0, 0.0, 4.0]])
    now, centres = before[[2, 0, 1]], np.arange(3.0)
    together = distances(method, before, now, centres)
    alone = [distances(method, before[:, [at]], now[:, [at]], centres)[0] for at in range(3)]
    assert together == pytest.approx(alone, rel=1e-9)


@pytest.mark.filterwarnings("error")
@each_method
def test_samples_that_hardly_differ_are_a_number_apart(method: str) -> None:
    """Sums that are 0 but for their last digit come out below it, and have no root."""
    nearly = [(16_333, 49_000, 16_334, 49_003), (29_037, 49_000, 29_053, 49_027), (12_250, 49_001, 12_251, 49_005)]
    before = np.array([(some, rows - some) for some, rows, _, _ in nearly], dtype=float).T
    now = np.array([(some, rows - some) for _, _, some, rows in nearly], dtype=float).T
    assert distances(method, before, now, np.array([1.0, 2.0])) == pytest.approx(np.zeros(3), abs=1e-6)


@pytest.mark.filterwarnings("error")
@each_method
@given(SEEDS, st.integers(1, 8))
def test_values_that_lie_close_together_far_from_others_are_a_number_apart(method: str, seed: int, close: int) -> None:
    """A resample may hold nothing but them: their spread is lost in the digits, and must not be below 0."""
    chance = np.random.default_rng(seed)
    centres = np.concatenate([np.arange(-2.0 * close, 0), 1e6 + np.cumsum(chance.random(close) * 1e-5)])
    before, now = chance.integers(1, 50, (2, 3 * close, 6)).astype(float)
    before[: 2 * close] = 0
    found = distances(method, before, now, centres)
    assert np.all(np.isfinite(found))
    assert np.all(found >= 0)


@each_method
@given(SEEDS, st.integers(1, 12), st.integers(1, 7))
def test_a_sample_is_no_distance_from_itself_and_its_multiple(
    method: str, seed: int, at_levels: int, times: int
) -> None:
    """Shares are compared and not counts, for windows are not of the reference's size."""
    before, now, centres = some_counts(seed, at_levels=at_levels, samples=3)
    before[0], now[0] = 1, 1
    assert distances(method, before, times * before, centres) == pytest.approx(np.zeros(3), abs=1e-7)
    expected = distances(method, before, now, centres)
    assert distances(method, times * before, now, centres) == pytest.approx(expected, rel=1e-9, abs=1e-7)


@each_method
@pytest.mark.parametrize("value", [0.0, -3.5, 1e9])
@pytest.mark.parametrize("rows", [1, 3, 5_000])
def test_a_constant_column_has_one_level_and_no_distance(method: str, value: float, rows: int) -> None:
    """A resample may be constant: a division by its spread would be no number."""
    values = pd.Series(np.full(rows, value))
    made = levels(values, method, is_category=False, pooled=2 * rows)
    assert made.of_value.tolist() == [0] * rows
    assert distances(method, np.array([[4.0]]), np.array([[9.0]]), made.centres)[0] == 0


@pytest.mark.parametrize("value", [0.0, 1e9])
def test_a_constant_reference_sample_is_divided_by_evidentlys_least_spread(value: float) -> None:
    """A few resamples of a rare value have none; how far the others are from them is a number all the same."""
    values = pd.Series([value] * 40 + [value + 2.0] * 4)
    before, now = np.arange(40), np.arange(44)
    expected = evidently(values.iloc[before], values.iloc[now], "wasserstein", is_category=False)
    assert expected == pytest.approx(2 * 4 / 44 / 0.001)
    assert ours(values, before, now, "wasserstein") == pytest.approx(expected, rel=1e-9)


@each_method
def test_the_noise_falls_with_the_power_of_the_rows_that_is_named(method: str) -> None:
    """A window of fewer values than expected is allowed for by this power; the other one would be far off."""
    chance = np.random.default_rng(3)
    shares = chance.dirichlet(np.full(8, 5.0))
    centres = np.sort(chance.normal(size=8))
    noise = []
    for rows in (1_000, 16_000):
        before, now = (chance.multinomial(rows, shares, size=1_000).T.astype(float) for _ in range(2))
        noise.append(np.quantile(distances(method, before, now, centres), 0.9))
    power = math.log(noise[0] / noise[1]) / math.log(16)
    assert power == pytest.approx(noise_exponent(method), abs=0.1)


def test_every_method_of_the_contract_has_a_distance() -> None:
    """A contract that names another one would fail after its samples were drawn."""
    assert sorted(METHODS) == sorted(ALL)
