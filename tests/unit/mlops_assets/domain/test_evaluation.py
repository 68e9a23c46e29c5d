import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mlops_assets.domain.evaluation import (
    CALIBRATION_BINS,
    Curve,
    NotComparable,
    Scores,
    Truth,
    calibration,
    calibration_error,
    differing,
    evaluate,
    roc,
)

SCORED = st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])), min_size=2, max_size=40)


def of(scored: list[tuple[bool, float]]) -> tuple[Truth, Scores]:
    """Truth and scores as arrays, of rows that hold both outcomes."""
    truth = np.array([true for true, _ in scored])
    assume(0 < truth.sum() < len(truth))
    return truth, np.array([score for _, score in scored])


@given(SCORED)
def test_auc_is_the_share_of_pairs_in_the_right_order(scored: list[tuple[bool, float]]) -> None:
    """The gate decides on this number; ties count half."""
    truth, scores = of(scored)
    pairs = [(high, low) for high in scores[truth] for low in scores[~truth]]
    right = sum(1.0 if high > low else 0.5 if high == low else 0.0 for high, low in pairs)
    assert evaluate(truth, scores).auc == pytest.approx(right / len(pairs))


@given(SCORED)
def test_brier_and_log_loss_are_means_over_the_rows(scored: list[tuple[bool, float]]) -> None:
    """The same by hand; log loss is finite for a wrong certainty too."""
    truth, scores = of(scored)
    metrics = evaluate(truth, scores)
    assert metrics.brier == pytest.approx(float(np.mean((scores - truth) ** 2)))
    assert np.isfinite(metrics.log_loss)
    assert metrics.log_loss >= 0


@pytest.mark.parametrize(("truth", "true_rows"), [([True, True], 2), ([False, False], 0), ([], 0)])
def test_rows_of_one_outcome_cannot_compare_models(truth: list[bool], true_rows: int) -> None:
    """An AUC of nothing must stop the comparison with a reason, not become a number."""
    with pytest.raises(NotComparable, match=f"of {len(truth)} validation rows {true_rows} are true"):
        evaluate(np.array(truth, bool), np.full(len(truth), 0.5))


@given(SCORED)
def test_the_roc_curve_rises_through_the_unit_square(scored: list[tuple[bool, float]]) -> None:
    """A curve that falls or leaves the square is drawn from swapped axes."""
    curve = roc(*of(scored))
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
    assert_in_unit_square(curve)
    assert np.all(np.diff(curve.x) >= 0)
    assert np.all(np.diff(curve.y) >= 0)


@given(SCORED)
def test_the_calibration_curve_stays_in_the_unit_square(scored: list[tuple[bool, float]]) -> None:
    """Scores that tie must not break the bins."""
    curve = calibration(*of(scored))
    assert 1 <= len(curve.x) == len(curve.y) <= CALIBRATION_BINS
    assert_in_unit_square(curve)
    assert np.all(np.diff(curve.x) >= 0)


def assert_in_unit_square(curve: Curve) -> None:
    """Every point lies in it."""
    for axis in (curve.x, curve.y):
        assert np.all((axis >= 0) & (axis <= 1))


def test_calibration_shows_observed_over_predicted() -> None:
    """Swapped axes would show an overconfident model as a modest one."""
    curve = calibration(np.array([True, True, True, False]), np.full(4, 0.2))
    assert curve.x.tolist() == pytest.approx([0.2])
    assert curve.y.tolist() == pytest.approx([0.75])


@pytest.mark.parametrize(("shift", "error"), [(0.0, 0.0), (0.1, 0.1), (-0.2, 0.2)])
def test_the_calibration_error_is_how_far_probabilities_lie_off(shift: float, error: float) -> None:
    """In the unit of a probability, whichever side it is on."""
    chance = np.random.default_rng(0)
    probability = chance.uniform(0.25, 0.75, 200_000)
    truth = chance.random(200_000) < probability
    assert calibration_error(truth, probability + shift, np.arange(200_000)) == pytest.approx(error, abs=0.01)


def drawn_errors(rows: int, *, rows_a_key: int, shared: float) -> tuple[float, float]:
    """Root mean squared error over trials of scores that are right on average, by split keys and by rows."""
    chance, keys = np.random.default_rng(1), np.arange(rows) // rows_a_key
    squares = []
    for _ in range(300):
        probability = chance.uniform(0.3, 0.7, rows)
        weather = chance.uniform(-shared, shared, keys[-1] + 1)[keys]
        truth = chance.random(rows) < probability + weather
        squares.append([calibration_error(truth, probability, of) ** 2 for of in (keys, np.arange(rows))])
    by_key, by_row = np.sqrt(np.mean(squares, axis=0))
    return float(by_key), float(by_row)


def test_few_rows_do_not_look_badly_calibrated_for_being_few() -> None:
    """Of 150 rows in ten bins, observed shares lie 0.12 off by chance alone."""
    assert drawn_errors(150, rows_a_key=1, shared=0)[0] < 0.06


def test_one_split_key_excuses_nothing() -> None:
    """Where chance cannot be told apart, what is seen counts."""
    truth, scores = np.arange(100) % 10 == 0, np.linspace(0.8, 0.99, 100)
    assert calibration_error(truth, scores, np.zeros(100, int)) > 0.7


def test_nor_do_ten_days_of_shared_weather() -> None:
    """Which move whole days, and which rows taken for independent do not account for."""
    by_key, by_row = drawn_errors(1_500, rows_a_key=150, shared=0.25)
    assert by_key < 0.04 < by_row


@given(SCORED, st.integers(1, 5))
def test_the_calibration_error_is_a_share(scored: list[tuple[bool, float]], rows_a_key: int) -> None:
    """Whatever the rows: a NaN would stop the evidence from being written."""
    truth, scores = of(scored)
    assert 0 <= calibration_error(truth, scores, np.arange(len(truth)) // rows_a_key) <= 1


def test_scores_further_apart_than_the_tolerance_differ() -> None:
    """The share of such rows is what the gate allows or refuses."""
    left = np.array([0.1, 0.2, 0.3, 0.4])
    assert differing(left, left + np.array([0, 5e-7, 2e-6, 0.5])).tolist() == [False, False, True, True]
    assert not differing(left, left + 0.05, tolerance=0.1).any()


def test_a_score_that_is_not_a_number_differs_from_everything() -> None:
    """A model that answers NaN must not pass for one that agrees, even with a NaN."""
    nan = float("nan")
    found = differing(np.array([nan, 0.5, nan, 0.5]), np.array([0.5, nan, nan, 0.5]))
    assert found.tolist() == [True, True, True, False]
