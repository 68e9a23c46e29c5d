import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t
from sklearn.metrics import roc_auc_score

from mlops_assets.domain.auc_difference import auc_difference, clustered_difference
from mlops_assets.domain.evaluation import Keys, Scores, Truth

# Albumin, total protein and Kaplan-Gordon score of 43 patients, and whether surgery helped: DeLong et al. (1988).
PATIENTS = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1  3.8 5.7 5 1
3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0
4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1
4.3 6.5 4 1  3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1
2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1  3.6 6.6 5 1
"""


def own_keys(truth: Truth) -> Keys:
    """Every row its own split key."""
    return np.arange(len(truth))


def two_models(
    rows: int, chance: np.random.Generator, *, gain: float = 0.0, rows_a_key: int = 1, shared: float = 0.2
) -> tuple[Truth, Scores, Scores, Keys]:
    """Two models of AUC 0.75, the first better by `gain`, whose scores are much alike; rows of a key share a part."""
    keys = np.arange(rows) // rows_a_key
    truth = chance.random(rows) < 0.3
    alike = chance.normal(size=rows) * math.sqrt(0.9)
    scores = []
    for auc in (0.75 + gain, 0.75):
        of_key = chance.normal(size=keys[-1] + 1)[keys] * math.sqrt(shared) if rows_a_key > 1 else np.zeros(rows)
        spread = math.sqrt(2 * (1 + (shared if rows_a_key > 1 else 0)))
        scores.append(truth * norm.ppf(auc) * spread + alike + chance.normal(0, math.sqrt(0.1), rows) + of_key)
    return truth, scores[0], scores[1], keys


@pytest.mark.parametrize(
    ("test", "gain", "low", "high"), [("albumin", 0.0108, -0.1761, 0.1976), ("total protein", -0.0780, -0.2830, 0.1271)]
)
def test_delong_gives_the_published_error(test: str, gain: float, low: float, high: float) -> None:
    """As the SAS/STAT manual prints bounds for the contrasts with the Kaplan-Gordon score, from the normal quantile.

    Here Student's quantile stands in its place: of the 43 patients 12 had the rarer outcome.
    """
    rows = np.array(PATIENTS.split(), dtype=float).reshape(-1, 4)
    truth, scores = rows[:, 3] == 1, {"albumin": rows[:, 0], "total protein": rows[:, 1], "score": 10 - rows[:, 2]}
    found = auc_difference(truth, scores[test], scores["score"], own_keys(truth), level=0.95)
    assert (found.method, found.keys, found.level) == ("delong", 43, 0.95)
    assert min(truth.sum(), (~truth).sum()) == 12
    narrower = float(norm.ppf(0.975) / t.ppf(0.975, 11))
    bounds = [found.gain + narrower * (bound - found.gain) for bound in (found.low, found.high)]
    assert [found.gain, *bounds] == pytest.approx([gain, low, high], abs=5e-5)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(1, 12), st.sampled_from([0, 1, 5]))
def test_the_gain_is_the_difference_of_the_aucs(seed: int, rows: int, rows_a_key: int, digits: int) -> None:
    """With ties as well, and whichever interval it gets."""
    chance = np.random.default_rng(seed)
    truth = np.arange(rows) % 3 == 0
    first, second = (np.round(chance.random(rows), digits) for _ in range(2))
    keys = np.arange(rows) // rows_a_key
    found = auc_difference(truth, first, second, keys, level=0.9)
    assert found.gain == pytest.approx(roc_auc_score(truth, first) - roc_auc_score(truth, second), abs=1e-12)
    assert found.low <= found.high
    assert found.method == ("delong" if rows_a_key == 1 else "bootstrap")


def test_the_bootstrap_of_rows_that_share_nothing_agrees_with_delong() -> None:
    """Each of the two holds the other: a slip in one would show here."""
    for seed in range(5):
        truth, first, second, _ = two_models(2_000, np.random.default_rng(seed), gain=0.01)
        delong = auc_difference(truth, first, second, own_keys(truth), level=0.95)
        # Pairs of rows that share nothing: half as many keys, and the same information.
        resampled = auc_difference(truth, first, second, own_keys(truth) // 2, level=0.95)
        assert (delong.method, resampled.method) == ("delong", "bootstrap")
        width = delong.high - delong.low
        assert [resampled.low, resampled.high] == pytest.approx([delong.low, delong.high], abs=0.1 * width)


@pytest.mark.parametrize(("rows", "rows_a_key"), [(400, 1), (1_000, 50), (400, 50)])
def test_the_interval_holds_the_true_difference_as_often_as_it_says(rows: int, rows_a_key: int) -> None:
    """Of eight keys too, of which plain percentiles hold it in 88 of 100."""
    held, draws = 0, 200
    for seed in range(draws):
        truth, first, second, keys = two_models(rows, np.random.default_rng([seed, rows]), rows_a_key=rows_a_key)
        found = auc_difference(truth, first, second, keys, level=0.95)
        held += found.low <= 0 <= found.high
    assert 0.9 <= held / draws <= 0.99


def test_rows_that_share_a_key_tell_less_than_as_many_that_do_not() -> None:
    """A gain on three odd days is no gain on a thousand flights."""
    truth, first, second, keys = two_models(1_000, np.random.default_rng(0), rows_a_key=50, shared=1.0)
    by_keys, by_rows = (auc_difference(truth, first, second, of, level=0.95) for of in (keys, own_keys(truth)))
    assert by_keys.high - by_keys.low > 1.5 * (by_rows.high - by_rows.low)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_the_interval_does_not_depend_on_the_order_of_rows(seed: int, rows_a_key: int) -> None:
    """The same rows come back from the store in another order, and must give the same verdict."""
    chance = np.random.default_rng(seed)
    truth, first, second, keys = two_models(90, chance, rows_a_key=rows_a_key)
    order = chance.permutation(len(truth))
    expected = auc_difference(truth, first, second, keys, level=0.95)
    turned = auc_difference(truth[order], first[order], second[order], keys[order], level=0.95)
    assert turned.gain == pytest.approx(expected.gain, abs=1e-12)
    assert [turned.low, turned.high] == pytest.approx([expected.low, expected.high], abs=1e-12)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_turned_round_it_says_the_opposite(seed: int, rows_a_key: int) -> None:
    """Which model is called the first must not matter."""
    truth, first, second, keys = two_models(120, np.random.default_rng(seed), rows_a_key=rows_a_key)
    there, back = (auc_difference(truth, *pair, keys, level=0.95) for pair in ((first, second), (second, first)))
    # Quantiles lie between two draws, from either side.
    assert [-back.gain, -back.high, -back.low] == pytest.approx([there.gain, there.low, there.high], abs=1e-9)


def test_a_wider_level_holds_a_narrower_one() -> None:
    """Who asks to be surer gets a lower bound that is lower."""
    truth, first, second, keys = two_models(600, np.random.default_rng(1), rows_a_key=20)
    found = [auc_difference(truth, first, second, keys, level=level) for level in (0.5, 0.8, 0.95, 0.99)]
    lows, highs = [one.low for one in found], [one.high for one in found]
    assert lows == sorted(lows, reverse=True)
    assert highs == sorted(highs)


@pytest.mark.parametrize("rows_a_key", [1, 7])
def test_a_model_compared_with_itself_gains_nothing_for_sure(rows_a_key: int) -> None:
    """The same scores differ in no draw."""
    truth, first, _, keys = two_models(140, np.random.default_rng(2), rows_a_key=rows_a_key)
    found = auc_difference(truth, first, first, keys, level=0.95)
    assert (found.gain, found.low, found.high) == (0, 0, 0)


@pytest.mark.parametrize(
    ("truth", "keys"),
    [
        ([True, False, False, True], [0, 0, 0, 0]),
        ([True, False] * 40, [0, 1, 2, 3] * 20),
        ([True, False, False], [0, 1, 1]),
        ([True, False, False, False], [0, 1, 2, 3]),
        ([True, True, True, False], [0, 1, 2, 3]),
    ],
    ids=["one key", "four keys", "no draw but the sample has both outcomes", "one true row", "one false row"],
)
def test_rows_that_tell_nothing_of_how_sure_it_is_give_no_bounds(truth: list[bool], keys: list[int]) -> None:
    """A bound of them would be believed."""
    first = np.random.default_rng(0).random(len(truth))
    found = auc_difference(np.array(truth), first, first[::-1], np.array(keys), level=0.95)
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert math.isfinite(found.gain)


def test_five_keys_are_the_fewest_that_give_bounds() -> None:
    """Their draws reach as far out as the interval of so few must."""
    truth, first, second, keys = two_models(300, np.random.default_rng(3), rows_a_key=60)
    found = auc_difference(truth, first, second, keys, level=0.95)
    assert (found.keys, found.method) == (5, "bootstrap")
    assert -1 < found.low < found.high < 1


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 200))
def test_the_clustered_error_of_rows_that_share_nothing_is_delongs(seed: int, pairs: int) -> None:
    """But for how few rows are accounted for: DeLong's divides by each outcome's rows less one."""
    truth, first, second, _ = two_models(2 * pairs, np.random.default_rng(seed))
    if min(truth.sum(), (~truth).sum()) < 2:
        return
    gain, error = clustered_difference(truth, first, second, own_keys(truth))
    found = auc_difference(truth, first, second, own_keys(truth), level=0.95)
    assert gain == pytest.approx(found.gain, abs=1e-12)
    few = int(min(truth.sum(), (~truth).sum()))
    assert (found.high - found.low) / 2 / t.ppf(0.975, few - 1) == pytest.approx(error, rel=1.2 / few, abs=1e-12)


@pytest.mark.parametrize("rows_a_key", [5, 50])
def test_the_clustered_error_is_how_far_the_difference_strays(rows_a_key: int) -> None:
    """Counted over draws, of rows that share much."""
    drawn = [
        clustered_difference(*two_models(1_000, np.random.default_rng([seed, 7]), rows_a_key=rows_a_key, shared=1.0))
        for seed in range(300)
    ]
    gains, errors = np.array(drawn).T
    assert float(np.sqrt(np.mean(errors**2))) == pytest.approx(float(gains.std()), rel=0.15)


@pytest.mark.parametrize(("keys", "with_true"), [(8, 1), (8, 2), (30, 1), (30, 2), (30, 4)])
def test_true_rows_of_few_split_keys_tell_nothing(keys: int, with_true: int) -> None:
    """However many days there are: those without a late flight say nothing of how late flights are ranked."""
    chance = np.random.default_rng(keys)
    of_key = np.arange(keys * 50) // 50
    truth = (of_key < with_true) & (np.arange(keys * 50) % 2 == 0)
    first, second = chance.random(len(truth)), chance.random(len(truth))
    found = auc_difference(truth, first, second, of_key, level=0.95)
    assert (found.low, found.high, found.keys) == (-math.inf, math.inf, with_true)


@pytest.mark.parametrize("true_rows", [2, 3, 5, 20])
def test_equal_models_are_seldom_better_on_few_true_rows(true_rows: int) -> None:
    """One of forty is what the level says; the normal quantile would give one of ten on two rows."""
    better, trials = 0, 400
    for seed in range(trials):
        chance = np.random.default_rng([seed, true_rows])
        truth = np.arange(1_000 + true_rows) < true_rows
        alike = truth + chance.normal(size=len(truth))
        first, second = (alike + chance.normal(0, 0.3, len(truth)) for _ in range(2))
        better += auc_difference(truth, first, second, own_keys(truth), level=0.95).low > 0
    assert better / trials <= 0.045, "0.025 is said; 0.045 is 2.5 standard errors above"


@pytest.mark.parametrize(("keys", "with_true"), [(30, 6), (8, 8)])
def test_equal_models_are_seldom_better_where_few_keys_hold_the_true_rows(keys: int, with_true: int) -> None:
    """The flights have eight days a month; a rare outcome may come on six of thirty."""
    better, trials = 0, 200
    for seed in range(trials):
        chance = np.random.default_rng([seed, keys])
        of_key = np.arange(keys * 40) // 40
        truth = (of_key < with_true) & (chance.random(len(of_key)) < 0.3)
        shared = [chance.normal(0, 0.5, keys)[of_key] for _ in range(2)]
        alike = truth + chance.normal(size=len(truth))
        first, second = (alike + chance.normal(0, 0.3, len(truth)) + own for own in shared)
        better += auc_difference(truth, first, second, of_key, level=0.95).low > 0
    assert better / trials <= 0.06, "0.025 is said; 0.06 is three standard errors above"
