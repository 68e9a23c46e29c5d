"""The tables of the windows that were looked at: their columns, the key that joins them, and which holds the labels.

Here belongs what concerns whole tables. What one column is belongs to `roles` and `feature_inference`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mlops_assets.datasets.drafting.columns import Column
from mlops_assets.datasets.drafting.roles import NO_KEY, NO_TARGET, Choice


@dataclass(frozen=True)
class SeenTables:
    """What the windows hold, by table."""

    columns: dict[str, list[Column]]
    files: tuple[dict[str, Path], ...]
    """By window, oldest first."""
    key: Choice
    """What joins the tables; None where there is one alone."""
    labels: Choice
    first: Choice
    """The table whose rows are the window's."""
    remarks: tuple[str, ...]

    @property
    def order(self) -> tuple[str, ...]:
        """The tables but the labels, the first one first."""
        named = [table for table in self.columns if table not in (self.labels.value, self.first.value)]
        return (str(self.first.value), *named)

    @property
    def joins(self) -> bool:
        """Whether the tables can be joined."""
        return self.key.value not in (None, NO_KEY)

    @property
    def joining(self) -> str | None:
        """The column that does so."""
        return self.key.value if self.joins else None

    @property
    def rows(self) -> int:
        """Of the first table, in all windows."""
        return self.columns[str(self.first.value)][0].rows

    @property
    def smallest(self) -> int:
        """Rows of the smallest window."""
        return min(facts.rows for facts in self.columns[str(self.first.value)][0].seen.values())

    def all_columns(self) -> list[Column]:
        """Of all tables."""
        return [column for columns in self.columns.values() for column in columns]

    def named(self) -> list[tuple[str, str]]:
        """Table and column of all, the joining key once; names that stand twice in a file twice."""
        pairs = [(column.table, column.name) for column in self.all_columns()]
        return [pair for pair in pairs if pair[1] != self.key.value] + (
            [("", str(self.key.value))] if self.joins else []
        )

    def windows_with(self, table: str) -> int:
        """In how many windows a table is."""
        return sum(table in files for files in self.files)

    def files_with(self, column: str | None) -> Iterator[tuple[dict[str, Path], Path]]:
        """The windows that have a column, each with the file that holds it."""
        tables = [table for table, columns in self.columns.items() if any(one.name == column for one in columns)]
        for files in self.files:
            if tables and tables[0] in files:
                yield files, files[tables[0]]

    def with_target(self, target: str | None) -> "SeenTables":
        """Knows which table holds the labels, now that the target is known."""
        if target == NO_TARGET:
            return self
        table = next(column.table for column in self.all_columns() if column.name == target)
        if table == self.labels.value:
            return self
        names = {column.name for column in self.columns[table]}
        if len(self.columns) > 1 and names == {target, self.key.value}:
            return replace(
                self,
                labels=Choice(table, "it holds the target and the key alone"),
                first=first_table(self, labels=table),
            )
        return replace(self, labels=Choice(None, ""), first=first_table(self, labels=None))


def first_table(seen: SeenTables, *, labels: str | None) -> Choice:
    """The table whose rows are the window's: that with the most, or else the one that the key is called after."""
    tables = [table for table in seen.columns if table != labels] or list(seen.columns)
    words = {word for word in str(seen.key.value).lower().split("_") if len(word) > 2}
    chosen = max(
        tables,
        key=lambda table: (seen.columns[table][0].rows, any(table.lower().startswith(word) for word in words)),
    )
    same = [table for table in tables if seen.columns[table][0].rows == seen.columns[chosen][0].rows]
    if len(tables) == 1:
        return Choice(chosen, "the only table")
    unsure = f"{len(same)} tables have as many; the first one's rows are the window's" if len(same) > 1 else None
    return Choice(chosen, f"first the one with the most rows, {seen.columns[chosen][0].rows}", unsure)
