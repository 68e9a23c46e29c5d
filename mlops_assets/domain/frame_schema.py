"""The contract of rows for a frame in memory, as a pandera schema: what every drawn frame of clean rows must hold.

The same contract for the engine, which judges whole windows in a stream, belongs to `row_rules`; a property test holds
the two together.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.feature import FLOAT32_EXACT_INTEGER, Feature
from mlops_assets.domain.row_rules import Kind

FAILURE_COLUMNS = ["column", "check", "failure_case", "index"]

# A check gets a column, and says it of each value, or of the column as a whole where its type is wrong.
Holds = Callable[["pd.Series[float]"], "pd.Series[bool] | bool"]


def frame_schema(dataset: Dataset) -> pa.DataFrameSchema:
    """What a frame holds that `WindowStore.draw` gives; the names of the checks are the kinds of the row rules.

    Nothing is coerced. Columns beyond the contract's may be there; of the kept columns those that are there are judged.
    """
    text = _check("type", _is_text)
    columns = {name: _column(text) for name in dataset.kept}
    for name in (dataset.entity_key, dataset.split_by):
        if name is not None:
            columns[name] = _column(text, _PRESENT)
    if dataset.event_time in dataset.kept:
        columns[dataset.event_time] = _column(_check("type", _is_time), _PRESENT)
    columns[dataset.row_id] = _column(text, _PRESENT, _check("unique", _is_unique))
    columns[dataset.target] = _column(_check("label", _is_truth))
    for name, feature in dataset.features.items():
        columns[name] = _column(*_feature_checks(feature))
    for name in dataset.kept:
        columns[name].required = False
    return pa.DataFrameSchema(columns, name=dataset.name, strict=False, coerce=False, unique_column_names=True)


def failure_cases(schema: pa.DataFrameSchema, frame: pd.DataFrame) -> pd.DataFrame:
    """Each value that breaks the schema, as `column`, `check`, `failure_case` and `index`; empty where it holds.

    A fault of a whole column has no index: the column is missing, there twice, or of another type.
    """
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as broken:
        cases: pd.DataFrame = broken.failure_cases.copy()
        # Of these pandera names the column in the failure case, as a fault of the frame.
        absent = cases["check"] == "column_in_dataframe"
        twice = cases["check"] == "dataframe_column_labels_unique"
        cases.loc[absent | twice, "column"] = cases.loc[absent | twice, "failure_case"]
        cases.loc[absent, "check"] = "missing"
        cases.loc[twice, "check"] = "unique"
        return cases[FAILURE_COLUMNS].reset_index(drop=True)
    return pd.DataFrame(columns=FAILURE_COLUMNS)


def _column(*checks: pa.Check) -> pa.Column:
    # Pandera's own `nullable` and `unique` have other names, and two nulls are one value to the latter.
    return pa.Column(nullable=True, unique=False, checks=list(checks))


def _check(kind: Kind, holds: Holds) -> pa.Check:
    return pa.Check(holds, name=kind, ignore_na=False)


def _feature_checks(feature: Feature) -> list[pa.Check]:
    checks = [] if feature.nullable else [_PRESENT]
    if feature.type == "category":
        allowed = set(feature.categories)
        return [_check("type", _is_text), *checks, _check("category", lambda of: of.isin(allowed) | of.isna())]
    checks = [_check("type", _is_number), *checks]
    if feature.type == "boolean":
        return [*checks, _check("type", _of_numbers(lambda of: of.isin([0, 1]) | of.isna()))]
    checks.append(_check("finite", _of_numbers(_is_finite)))
    if feature.type == "integer":
        checks.append(_check("type", _of_numbers(_is_exact)))
    if feature.range is not None:
        low, high = feature.range
        checks.append(_check("range", _of_numbers(lambda of: _is_between(of, low, high))))
    return checks


def _of_numbers(holds: Holds) -> Holds:
    """The check, for columns of numbers alone: of others the check of the type says enough."""
    return lambda of: not _is_number(of) or holds(of)


def _is_number(of: "pd.Series[float]") -> bool:
    return of.dtype in (np.dtype("float32"), np.dtype("float64"))


def _is_text(of: "pd.Series[float]") -> "pd.Series[bool]":
    return of.map(lambda value: isinstance(value, str)).astype(bool) | of.isna()


def _is_time(of: "pd.Series[float]") -> bool:
    return pd.api.types.is_datetime64_dtype(of.dtype)


def _is_truth(of: "pd.Series[float]") -> "pd.Series[bool]":
    return of.map(lambda value: isinstance(value, bool | np.bool_)).astype(bool) | of.isna()


def _is_unique(of: "pd.Series[float]") -> "pd.Series[bool]":
    return ~of.duplicated(keep=False) | of.isna()


def _is_finite(of: "pd.Series[float]") -> "pd.Series[bool]":
    """Judged after the cast that every feature goes through: 1e300 is a finite double and no finite float32."""
    with np.errstate(over="ignore"):
        return pd.Series(np.isfinite(of.to_numpy("float32")), of.index) | of.isna()


def _is_exact(of: "pd.Series[float]") -> "pd.Series[bool]":
    exact = (of.abs() <= FLOAT32_EXACT_INTEGER) & (of == np.trunc(of))
    return exact | ~np.isfinite(of)  # what is null or infinite is another check's


def _is_between(of: "pd.Series[float]", low: float, high: float) -> "pd.Series[bool]":
    """Judged in the column's own precision: 0.1 is within 0.1 when it is stored, and as float32 is larger."""
    with np.errstate(over="ignore"):
        smallest, largest = np.array([low, high]).astype(of.to_numpy().dtype)
    return of.between(smallest, largest) | of.isna()


_PRESENT = _check("missing", lambda of: of.notna())
