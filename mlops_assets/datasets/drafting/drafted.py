"""A drafted contract: its guessed values, each with evidence and doubts.

Here belongs what a draft is. Guessing belongs to `inference`, writing it down to `draft`.
"""

from dataclasses import dataclass

from mlops_assets.datasets.drafting.feature_inference import DraftFeature, LeftOut
from mlops_assets.datasets.drafting.roles import Choice


@dataclass(frozen=True)
class Draft:
    """A contract's guessed values, each with its evidence."""

    name: str
    windows: tuple[str, ...]
    """Those that were looked at, oldest first."""
    rows: int
    columns: int
    target: Choice
    target_values: tuple[str, str] | None
    target_values_choice: Choice
    row_id: Choice
    split_by: Choice
    entity_key: Choice
    event_time: Choice
    tables: tuple[str, ...]
    """Of a window folder, the one whose rows are the window's first; none where a window is a single file."""
    first: Choice
    key: Choice
    labels: Choice
    features: tuple[DraftFeature, ...]
    left_out: tuple[LeftOut, ...]
    min_rows: int
    smallest: int
    remarks: tuple[str, ...]
    """What was odd about the files."""

    @property
    def unsure(self) -> list[str]:
        """Everything doubtful, a line each; the widened ranges together."""
        roles = {
            "target": self.target,
            "target_values": self.target_values_choice,
            "row_id": self.row_id,
            "split_by": self.split_by,
            "entity_key": self.entity_key,
            "event_time": self.event_time,
            "source.tables": self.first,
            "source.key": self.key,
            "source.labels": self.labels,
        }
        lines = [*self.remarks]
        lines += [f"{role}: {choice.unsure}" for role, choice in roles.items() if choice.unsure]
        lines += [
            f"{drafted.name}: {key}: {doubt}"
            for drafted in self.features
            for key, doubt in drafted.doubts.items()
            if key != "range"
        ]
        lines += [f"{column.name}: left out: {column.why}" for column in self.left_out if column.unsure]
        if ranges := sum("range" in drafted.doubts for drafted in self.features):
            lines.append(f"range: of {ranges} features, widened from what was seen")
        return [*lines, f"limits.min_rows: {self.min_rows}, half of the smallest window's {self.smallest} rows"]
