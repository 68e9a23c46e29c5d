"""How landed rows become the model's float32 input, and which of them the model refuses.

The rules are those of `row_rules`; here belongs applying them where every row is to be scored and most hold them. What
a service makes of a request belongs to `serving.rows` and `serving.predictor`: both must come to the same input.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from mlops_assets.domain.duckdb_functions import DuckdbFunction
from mlops_assets.domain.feature import FLOAT32_EXACT_INTEGER, FLOAT32_MAX, Feature
from mlops_assets.domain.row_reading import feature_value, unread
from mlops_assets.domain.row_rules import feature_rules
from mlops_assets.domain.sql import literals

if TYPE_CHECKING:
    import ibis.expr.types as ir

REASONS = "_reasons"
"""Column of the reasons why a row is refused, as one text; null where there are none."""
FOUND = "_found"
"""The same on the way, each reason with the separator behind it; empty where there are none after all."""
BETWEEN_REASONS = "\x1f"
"""Stands between two of them: a control character, which no feature has in its name."""
NO_CATEGORY = -1
"""Position of a null in a category."""


def read_features(
    landed: "ir.Table", features: Mapping[str, Feature], *, is_text: bool, carried: Iterable[str]
) -> "ir.Table":
    """Each row's features as the rules speak of them, and some columns as they landed.

    Args:
        landed: The rows.
        features: What the model takes, in the order of its input.
        is_text: Whether they were a CSV file, where every value is a text yet to be read.
        carried: Columns that are handed on, none of them a feature.
    """
    read: list[ir.Value] = []
    for name, feature in features.items():
        value, not_read = feature_value(landed[name], _kept(feature), is_text=is_text)
        read += [value.name(name), not_read.name(unread(name))]
    return landed.select(*read, *carried)


def encode(
    read: "ir.Table", features: Mapping[str, Feature], *, whole: Iterable[str], carried: Iterable[str]
) -> "ir.Table":
    """Each row's input, what is found against it (`_found`) and the columns that are handed on, in this order.

    Args:
        read: What `read_features` gives.
        features: The same.
        whole: Features that landed as whole numbers.
        carried: The same.
    """
    import ibis

    whole = set(whole)
    suspects = {name: suspect(read, name, feature, is_whole=name in whole) for name, feature in features.items()}
    # All rules on all rows took 0.3 s for a million rows of 17 features, the suspicion alone 0.1 s.
    broken = {name: _broken(read, name, feature) for name, feature in features.items()}
    each = [ibis.cases((suspects[name], reasons)) for name, reasons in broken.items() if reasons is not None]
    found = ibis.cases((ibis.or_(*suspects.values()), _together(each))) if each else ibis.null("string")
    inputs = [encoded(read, name, feature).name(name) for name, feature in features.items()]
    return read.select(*inputs, found.name(FOUND), *carried)


def model_input(rows: "ir.Table") -> "ir.Table":
    """Each row's input, its reasons to be refused and the columns that are handed on, in this order.

    Args:
        rows: What `encode` gives, under a name: the reasons are looked at twice, and were they not a column but the
            expression that finds them, the refused rows, one in a thousand, took longer than all the others.
    """
    import ibis

    found = rows[FOUND]
    reasons = ibis.cases((found != "", found.left(found.length() - len(BETWEEN_REASONS))))
    return rows.select(*(reasons.name(REASONS) if name == FOUND else name for name in rows.columns))


def encoded(read: "ir.Table", name: str, feature: Feature) -> "ir.FloatingValue":
    """A feature that was read as the model takes it, and never null.

    A number as it is, a boolean as 1 or 0, null as NaN; a category as its position, or -1 for null.
    """
    import ibis

    if feature.type == "category":
        return ibis.coalesce(_position(feature)(read[name]), NO_CATEGORY).cast("float32")
    return ibis.coalesce(read[name].try_cast("float32"), ibis.literal(float("nan"), "float32"))


def suspect(read: "ir.Table", name: str, feature: Feature, *, is_whole: bool) -> "ir.BooleanValue":
    """A condition that holds wherever a rule of the feature is broken, and hardly anywhere else; made to be cheap.

    Args:
        read: The rows.
        name: The column, as it was read.
        feature: What the model says of it.
        is_whole: Whether it landed as a whole number.
    """
    import ibis

    column, conditions = read[name], [read[unread(name)]]
    if not feature.nullable:
        conditions.append(column.isnull())
    if feature.type == "category":
        if feature.new_categories == "quarantine":
            conditions.append(_position(feature)(column).isnull() & column.notnull())
    elif feature.type == "boolean":
        conditions.append((column != 0) & (column != 1))
    else:
        limit = FLOAT32_EXACT_INTEGER if feature.type == "integer" else FLOAT32_MAX
        low, high = feature.range or (-limit, limit)
        conditions.append(~column.between(max(low, -limit), min(high, limit)))
        if feature.type == "integer" and not is_whole:
            conditions.append(column != column.try_cast("int32"))
    return ibis.or_(*conditions)


def _broken(read: "ir.Table", name: str, feature: Feature) -> "ir.StringValue | None":
    """The reasons of one feature together; None where it has no rule."""
    import ibis

    rules = feature_rules(name, feature)
    found = [ibis.cases((rule.condition(read), f"{rule.reason}{BETWEEN_REASONS}")) for rule in rules]
    return _together(found) if found else None


def _together(texts: "list[ir.StringValue]") -> "ir.StringValue":
    """Texts that are there as one; empty where none is."""
    import ibis

    return ibis.literal("").join(texts)


def _kept(feature: Feature) -> Feature:
    """Read with its new values, which have no position: looking for them in the list of all takes a hundred times."""
    return feature.model_copy(update={"new_categories": "quarantine"})


def _position(feature: Feature) -> DuckdbFunction:
    """A category's position, null where it is none."""
    categories = literals(feature.categories)
    name = f"position_{hashlib.sha256(categories.encode()).hexdigest()[:16]}"
    return DuckdbFunction(name, f"enum_code(TRY_CAST(x AS ENUM({categories})))", "int32")
