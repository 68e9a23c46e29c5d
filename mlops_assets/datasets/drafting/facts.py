"""What stands in the columns of a table: type, nulls, distinct values, range, the most frequent values.

Here belongs what is known of a column in one window. Reading it belongs to `column_reading`, what follows from it for a
contract to `roles` and `feature_inference`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["boolean", "integer", "float", "text", "time", "empty", "other"]
MOST_VALUES = 100
"""A text with more distinct values is no category."""


@dataclass(frozen=True)
class ColumnFacts:
    """One column of one table of one window."""

    name: str
    type: str
    """The engine's type."""
    kind: Kind
    rows: int
    nulls: int
    distinct: int
    low: float | None = None
    high: float | None = None
    first: str | None = None
    """The earliest and the latest time."""
    last: str | None = None
    values: Mapping[str, int] | None = None
    """Every value with its rows, the most frequent first; None where there are more than 100."""
    odd: int = 0
    """Texts among numbers, and infinite numbers."""
    odd_example: str | None = None
    null_text: str | None = None
    """A text, such as NA, that was read as null."""

    @property
    def is_unique(self) -> bool:
        """Whether it tells the rows apart."""
        return self.rows > 0 and self.nulls == 0 and self.distinct == self.rows
