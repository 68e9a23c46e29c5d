import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.domain.drift import ColumnDrift, decide, drift_share


def column(score: float | None, *, threshold: float = 0.1) -> ColumnDrift:
    """A measured column."""
    return ColumnDrift(column="amount", method="wasserstein", score=score, threshold=threshold)


@pytest.mark.parametrize(("score", "drifted"), [(0.0, False), (0.0999, False), (0.1, True), (0.5, True)])
def test_a_column_drifts_where_its_distance_reaches_the_threshold(score: float, drifted: bool) -> None:
    """Evidently's own rule for distances; ours must not differ from its page."""
    assert column(score).drifted is drifted


@pytest.mark.parametrize("score", [None, float("nan")])
def test_a_column_that_could_not_be_measured_counts_as_drifted(score: float | None) -> None:
    """An all-null month must not pass for an undrifted one."""
    assert column(score).drifted
    assert drift_share([column(score), column(0.0)]) == 0.5


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1))
def test_the_share_counts_columns(scores: list[float | None]) -> None:
    """Every column weighs the same."""
    drifted = sum(score is None or score >= 0.1 for score in scores)
    assert drift_share([column(score) for score in scores]) == pytest.approx(drifted / len(scores))


def test_nothing_measured_is_an_error_and_not_no_drift() -> None:
    """A report without columns must never read as 0."""
    with pytest.raises(ValueError, match="no column was measured"):
        drift_share([])


@pytest.mark.parametrize(
    ("share", "threshold", "kind", "trains"),
    [
        (None, 0.3, "first", True),
        (None, 1.0, "first", True),
        (0.3, 0.3, "no drift", False),
        (0.3001, 0.3, "trained", True),
        (0.0, 0.0, "no drift", False),
        (0.01, 0.0, "trained", True),
        (1.0, 1.0, "no drift", False),
    ],
)
def test_only_drift_that_exceeds_the_threshold_trains(
    share: float | None,
    threshold: float,
    kind: str,
    trains: bool,
) -> None:
    """Equality must not train: a threshold of 0 would otherwise retrain for ever."""
    decision = decide(share, threshold)
    assert (decision.kind, decision.trains) == (kind, trains)


def test_a_decision_says_its_numbers() -> None:
    """The reason is what the run's tags and the skip message show."""
    assert decide(0.5, 0.3).reason == "drift_share 0.5000 exceeds the threshold 0.3000"
    assert decide(0.1, 0.3).reason == "drift_share 0.1000 does not exceed the threshold 0.3000"
    assert decide(None, 0.3).reason == "there is no production model yet"
