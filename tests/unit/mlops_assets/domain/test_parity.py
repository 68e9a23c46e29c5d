from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.evaluation import Scores, evaluate
from mlops_assets.domain.evidence import Parity
from mlops_assets.domain.parity import UNKNOWN_CATEGORY, Score, edge_rows, parity
from tests.unit.mlops_assets.small_windows import COLOURS, as_drawn, small_dataset, small_frame

DATASET = small_dataset()
FRAME = as_drawn(small_frame(200))
TRUTH = FRAME["late"].to_numpy(bool)


def by_amount(frame: pd.DataFrame) -> Scores:
    """A model of one feature, which answers null as 0."""
    scores: Scores = 1 / (1 + np.exp(-frame["amount"].fillna(0).to_numpy(np.float64) / 40))
    return scores


def found_by(frame: pd.DataFrame, served: Score, fitted: Score = by_amount, *, scores: Scores | None = None) -> Parity:
    """What two ways of scoring give; on the frame's rows those scores, where some are given."""
    return parity(
        DATASET,
        frame,
        TRUTH,
        served=served(frame) if scores is None else scores,
        fitted=fitted(frame),
        score_served=served,
        score_fitted=fitted,
    )


def test_two_ways_of_scoring_that_agree_differ_nowhere() -> None:
    """The plain case, with its numbers."""
    found = found_by(FRAME, by_amount)
    assert (found.differing_share, found.largest, found.differing_edges) == (0, 0, ())
    assert found.fitted_auc == evaluate(TRUTH, by_amount(FRAME)).auc
    assert found.edge_rows == len(edge_rows(DATASET, FRAME))


def test_what_differs_on_the_rows_is_counted() -> None:
    """How often, by how much, and what it does to the AUC of what was fitted."""
    other = by_amount(FRAME)
    other[:3] += [0.1, -0.2, 5e-7]
    found = found_by(FRAME, by_amount, scores=other)
    assert found.differing_share == 2 / len(FRAME)
    assert found.largest == pytest.approx(0.2)
    assert found.fitted_auc == evaluate(TRUTH, by_amount(FRAME)).auc


def unknown(values: pd.Series[Any]) -> pd.Series[bool]:
    """Where a category is one that nobody named."""
    return values == UNKNOWN_CATEGORY


def null(values: pd.Series[Any]) -> pd.Series[bool]:
    """Where there is none."""
    return values.isna()


def at_the_end(values: pd.Series[Any]) -> pd.Series[bool]:
    """Where a number is the largest of its range."""
    return values >= 1000


@pytest.mark.parametrize(
    ("column", "goes_wrong", "edge"),
    [
        ("colour", unknown, "colour of no known category"),
        ("plan", null, "plan null"),
        ("amount", at_the_end, "amount = 1000"),
        ("visits", null, "visits null"),
    ],
)
def test_an_export_that_goes_wrong_at_an_edge_is_found(
    column: str, goes_wrong: Callable[[pd.Series[Any]], pd.Series[bool]], edge: str
) -> None:
    """No row of the window lies there, and one of the next may."""
    inside = FRAME.assign(plan="free")
    found = found_by(inside, lambda frame: by_amount(frame) + goes_wrong(frame[column]).to_numpy(float) / 100)
    assert found.differing_share == 0
    assert found.differing_edges == (edge,)


def test_edge_rows_hold_each_feature_at_its_edges_and_all_else_as_it_was() -> None:
    """One fault a row: which feature it was can be told."""
    rows = edge_rows(DATASET, FRAME)
    first = FRAME[list(DATASET.features)].head(1).reset_index(drop=True)
    assert (rows.dtypes == FRAME[list(DATASET.features)].dtypes).all()
    held = {str(name): row for name, row in rows.iterrows()}
    assert held["amount = -1000"]["amount"] == -1000
    assert held["amount = 1000"]["amount"] == 1000
    assert np.isnan(held["amount null"]["amount"])
    assert [held[f"colour = {colour!r}"]["colour"] for colour in COLOURS] == list(COLOURS)
    assert held["colour null"]["colour"] is None
    for name in held:
        kept = [feature for feature in DATASET.features if not name.startswith(feature)]
        assert rows.loc[[name], kept].reset_index(drop=True).equals(first[kept])


def test_a_range_beyond_float32_has_no_edge_there() -> None:
    """1e300 is infinite in float32, and no row of a window is."""
    features = {"amount": {"type": "float", "range": [-1e300, 5]}, "member": {"type": "boolean"}}
    dataset = Dataset.model_validate(
        {"name": "wide", "target": "late", "row_id": "case_id", "split_by": "customer", "features": features}
    )
    rows = edge_rows(dataset, pd.DataFrame({"amount": [1.0], "member": [0.0]}, dtype="float32"))
    assert rows.index.tolist() == [
        "as it is",
        "amount = 5",
        "amount null",
        "member = false",
        "member = true",
        "member null",
    ]
