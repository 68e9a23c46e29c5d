"""What a column is as a feature, or why it is none: guesses, each with its evidence.

Here belongs the choice of type, range and categories. Which columns are no features by their part in the contract
belongs to `roles`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from mlops_assets.datasets.drafting.columns import Column
from mlops_assets.datasets.drafting.facts import MOST_VALUES
from mlops_assets.domain.feature import FLOAT32_EXACT_INTEGER, Feature

TELLS_TARGET = 0.99
MOST_CATEGORIES_SHARE = 0.5
WIDER = 1.2
"""A range ends at least so far beyond what was seen."""


@dataclass(frozen=True)
class DraftFeature:
    """A feature, and what is doubtful about it."""

    name: str
    feature: Feature
    because: str
    doubts: Mapping[str, str] = field(default_factory=dict)
    """By the key of the feature."""


@dataclass(frozen=True)
class LeftOut:
    """A column that is no feature."""

    name: str
    why: str
    unsure: bool = False


def draft_feature(column: Column, *, surety: float, windows: int) -> DraftFeature | LeftOut:
    """The feature that a column is, or why it is none.

    Args:
        column: The column.
        surety: How surely it tells the target, see `telling`.
        windows: In how many windows it was looked for.
    """
    if left_out := _no_feature(column, surety, windows):
        return left_out
    nulls = f"null in {column.nulls} of {column.rows} rows" if column.nulls else f"never null in {column.rows} rows"
    nullable = column.nulls > 0
    doubts = _doubts_of_nulls(column)
    if column.kind == "boolean":
        return DraftFeature(column.name, Feature(type="boolean", nullable=nullable), f"true or false; {nulls}", doubts)
    if column.kind == "text":
        return _category(column, nulls, doubts)
    return _number(column, nulls, doubts)


def _no_feature(column: Column, surety: float, windows: int) -> LeftOut | None:
    name, kinds = column.name, {window: facts.kind for window, facts in column.seen.items()}
    if len(column.seen) < windows:
        return LeftOut(name, f"it is in {', '.join(column.seen)} alone, and not in every window", unsure=True)
    if column.kind == "empty":
        return LeftOut(name, "it is null throughout")
    if column.kind == "other":
        if len(set(kinds.values())) > 1:
            said = ", ".join(f"{kind} in {window}" for window, kind in kinds.items())
            return LeftOut(name, f"it is {said}", unsure=True)
        types = {facts.type for facts in column.seen.values()}
        return LeftOut(name, f"no feature can be a {', '.join(sorted(types))}")
    if column.kind == "time":
        return LeftOut(name, "it is a time; how long ago it was could be a feature")
    if column.distinct <= 1 and not column.nulls:
        return LeftOut(name, "it has one value throughout")
    if surety > TELLS_TARGET:
        said = f"says the target: alone it tells it apart (AUC or agreement {surety:.4f}), as if known after it"
        return LeftOut(name, said, unsure=True)
    if column.is_named_id and (column.is_unique or column.distinct > MOST_VALUES):
        return LeftOut(name, f"it is an id by its name, {column.distinct} values", unsure=True)
    most = MOST_CATEGORIES_SHARE * column.rows
    if column.kind == "text" and (column.values is None or len(column.values) >= most):
        return LeftOut(name, f"it is a text of {column.distinct} different values, too many for categories")
    if column.kind in ("integer", "float") and (column.low is None or not math.isfinite(float(column.high or 0))):
        return LeftOut(name, "it has no finite number", unsure=True)
    return None


def _doubts_of_nulls(column: Column) -> dict[str, str]:
    if texts := sorted({facts.null_text for facts in column.seen.values() if facts.null_text}):
        said = " and ".join(repr(text) for text in texts)
        as_category = "; name it in `categories` if it means something" if column.kind == "text" else ""
        return {"nullable": f"{said} is read as null{as_category}"}
    return {}


def _category(column: Column, nulls: str, doubts: dict[str, str]) -> DraftFeature:
    values = sorted(column.values or {})
    partly = [value for value in values if any(value not in (facts.values or {}) for facts in column.seen.values())]
    if partly:
        shown = ", ".join(repr(value) for value in partly[:5]) + (", ..." if len(partly) > 5 else "")
        doubts["categories"] = (
            f'not in every window: {shown}; `new_categories = "as_missing"` with `nullable = true` keeps rows with '
            "values that are not listed"
        )
    feature = Feature(type="category", nullable=column.nulls > 0, categories=tuple(values))
    return DraftFeature(column.name, feature, f"{len(values)} different texts; {nulls}", doubts)


def _number(column: Column, nulls: str, doubts: dict[str, str]) -> DraftFeature:
    low, high = float(column.low or 0), float(column.high or 0)
    is_whole = column.kind == "integer" and max(abs(low), abs(high)) <= FLOAT32_EXACT_INTEGER
    if column.kind == "integer" and not is_whole:
        doubts["type"] = "whole numbers beyond 2^24, of which a model sees 7 digits; is it an id?"
    elif column.is_named_id:
        doubts["type"] = "a number by name of an id: delete it, or make it a category"
    elif is_whole and set(column.values or ()) == {"0", "1"}:
        doubts["type"] = '0 and 1 alone; "boolean" if it is a yes or no'
    if odd := sum(facts.odd for facts in column.seen.values()):
        example = next(facts.odd_example for facts in column.seen.values() if facts.odd)
        doubts["type"] = f"{odd} values are no finite numbers, such as {example!r}: their rows would be set aside"
    seen = f"from {low:.10g} to {high:.10g}; {nulls}"
    limits = widened(low, high)
    if limits:
        doubts["range"] = f"widened from {low:.10g} to {high:.10g}, which was seen"
    feature = Feature(type="integer" if is_whole else "float", nullable=column.nulls > 0, range=limits)
    return DraftFeature(column.name, feature, seen, doubts)


def widened(low: float, high: float) -> tuple[float, float] | None:
    """A range of round numbers around what was seen; it ends at 0 where nothing was seen beyond it.

    None where no finite round number is large enough.
    """
    limits = (-_round_above(-low) if low < 0 else 0.0, _round_above(high) if high > 0 else 0.0)
    return limits if all(map(math.isfinite, limits)) else None


def _round_above(number: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50, ... that is larger by a margin."""
    wanted = number * WIDER
    if wanted > 1e300:
        return math.inf
    power = max(-12, math.floor(math.log10(wanted)))
    return next(ends for step in (1, 2, 5, 10, 20) if (ends := float(f"{step}e{power}")) >= wanted)
