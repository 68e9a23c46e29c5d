"""Which column is the target, and what it says for yes: guesses, each with its evidence.

Here belongs what names and values tell of a target. The other parts of the contract belong to `roles`.
"""

from collections.abc import Sequence

from mlops_assets.datasets.drafting.columns import Column
from mlops_assets.datasets.drafting.roles import NO_TARGET, Choice

LABEL_TABLES = frozenset({"labels", "label", "targets", "target", "outcomes", "truth"})
TELLING_NAMES = frozenset({"label", "target", "y", "outcome", "class"})
TELLING_WORDS = frozenset(
    {
        "label",
        "target",
        "outcome",
        "churn",
        "churned",
        "late",
        "delayed",
        "default",
        "defaulted",
        "fraud",
        "fraudulent",
        "converted",
        "cancelled",
        "canceled",
        "failed",
        "failure",
        "survived",
        "readmitted",
        "approved",
        "response",
    }
)
NO_WORDS = frozenset({"no", "n", "false", "f", "0", "negative", "stayed", "retained", "good", "ok", "none", "current"})
YES_WORDS = frozenset(
    {"yes", "y", "true", "t", "1", "positive", "churned", "left", "bad", "late", "fraud", "default", "defaulted"}
)


def choose_target(columns: Sequence[Column], labels: str | None) -> Choice:
    """The column with the truth: one with two values, and a telling name or in the table of labels."""
    two = [column for column in columns if _is_two_valued(column)]
    told = sorted((column for column in two if _telling(column, labels)), key=lambda column: -_telling(column, labels))
    if not told:
        found = f"; columns with two values: {', '.join(repr(column.name) for column in two)}" if two else ""
        return Choice(
            NO_TARGET, "", f"no column with two values {'and a telling name ' if two else ''}found; name it{found}"
        )
    chosen, *others = told
    counts = ", ".join(f"{value!r} in {rows} rows" for value, rows in (chosen.values or {}).items())
    place = f"in the table {chosen.table}" if chosen.table == labels else "a telling name"
    listed = ", ".join(repr(column.name) for column in others)
    return Choice(chosen.name, f"{place}, two values: {counts}", f"could also be {listed}" if others else None)


def choose_target_values(target: Column) -> tuple[tuple[str, str] | None, Choice]:
    """What the target says for no and for yes; None where it is true or false, 1 or 0."""
    values = list(target.values or {})  # the more frequent first
    if {value.strip().lower() for value in values} in ({"true", "false"}, {"0", "1"}, {"0.0", "1.0"}):
        return None, Choice(None, "")
    no, yes = values
    are_in_order = _says(no, NO_WORDS) or _says(yes, YES_WORDS)
    if not are_in_order and (_says(yes, NO_WORDS) or _says(no, YES_WORDS)):
        no, yes = yes, no
    if _says(no, NO_WORDS) or _says(yes, YES_WORDS):
        return (no, yes), Choice(None, "no, then yes, as the words say")
    return (no, yes), Choice(None, "no, then yes", "the less frequent value is taken for the yes")


def _is_two_valued(column: Column) -> bool:
    values = column.values or {}
    is_known = column.kind in ("boolean", "integer", "text") or set(values) in ({"0.0", "1.0"}, {"0", "1"})
    return is_known and len({value.lower() for value in values}) == 2 == len(values)


def _telling(column: Column, labels: str | None) -> int:
    if column.table == labels:
        return 4
    if column.name.lower() in TELLING_NAMES:
        return 3
    if column.words[:1] == ("has",):
        return 0
    return 2 if TELLING_WORDS & set(column.words) else int(column.words[:1] == ("is",))


def _says(value: str, words: frozenset[str]) -> bool:
    return value.strip().lower().replace("_", " ").split(" ")[0] in words or value.strip().lower() in words
