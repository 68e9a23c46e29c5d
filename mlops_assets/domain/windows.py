"""Rules of data windows: their names and order, what a row must hold, and the split that no model trains across.

The row rules are SQL conditions, so that an engine applies them in a stream; running them belongs to
`mlops_assets.adapters.window_store`.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mlops_assets.domain.dataset import FLOAT32_EXACT_INTEGER, Dataset, Feature

WINDOW_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
VALIDATION_ONE_IN = 4
SPLIT_COLUMN = "_split"
TRAIN, VALIDATION = "train", "validation"


class WindowNameInvalid(ValueError):
    """A window's name is not one that can be used; the message says what is expected."""


class WindowUnfit(Exception):
    """A landed file is not a window of this dataset as a whole; the message says why."""


@dataclass(frozen=True)
class RowRule:
    """A row breaks the contract where `condition` (SQL) holds; `reason` is what quarantine says of it."""

    reason: str
    condition: str


@dataclass(frozen=True)
class WindowCounts:
    """What became of a window's rows; `rows` = `clean` + `quarantined`, always."""

    rows: int
    clean: int
    validation: int
    quarantined: int
    by_reason: Mapping[str, int]
    """Rows by the rule that they break; a row that breaks two counts in both."""


def window_name(name: str) -> str:
    """Gives the name back where it can name a window.

    Names are ordered as text, and that order is the order of the periods: `2013-01` before `2013-02`.

    Raises:
        WindowNameInvalid: it cannot.
    """
    if not WINDOW_NAME.fullmatch(name):
        raise WindowNameInvalid(
            f"{name!r} cannot name a window: use 1 to 64 letters, digits, '-' and '_', such that names sort "
            "by period (2013-01, 2013-02, ...)"
        )
    return name


def last_windows(windows: Iterable[str], *, until: str, count: int) -> list[str]:
    """The newest `count` windows up to and including `until`, oldest first; later ones are never looked at."""
    return sorted(window for window in windows if window <= until)[-count:]


def split_of(split_key: str) -> str:
    """On which side of the split the rows of a key are, for ever: validation where md5(key) mod 4 is 0.

    The first 8 hex digits of the MD5 of the key's UTF-8 text, so that any engine can say the same.
    """
    digits = hashlib.md5(split_key.encode(), usedforsecurity=False).hexdigest()[:8]
    return VALIDATION if int(digits, 16) % VALIDATION_ONE_IN == 0 else TRAIN


def split_sql(split_key: str) -> str:
    """`split_of` in SQL, of an expression that gives the key as text."""
    digits = f"('0x' || md5({split_key})[1:8])::UBIGINT"
    return f"CASE WHEN {digits} % {VALIDATION_ONE_IN} = 0 THEN '{VALIDATION}' ELSE '{TRAIN}' END"


def row_rules(dataset: Dataset) -> list[RowRule]:
    """What each row must hold, in the contract's order.

    The conditions speak of the columns `_id`, `_key`, `_truth` (the target as text), `_is_duplicate`, and of each
    feature by its own name, with NaN read as null.
    """
    rules = [
        RowRule(f"{dataset.row_id}: missing", "_id IS NULL"),
        RowRule(f"{dataset.row_id}: not unique", "_is_duplicate"),
        RowRule(f"{dataset.split_by}: missing", "_key IS NULL"),
        RowRule(f"{dataset.target}: missing", "_truth IS NULL"),
        RowRule(f"{dataset.target}: not true or false", "_truth NOT IN ('true', 'false', '1', '0')"),
    ]
    for name, feature in dataset.features.items():
        rules += _feature_rules(name, feature)
    return rules


def _feature_rules(name: str, feature: Feature) -> list[RowRule]:
    column = quoted(name)
    rules = [] if feature.nullable else [RowRule(f"{name}: missing", f"{column} IS NULL")]
    if feature.type == "category":
        allowed = ", ".join(literal(category) for category in feature.categories)
        return [*rules, RowRule(f"{name}: unknown category", f"{column} NOT IN ({allowed})")]
    # Judged after the cast: 1e300 is a finite double and becomes infinite in float32.
    finite = f"coalesce(isfinite(TRY_CAST({column} AS FLOAT)), false)"
    rules.append(RowRule(f"{name}: not finite", f"{column} IS NOT NULL AND NOT {finite}"))
    if feature.type == "integer":
        inexact = f"abs({column}) > {FLOAT32_EXACT_INTEGER} OR {column} <> trunc({column})"
        rules.append(RowRule(f"{name}: not a whole number", f"isfinite({column}) AND ({inexact})"))
    if feature.range is not None:
        low, high = feature.range
        rules.append(RowRule(f"{name}: out of range", f"{column} NOT BETWEEN {low!r} AND {high!r}"))
    return rules


def unfit_for(dataset: Dataset, counts: WindowCounts) -> str | None:
    """Why the window as a whole must not be used, or None where it may."""
    limits = dataset.limits
    if counts.rows and counts.quarantined > limits.max_quarantined_share * counts.rows:
        worst = ", ".join(f"{reason} ({rows})" for reason, rows in list(counts.by_reason.items())[:3])
        return (
            f"{counts.quarantined} of {counts.rows} rows break the contract, more than the share of "
            f"{limits.max_quarantined_share} that it allows; most often: {worst}"
        )
    if counts.clean < limits.min_rows:
        return f"{counts.clean} clean rows, the contract asks for {limits.min_rows} at least"
    return None


def quoted(name: str) -> str:
    """A column's name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL takes it."""
    return "'" + text.replace("'", "''") + "'"
