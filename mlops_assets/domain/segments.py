"""Segments: groups of rows for which a new model must not be worse than production, however good it is on average.

Here belongs the comparison within groups. Over all rows it belongs to `auc_difference`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import t

from mlops_assets.domain.auc_difference import clustered_difference
from mlops_assets.domain.evaluation import Keys, Scores, Truth
from mlops_assets.domain.evidence import SegmentGain

NULL = "null"
"""The segment of the rows that say none."""


def compare_segments(
    frame: pd.DataFrame,
    columns: Sequence[str],
    truth: Truth,
    scores: Mapping[str, Scores],
    keys: Keys,
    *,
    margin: float,
    min_rows: int,
    confidence: float,
) -> tuple[SegmentGain, ...]:
    """Compares candidate and production in each segment: tests of non-inferiority, corrected by Holm (1979).

    Args:
        frame: The validation rows.
        columns: Columns of it whose values are segments; null is one of them.
        truth: Of those rows.
        scores: Of `candidate` and `production`, on those rows.
        keys: Split key of each row.
        margin: A gain of minus this, or less, is a regression.
        min_rows: A segment with fewer rows is not compared.
        confidence: Level of a two-sided interval: all segments together are wrongly let through in half of the rest.

    Returns:
        Every segment, as its column and its value come in the alphabet.
    """
    risk = (1 - confidence) / 2
    found = []
    for column in columns:
        values = frame[column].map(_said, na_action=None).to_numpy(str)
        for value in np.unique(values):
            of_it = values == value
            found.append(
                _compared(column, str(value), of_it, truth, scores, keys, margin=margin, min_rows=min_rows, risk=risk)
            )
    compared = [segment.p_value for segment in found if segment.p_value is not None]
    corrected = iter(holm(np.array(compared)))
    return tuple(
        segment
        if segment.p_value is None
        else segment.model_copy(update={"p_value": (p_value := float(next(corrected))), "holds": p_value <= risk})
        for segment in found
    )


def holm(p_values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """P-values corrected for their number, step down (Holm 1979); shape as given."""
    order = np.argsort(p_values)
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    corrected = np.empty_like(p_values)
    corrected[order] = np.minimum(stepped, 1)
    return corrected


def _compared(
    column: str,
    value: str,
    of_it: npt.NDArray[np.bool_],
    truth: Truth,
    scores: Mapping[str, Scores],
    keys: Keys,
    *,
    margin: float,
    min_rows: int,
    risk: float,
) -> SegmentGain:
    rows, own = int(of_it.sum()), np.unique(keys[of_it], return_inverse=True)[1]
    # Days without a late flight say nothing of how late flights are ranked.
    telling = min(len(np.unique(own[truth[of_it]])), len(np.unique(own[~truth[of_it]])))
    segment = SegmentGain(column=column, value=value, rows=rows, keys=telling)
    if rows < min_rows or telling < 2:
        return segment
    gain, error = clustered_difference(truth[of_it], scores["candidate"][of_it], scores["production"][of_it], own)
    freedom = telling - 1
    return segment.model_copy(
        update={
            "gain": gain,
            "low": gain - float(t.ppf(1 - risk, freedom)) * error,
            # Two models that answer alike differ by nothing, for sure.
            "p_value": float(t.sf((gain + margin) / error, freedom)) if error > 0 else float(gain <= -margin),
        }
    )


def _said(value: object) -> str:
    if value is None or value != value:  # NaN is the one value unlike itself
        return NULL
    return f"{value:g}" if isinstance(value, float) else str(value)
