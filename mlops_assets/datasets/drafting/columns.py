"""A column over the windows that were looked at, and what its name says.

Here belongs what holds of one column. Which part it has in a contract belongs to `roles`.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mlops_assets.datasets.drafting.facts import MOST_VALUES, ColumnFacts, Kind
from mlops_assets.domain.dataset import SCORES

ENTITY_WORDS = frozenset(
    {"user", "customer", "client", "account", "member", "patient", "person", "household", "device", "subscriber"}
    | {"borrower", "driver", "passenger"}
)
ID_WORDS = frozenset({"id", "key", "uuid", "guid", "no", "nr", "number", "code"})
TIME_WORDS = frozenset({"time", "timestamp", "at", "date", "day", "ts", "datetime", "event"})


@dataclass(frozen=True)
class Column:
    """One column of one table."""

    name: str
    table: str
    seen: Mapping[str, ColumnFacts]
    """What each window holds of it, oldest first."""
    is_text: bool
    """Whether it stands in CSV files."""

    @property
    def kind(self) -> Kind:
        """The type that holds all windows; `other` where there is none."""
        kinds = {facts.kind for facts in self.seen.values()} - {"empty"}
        if len(kinds) == 1:
            return kinds.pop()
        if kinds == {"integer", "float"}:
            return "float"
        if kinds == {"boolean", "integer"} and set(self.values or "?") <= {"true", "false", "True", "False", "0", "1"}:
            return "boolean"
        if self.is_text and kinds:
            return "text"
        return "other" if kinds else "empty"

    @property
    def rows(self) -> int:
        """Of all windows."""
        return sum(facts.rows for facts in self.seen.values())

    @property
    def nulls(self) -> int:
        """Of all windows."""
        return sum(facts.nulls for facts in self.seen.values())

    @property
    def distinct(self) -> int:
        """Distinct values: over all windows where they are few, else of the window with the most."""
        return len(self.values) if self.values is not None else max(facts.distinct for facts in self.seen.values())

    @property
    def values(self) -> Mapping[str, int] | None:
        """Every value with its rows, the most frequent first; None where there are more than 100."""
        counted: Counter[str] = Counter()
        for facts in self.seen.values():
            if facts.values is None and facts.kind != "empty":
                return None
            counted.update(facts.values or {})
        return dict(counted.most_common()) if len(counted) <= MOST_VALUES else None

    @property
    def low(self) -> float | None:
        """The smallest number."""
        return min((facts.low for facts in self.seen.values() if facts.low is not None), default=None)

    @property
    def high(self) -> float | None:
        """The largest number."""
        return max((facts.high for facts in self.seen.values() if facts.high is not None), default=None)

    @property
    def is_unique(self) -> bool:
        """Whether it tells the rows of each window apart."""
        return all(facts.is_unique for facts in self.seen.values())

    @property
    def is_key(self) -> bool:
        """Whether a text, a whole number or the like: what an id is made of."""
        return self.kind in ("text", "integer") or (
            self.kind == "other" and all(facts.type == "UUID" for facts in self.seen.values())
        )

    @property
    def words(self) -> tuple[str, ...]:
        """The words of its name in lower case: `churnLabel`, `churn_label` and `Churn Label` have the same."""
        return tuple(word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", self.name))

    @property
    def is_named_id(self) -> bool:
        """Whether its name is that of an id."""
        return bool(self.words) and self.words[-1] in ("id", "key", "uuid", "guid")

    @property
    def names_entity(self) -> bool:
        """Whether its name is that of somebody or something, with or without `id` behind it."""
        return bool(ENTITY_WORDS & set(self.words)) and set(self.words) <= ENTITY_WORDS | ID_WORDS


def unusable(columns: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Names that no contract can have, and why.

    Args:
        columns: Table and column, of all tables; the key that joins them once.
    """
    columns = list(columns)
    tables = Counter(name for _, name in columns)
    spellings = Counter(lower for lower in (name.lower() for name in tables))
    why: dict[str, str] = {}
    for name in tables:
        if not name:
            why[name] = "it has no name"
        elif name.startswith("_"):
            why[name] = "names that begin with '_' are the window store's own; rename it"
        elif name.lower() == SCORES:
            why[name] = "this is the name of the model's own scores; rename it"
        elif re.search(r'["\\\x00-\x1f]', name):
            why[name] = "its name has a quote, a backslash or a control character; rename it"
        elif spellings[name.lower()] > 1:
            others = sorted(other for other in tables if other.lower() == name.lower() and other != name)
            why[name] = f"{others[0]!r} differs in case alone, and SQL cannot tell them apart; rename one"
        elif tables[name] > 1:
            holders = " and ".join(table for table, other in columns if other == name)
            why[name] = f"it is in {holders}, which one is meant cannot be told; rename one"
    return why
