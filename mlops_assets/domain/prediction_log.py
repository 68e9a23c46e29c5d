"""Rules of logged rows: which answered rows can be rows of a window, and what its columns are made of.

All are SQL expressions over the columns `_id`, `_at`, `_nth` (1 is the first answer to an id), `_features` and
`_context` (lists of JSON, as `feature_paths` and `context_paths` order them; null where there are none) and `_label`.
What a row of a window must hold beyond that is judged when the window is taken up, as of every window that lands.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.feature import Feature
from mlops_assets.domain.sql import literal, quoted

HASH_ALONE = "features: kept as a hash alone"
JSON_NUMBERS = "'BIGINT', 'UBIGINT', 'HUGEINT', 'DOUBLE'"


class LogUnfit(Exception):
    """No window can be made of this part of the prediction log; the message says why, and what to do."""


class NothingAnswered(LogUnfit):
    """The log has no answer of the period: there is no window to make, and nothing is wrong."""


@dataclass(frozen=True)
class LogRule:
    """A logged row is left out where `condition` (SQL) holds; `reason` is what is said of it."""

    reason: str
    condition: str


def feature_paths(dataset: Dataset) -> list[str]:
    """JSON pointers to the features, in the contract's order."""
    return [_pointer(name) for name in dataset.features]


def context_paths(dataset: Dataset) -> list[str]:
    """JSON pointers to the columns beside the features, in the contract's order."""
    return [_pointer(column) for column in dataset.context]


def log_rules(dataset: Dataset) -> list[LogRule]:
    """What keeps a logged row out of a window; of several the first is said.

    Of the answers to one id the first alone is a row: the window store sets all rows of one id aside, and a client that
    asks again, as after a time out, got its answer to the same case.

    A feature that is not logged was not among those of the model that answered: null would say that it was missing.
    """
    rules = [LogRule(f"{dataset.row_id}: answered before", "_nth > 1"), LogRule(HASH_ALONE, "_features IS NULL")]
    required = [dataset.split_by, *([dataset.entity_key] if dataset.entity_key else [])]
    rules += [
        LogRule(f"{column}: missing", f"{_text_of(dataset, column)} IS NULL") for column in dict.fromkeys(required)
    ]
    for at, (name, feature) in enumerate(dataset.features.items(), start=1):
        rules += _feature_rules(name, feature, f"_features[{at}]")
    return rules


def reason_sql(rules: Iterable[LogRule]) -> str:
    """Why a row is left out, in SQL; null where it is not."""
    cases = " ".join(f"WHEN {rule.condition} THEN {literal(rule.reason)}" for rule in rules)
    return f"CASE {cases} END"


def window_columns(dataset: Dataset) -> dict[str, str]:
    """The contract's columns in SQL, by name, as a landed window has them.

    The event's time is that of the answer where the client gave none.
    """
    columns = {column: _text_of(dataset, column) for column in dataset.inputs if column not in dataset.features}
    if dataset.event_time in dataset.kept:
        answered = r"strftime(_at AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"
        columns[dataset.event_time] = f"coalesce({columns[dataset.event_time]}, {answered})"
    for at, (name, feature) in enumerate(dataset.features.items(), start=1):
        columns[name] = _value(feature, f"_features[{at}]")
    if dataset.target_values is None:
        columns[dataset.target] = "_label"
    else:
        no, yes = map(literal, dataset.target_values)
        columns[dataset.target] = f"CASE _label WHEN true THEN {yes} WHEN false THEN {no} END"
    return columns


def nothing_left(left_out: Mapping[str, int], window: str) -> LogUnfit:
    """What to say where every row of a period was left out."""
    said = ", ".join(f"{reason} ({rows})" for reason, rows in left_out.items())
    to_do = "send the columns beside the features with each row, or land this period yourself"
    if set(left_out) <= {HASH_ALONE}:
        to_do = "what a model saw cannot be had from its hash; let the service log the features, or land it yourself"
    return LogUnfit(f"no answered row can be a row of the window {window}: {said}; {to_do}")


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _text_of(dataset: Dataset, column: str) -> str:
    if column == dataset.row_id:
        return "_id"
    return f"(_context[{dataset.context.index(column) + 1}]->>'$')"


def _feature_rules(name: str, feature: Feature, value: str) -> list[LogRule]:
    rules = [LogRule(f"{name}: not logged", f"{value} IS NULL")]
    if not feature.nullable:
        rules.append(LogRule(f"{name}: missing", f"json_type({value}) = 'NULL'"))
    kinds = {"category": "'VARCHAR'", "boolean": "'BOOLEAN'"}.get(feature.type, JSON_NUMBERS)
    said = {"category": "a text", "boolean": "true or false"}.get(feature.type, "a number")
    rules.append(LogRule(f"{name}: not {said}", f"json_type({value}) NOT IN ({kinds}, 'NULL')"))
    return rules


def _value(feature: Feature, value: str) -> str:
    kind = {"category": "VARCHAR", "boolean": "BOOLEAN"}.get(feature.type, "DOUBLE")
    return f"TRY_CAST({value}->>'$' AS {kind})"


def ordered_columns(dataset: Dataset) -> str:
    """The columns of the window as SQL takes them behind SELECT."""
    return ", ".join(f"{sql} AS {quoted(column)}" for column, sql in window_columns(dataset).items())
