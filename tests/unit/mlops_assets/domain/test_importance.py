import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from mlops_assets.adapters.release_store import ServedModel, features_of
from mlops_assets.domain.candidate import export_onnx, train
from mlops_assets.domain.importance import MOST_ROWS, REPEATS, permutation_importance
from tests.unit.mlops_assets.small_windows import as_drawn, small_dataset, small_frame

DATASET = small_dataset()

pytestmark = pytest.mark.filterwarnings("ignore:Field onnx:DeprecationWarning")  # of skl2onnx in onnx


def by_hand(frame: pd.DataFrame) -> npt.NDArray[np.float64]:
    """A model that looks at `signal` alone."""
    scores: npt.NDArray[np.float64] = frame["signal"].to_numpy(np.float64)
    return scores


def rows_of(rows: int, *, seed: int = 0) -> tuple[pd.DataFrame, npt.NDArray[np.bool_]]:
    """Rows of which `signal` decides everything, and a category with nulls nothing; their index is not 0, 1, 2."""
    chance = np.random.default_rng(seed)
    signal = chance.permutation(np.resize([0.1, 0.9], rows))
    noise = pd.Series(np.resize(np.array(["a", "b", None], dtype=object), rows))
    return pd.DataFrame({"signal": signal, "noise": noise}).set_index(np.arange(rows)[::-1] * 7), signal > 0.5


class Watched:
    """`by_hand`, and what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[pd.DataFrame] = []

    def __call__(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Scores the frame and keeps a copy of it."""
        self.asked.append(frame.copy())
        return by_hand(frame)


@given(st.integers(0, 2**32 - 1), st.integers(2, 60))
def test_a_feature_that_is_ignored_has_exactly_none(seed: int, rows: int) -> None:
    """Drift of such a column does not matter: its impact must be 0, not the last bit of a mean."""
    frame, truth = rows_of(rows, seed=seed)
    scores = np.random.default_rng(seed).random(rows)
    assert permutation_importance(lambda _: scores, frame, truth, ["signal", "noise"], seed=seed) == {
        "signal": 0,
        "noise": 0,
    }


def test_the_feature_that_decides_costs_all_that_is_above_chance() -> None:
    """The scale is what a user reads: AUC lost, from 1 down to the 0.5 of a coin."""
    found = permutation_importance(by_hand, *rows_of(4_000), ["signal", "noise"])
    assert found == {"signal": pytest.approx(0.5, abs=0.03), "noise": 0}


def test_a_feature_that_misleads_is_below_none() -> None:
    """Cut off at 0, it would look like one that is ignored."""
    frame, truth = rows_of(4_000)
    found = permutation_importance(lambda rows: -by_hand(rows), frame, truth, ["signal"])
    assert found["signal"] == pytest.approx(-0.5, abs=0.03)


def test_only_the_features_that_are_asked_for_are_shuffled_each_alone() -> None:
    """Shuffled together, or left shuffled, features would be blamed for each other."""
    frame, truth = rows_of(90)
    watched = Watched()
    assert list(permutation_importance(watched, frame, truth, ["noise", "signal"])) == ["noise", "signal"]
    whole, *shuffled = watched.asked
    pd.testing.assert_frame_equal(whole, frame[["noise", "signal"]])
    assert len(shuffled) == 2 * REPEATS
    for at, asked in enumerate(shuffled):
        moved, other = ("noise", "signal") if at < REPEATS else ("signal", "noise")
        pd.testing.assert_series_equal(asked[other], whole[other])
        assert not asked[moved].equals(whole[moved])
        assert sorted(asked[moved].map(str)) == sorted(whole[moved].map(str))
    orders = {tuple(asked["signal"]) for asked in shuffled[REPEATS:]}
    assert len(orders) == REPEATS


@given(st.integers(0, 2**32 - 1), st.integers(2, 60))
def test_the_same_rows_have_the_same_importance_and_stay_as_they_are(seed: int, rows: int) -> None:
    """It is part of the bundle's hash, and the frame is scored and drawn from afterwards."""
    frame, truth = rows_of(rows, seed=seed)
    before, outcomes = frame.copy(deep=True), truth.copy()
    found = permutation_importance(by_hand, frame, truth, ["signal", "noise"], seed=seed)
    assert found == permutation_importance(by_hand, frame, truth, ["signal", "noise"], seed=seed)
    pd.testing.assert_frame_equal(frame, before)
    assert np.array_equal(truth, outcomes)


def test_a_feature_costs_the_same_whichever_others_are_asked_for() -> None:
    """A contract that gets a column, or another order, must not change what is said of the others."""
    frame, truth = rows_of(60)
    alone = permutation_importance(by_hand, frame, truth, ["signal"])
    for asked in (["noise", "signal"], ["signal", "noise"]):
        assert permutation_importance(by_hand, frame, truth, asked)["signal"] == alone["signal"]


def test_another_seed_shuffles_otherwise() -> None:
    """One seed for all would be no seed."""
    frame, truth = rows_of(60)
    found = {permutation_importance(by_hand, frame, truth, ["signal"], seed=seed)["signal"] for seed in range(5)}
    assert len(found) > 1


@pytest.mark.parametrize(("rows", "scored"), [(MOST_ROWS, MOST_ROWS), (MOST_ROWS + 400, MOST_ROWS)])
def test_many_rows_are_a_fixed_choice_of_them(rows: int, scored: int) -> None:
    """A window of millions must not hold up a training; each row's outcome goes with it, from all over the frame."""
    frame, truth = rows_of(rows)
    asked = []
    for _ in range(2):
        watched = Watched()
        found = permutation_importance(watched, frame.assign(row=np.arange(rows)), truth, ["signal", "row"])
        assert {len(part) for part in watched.asked} == {scored}
        assert found["signal"] == pytest.approx(0.5, abs=0.03)
        asked.append(watched.asked[0])
    pd.testing.assert_frame_equal(asked[0], asked[1])
    chosen = asked[0]["row"]
    assert chosen.is_unique
    assert chosen.iloc[-1] > rows - 100
    assert asked[0]["signal"].tolist() == frame["signal"].iloc[chosen].tolist()


@pytest.mark.parametrize("outcomes", [[True, True, True], [False, False, False], []])
def test_rows_of_one_outcome_tell_nothing(outcomes: list[bool]) -> None:
    """An AUC of nothing would stop a training that the gate could judge."""
    frame, _ = rows_of(len(outcomes))
    assert permutation_importance(by_hand, frame, np.array(outcomes, bool), ["signal"]) == {}


def test_one_outcome_among_the_chosen_rows_tells_nothing() -> None:
    """Rows that are rare may be left out by the choice; then it cannot be told what costs what."""
    rows = 3 * MOST_ROWS
    frame, _ = rows_of(rows)
    found = [permutation_importance(by_hand, frame, np.arange(rows) == rare, ["signal"]) for rare in range(12)]
    assert {} in found
    assert any(found)


def test_a_feature_may_have_any_name() -> None:
    """Names come from the user's files."""
    frame, truth = rows_of(40)
    named = frame.assign(**{"dep delay": 1.0}).rename(columns={"noise": "self"})
    found = permutation_importance(by_hand, named, truth, ["self", "dep delay", "signal"])
    assert found == {"self": 0, "dep delay": 0, "signal": found["signal"]}


def test_a_trained_models_features_rank_as_the_rows_were_made() -> None:
    """On the served model, with categories and nulls: what the target was made of comes first, and shows."""
    training, unseen = as_drawn(small_frame(3_000)), as_drawn(small_frame(3_000, seed=1))
    unseen = unseen.assign(age=unseen["age"].mask(unseen.index % 2 == 0), plan=None)
    model = ServedModel(export_onnx(train(DATASET, training)), features_of(DATASET))
    truth = unseen["late"].to_numpy(bool)
    found = permutation_importance(model.score, unseen, truth, DATASET.features)
    assert list(found) == list(DATASET.features)
    ranked = sorted(found, key=lambda feature: -found[feature])
    assert ranked[:3] == ["amount", "visits", "colour"]
    assert found["colour"] > 0.005
    assert found["plan"] == 0  # null throughout: there is nothing to shuffle
    assert found["amount"] < roc_auc_score(truth, model.score(unseen)) - 0.45
