import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from mlops_assets.domain.evidence import SegmentGain
from mlops_assets.domain.segments import NULL, compare_segments, holm

MARGIN = 0.05


def compared(
    rows: int, *, worse_in: str | None = None, seed: int = 0, min_rows: int = 50, keys: int | None = None
) -> dict[str, SegmentGain]:
    """Two good models on rows of three shops, of which the candidate may be no good in one; by segment's name."""
    chance = np.random.default_rng(seed)
    shop = np.array(["north", "south", "west"])[np.arange(rows) % 3]
    truth = chance.random(rows) < 0.4
    production = truth + chance.normal(0, 1, rows)
    candidate = np.where(shop == worse_in, chance.normal(0, 1, rows), production + chance.normal(0, 0.1, rows))
    found = compare_segments(
        pd.DataFrame({"shop": shop}),
        ["shop"],
        truth,
        {"candidate": candidate, "production": production},
        np.arange(rows) if keys is None else np.arange(rows) % keys,
        margin=MARGIN,
        min_rows=min_rows,
        confidence=0.95,
    )
    return {segment.name: segment for segment in found}


@pytest.mark.parametrize("keys", [None, 30])
def test_a_segment_that_the_candidate_is_worse_in_does_not_hold(keys: int | None) -> None:
    """However good it is elsewhere."""
    found = compared(3_000, worse_in="south", keys=keys)
    assert {name: segment.holds for name, segment in found.items()} == {
        "shop = north": True,
        "shop = south": False,
        "shop = west": True,
    }
    south = found["shop = south"]
    assert south.gain is not None
    assert south.gain < -0.2
    assert south.rows == 1_000
    assert south.keys == 10 if keys else 350 < south.keys < 450, "those of the rarer outcome, four of ten rows"


def test_a_segment_too_small_to_tell_is_not_compared() -> None:
    """A hundredth of the rows would refuse every candidate."""
    found = compared(120, min_rows=41)
    assert {segment.holds for segment in found.values()} == {None}
    assert {segment.gain for segment in found.values()} == {None}
    assert {segment.holds for segment in compared(120, min_rows=40).values()} != {None}


def test_what_few_rows_cannot_show_does_not_hold() -> None:
    """It is asked for proof that the candidate is no worse, and not whether it is shown to be worse."""
    chance = np.random.default_rng(1)
    truth = np.arange(60) % 2 == 0
    scores = {role: truth + chance.normal(0, 2, 60) for role in ("candidate", "production")}
    (segment,) = compare_segments(
        pd.DataFrame({"shop": ["north"] * 60}),
        ["shop"],
        truth,
        scores,
        np.arange(60),
        margin=MARGIN,
        min_rows=10,
        confidence=0.95,
    )
    assert segment.low is not None
    assert segment.low < -MARGIN
    assert segment.holds is False


def test_two_models_that_answer_alike_are_no_worse_anywhere() -> None:
    """Their difference has no error, which must not divide anything."""
    truth = np.arange(60) % 3 == 0
    scores = np.linspace(0, 1, 60)
    found = compare_segments(
        pd.DataFrame({"shop": ["north", "south"] * 30}),
        ["shop"],
        truth,
        {"candidate": scores, "production": scores},
        np.arange(60) // 2,
        margin=MARGIN,
        min_rows=10,
        confidence=0.95,
    )
    assert [(segment.gain, segment.p_value, segment.holds) for segment in found] == [(0.0, 0.0, True)] * 2


@pytest.mark.parametrize(
    ("truth", "keys"),
    [
        (np.zeros(40, bool), np.arange(40)),
        (np.ones(40, bool), np.arange(40)),
        (np.arange(40) % 2 == 0, np.zeros(40, int)),
    ],
)
def test_rows_of_one_outcome_or_one_split_key_tell_nothing(truth: np.ndarray, keys: np.ndarray) -> None:
    """There is no AUC of the one, and no error of the other."""
    (segment,) = compare_segments(
        pd.DataFrame({"shop": ["north"] * 40}),
        ["shop"],
        truth,
        {"candidate": np.linspace(0, 1, 40), "production": np.linspace(1, 0, 40)},
        keys,
        margin=MARGIN,
        min_rows=10,
        confidence=0.95,
    )
    assert (segment.gain, segment.holds) == (None, None)


def test_segments_are_named_as_the_rows_name_them_and_null_is_one() -> None:
    """Rows without a shop are customers too."""
    frame = pd.DataFrame({"shop": ["north", None, "south"] * 20, "member": np.array([1, 0, np.nan] * 20, "float32")})
    found = compare_segments(
        frame,
        ["shop", "member"],
        np.arange(60) % 2 == 0,
        {role: np.linspace(0, 1, 60) for role in ("candidate", "production")},
        np.arange(60),
        margin=MARGIN,
        min_rows=1_000,
        confidence=0.95,
    )
    assert [segment.name for segment in found] == [
        "shop = north",
        f"shop = {NULL}",
        "shop = south",
        "member = 0",
        "member = 1",
        f"member = {NULL}",
    ]
    assert {segment.rows for segment in found} == {20}


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    """Published code, which is too large an import for these lines."""
    expected = multipletests(p_values, method="holm")[1].tolist() if p_values else []
    assert holm(np.array(p_values)).tolist() == pytest.approx(expected, abs=1e-12)


def test_a_regression_is_let_through_no_more_often_than_said() -> None:
    """Of three segments that all lie at the margin, one of forty trials at most lets any through."""
    chance, let_through, trials = np.random.default_rng(0), 0, 300
    rows, keys = 600, np.arange(600) % 30
    for _ in range(trials):
        shop = np.array(["north", "south", "west"])[(np.arange(rows) // 30) % 3]
        truth = chance.random(rows) < 0.5
        shared = chance.normal(size=rows)
        # AUC 0.75 and 0.7, which is a gain of minus the margin.
        scores = {
            role: truth * mean + 0.7 * shared + np.sqrt(0.51) * chance.normal(size=rows)
            for role, mean in (("candidate", 0.7416), ("production", 0.9539))
        }
        found = compare_segments(
            pd.DataFrame({"shop": shop}), ["shop"], truth, scores, keys, margin=MARGIN, min_rows=50, confidence=0.95
        )
        let_through += any(segment.holds for segment in found)
    assert let_through / trials <= 0.05, "0.025 is said; 0.05 is more than 2.5 standard errors above"


@pytest.mark.parametrize("with_true", [1, 2, 3])
def test_true_rows_of_few_split_keys_let_no_regression_through(with_true: int) -> None:
    """All keys together would look like many days, and the error of one is nothing."""
    let_through, trials = 0, 200
    keys = np.arange(1_000) // 50
    for seed in range(trials):
        chance = np.random.default_rng([seed, with_true])
        truth = (keys < with_true) & (np.arange(1_000) % 2 == 0)
        shared = chance.normal(size=1_000)
        scores = {
            role: truth * mean + 0.7 * shared + np.sqrt(0.51) * chance.normal(size=1_000)
            for role, mean in (("candidate", 0.7416), ("production", 0.9539))
        }
        (segment,) = compare_segments(
            pd.DataFrame({"shop": ["north"] * 1_000}),
            ["shop"],
            truth,
            scores,
            keys,
            margin=MARGIN,
            min_rows=50,
            confidence=0.95,
        )
        assert segment.keys == with_true
        let_through += segment.holds is True
    assert let_through / trials <= 0.055, "0.025 is said; 0.055 is 2.7 standard errors above"
