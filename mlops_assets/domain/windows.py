"""Rules of data windows: their names and order, when one is fit to be used, and the split that no model trains across.

What a single row must hold belongs to `row_rules`; storing windows belongs to `mlops_assets.adapters.window_store`.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.domain.dataset import Dataset

if TYPE_CHECKING:
    import ibis.expr.types as ir

WINDOW_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
VALIDATION_ONE_IN = 4
SPLIT_COLUMN = "_split"
TRAIN, VALIDATION = "train", "validation"


class WindowNameInvalid(ValueError):
    """A window's name is not one that can be used; the message says what is expected."""


class WindowUnfit(Exception):
    """What landed is not a window of this dataset as a whole; the message says why."""


@dataclass(frozen=True)
class WindowCounts:
    """What became of a window's rows; `rows` = `clean` + `quarantined`, always."""

    rows: int
    clean: int
    labelled: int
    """Clean rows whose label has come."""
    validation: int
    """Clean rows on the validation side, labelled or not."""
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


def split_side(split_key: "ir.StringValue") -> "ir.StringValue":
    """`split_of` as an expression, of a key's text.

    The last of the eight hex digits alone decides, since 16 is a multiple of 4.
    """
    of_validation = [f"{digit:x}" for digit in range(0, 16, VALIDATION_ONE_IN)]
    return split_key.hexdigest("md5").substr(7, 1).isin(of_validation).ifelse(VALIDATION, TRAIN)


def unfit_for(dataset: Dataset, counts: WindowCounts) -> str | None:
    """Why the window as a whole must not be used, or None where it may."""
    return too_many_quarantined(dataset, counts) or too_few_rows(dataset, counts)


def too_many_quarantined(dataset: Dataset, counts: WindowCounts) -> str | None:
    """What is wrong where more rows are in quarantine than the contract allows, or None."""
    limit = dataset.limits.max_quarantined_share
    if counts.quarantined <= limit * counts.rows:
        return None
    worst = ", ".join(f"{reason} ({rows})" for reason, rows in list(counts.by_reason.items())[:3])
    return (
        f"{counts.quarantined} of {counts.rows} rows break the contract, more than the share of {limit} that it "
        f"allows; most often: {worst}"
    )


def too_few_rows(dataset: Dataset, counts: WindowCounts) -> str | None:
    """What is wrong where there are fewer clean rows than the contract asks for, or None."""
    if counts.clean >= dataset.limits.min_rows:
        return None
    return f"{counts.clean} clean rows, the contract asks for {dataset.limits.min_rows} at least"


def missing_labels(dataset: Dataset, counts: WindowCounts) -> str | None:
    """What the window's training waits for, or None where enough labels have come."""
    if counts.labelled >= dataset.limits.min_labelled_share * counts.clean:
        return None
    return (
        f"{counts.labelled} of {counts.clean} clean rows have a label, the contract asks for a share of "
        f"{dataset.limits.min_labelled_share}: training waits until the others land"
    )
