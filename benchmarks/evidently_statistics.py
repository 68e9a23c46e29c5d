"""What Evidently's preset decides by, without its page: a column's method, statistic and verdict.

Here belongs calling Evidently's own functions. The page takes half a second a report, most of what thousands of
simulated pairs would spend.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Verdict:
    """What Evidently says of a column."""

    statistic: float
    threshold: float
    drifted: bool


def verdict(
    reference: "pd.Series[Any]", current: "pd.Series[Any]", *, is_category: bool, method: str | None = None
) -> Verdict:
    """Evidently's verdict by a method and its default threshold; by the method that it chooses where none is named."""
    from evidently.legacy.calculations.stattests import get_stattest
    from evidently.legacy.core import ColumnType

    kind = ColumnType.Categorical if is_category else ColumnType.Numerical
    found = get_stattest(reference, current, kind, method)(reference, current, kind, None)
    return Verdict(float(found.drift_score), float(found.actual_threshold), bool(found.drifted))
