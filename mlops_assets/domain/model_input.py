"""How landed rows become the model's float32 input, and which of them the model refuses, in SQL.

The rules are those of `row_rules`; here belongs applying them where every row is to be scored and most hold them. What
a service makes of a request belongs to `serving.rows` and `serving.predictor`: both must come to the same input.
"""

from collections.abc import Iterable, Mapping

from mlops_assets.domain.feature import FLOAT32_EXACT_INTEGER, FLOAT32_MAX, Feature
from mlops_assets.domain.row_rules import INTEGER_TYPES, feature_rules, read_feature, unread
from mlops_assets.domain.sql import literal, literals, quoted

REASONS = "_reasons"
"""Column of the reasons why a row is refused, as one text; null where there are none."""
FOUND = "_found"
"""The same within the query, each reason with the separator behind it; empty where there are none after all."""
BETWEEN_REASONS = "\x1f"
"""Stands between two of them: a control character, which no feature has in its name."""
NO_CATEGORY = -1
"""Position of a null in a category."""


def input_sql(
    features: Mapping[str, Feature], types: Mapping[str, str], *, source: str, is_text: bool, carried: Iterable[str]
) -> str:
    """A query for each row's input, its reasons to be refused and some columns as they landed, in this order.

    Args:
        features: What the model takes, in the order of its input.
        types: The engine's type by column of the source.
        source: What stands behind FROM.
        is_text: Whether it was a CSV file, where every value is a text yet to be read.
        carried: Columns that are handed on, none of them a feature.
    """
    read: list[str] = []
    for name, feature in features.items():
        value, not_read = read_feature(name, _kept(feature), types[name], is_text=is_text)
        read += [f"{value} AS {quoted(name)}", f"{not_read} AS {unread(name)}"]
    suspects = {name: suspect(name, feature, types[name]) for name, feature in features.items()}
    # All rules on all rows took 0.3 s for a million rows of 17 features, the suspicion alone 0.1 s.
    found = _together(f"CASE WHEN {suspects[name]} THEN {_broken(name, features[name])} END" for name in features)
    found = f"CASE WHEN {' OR '.join(suspects.values())} THEN {found} END AS {FOUND}"
    inputs = [f"{encoded(name, feature)} AS {quoted(name)}" for name, feature in features.items()]
    others = [quoted(column) for column in carried]
    names = [quoted(name) for name in features]
    # NULLIF evaluates its first argument twice, so it is given a column: with the expression, which has two more of
    # them inside, the refused rows, one in a thousand, took longer than all the others.
    reasons = f"left(nullif({FOUND}, ''), -{len(BETWEEN_REASONS)}) AS {REASONS}"
    return (
        f"SELECT {', '.join([*names, reasons, *others])} "  # noqa: S608 -- of names and texts that `quoted` escaped
        f"FROM (SELECT {', '.join([*inputs, found, *others])} "
        f"FROM (SELECT {', '.join([*read, *others])} FROM {source}))"
    )


def encoded(name: str, feature: Feature) -> str:
    """A feature that was read as the model takes it, and never null.

    A number as it is, a boolean as 1 or 0, null as NaN; a category as its position, or -1 for null.
    """
    if feature.type == "category":
        return f"coalesce({_position(name, feature)}, {NO_CATEGORY})::FLOAT"
    return f"coalesce(TRY_CAST({quoted(name)} AS FLOAT), 'nan'::FLOAT)"


def suspect(name: str, feature: Feature, kind: str) -> str:
    """A condition that holds wherever a rule of the feature is broken, and hardly anywhere else; made to be cheap.

    Args:
        name: The column, as it was read.
        feature: What the model says of it.
        kind: The engine's type of the column as it landed.
    """
    column = quoted(name)
    conditions = [unread(name)]
    if not feature.nullable:
        conditions.append(f"{column} IS NULL")
    if feature.type == "category":
        if feature.new_categories == "quarantine":
            conditions.append(f"{_position(name, feature)} IS NULL AND {column} IS NOT NULL")
    elif feature.type == "boolean":
        conditions.append(f"{column} <> 0 AND {column} <> 1")
    else:
        limit = FLOAT32_EXACT_INTEGER if feature.type == "integer" else FLOAT32_MAX
        low, high = feature.range or (-limit, limit)
        conditions.append(f"{column} NOT BETWEEN {max(low, -limit)!r} AND {min(high, limit)!r}")
        if feature.type == "integer" and not kind.startswith(INTEGER_TYPES):
            conditions.append(f"{column} <> trunc({column})")
    return f"({' OR '.join(f'({condition})' for condition in conditions)})"


def _broken(name: str, feature: Feature) -> str:
    return _together(
        f"CASE WHEN {rule.condition} THEN {literal(rule.reason + BETWEEN_REASONS)} END"
        for rule in feature_rules(name, feature)
    )


def _together(texts: Iterable[str]) -> str:
    """Texts that are there as one; empty where none is."""
    return f"concat({', '.join(['NULL', *texts])})"


def _kept(feature: Feature) -> Feature:
    """Read with its new values, which have no position: looking for them in the list of all takes a hundred times."""
    return feature.model_copy(update={"new_categories": "quarantine"})


def _position(name: str, feature: Feature) -> str:
    return f"enum_code(TRY_CAST({quoted(name)} AS ENUM({literals(feature.categories)})))"
