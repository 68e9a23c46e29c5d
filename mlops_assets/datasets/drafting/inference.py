"""From the files of some windows to the draft of a contract: what each column is, on which evidence.

Here belongs the order of the guesses. The guesses themselves belong to `target_choice`, `roles` and
`feature_inference`, the draft's text to `draft`.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from mlops_assets.datasets.drafting.columns import Column, unusable
from mlops_assets.datasets.drafting.drafted import Draft
from mlops_assets.datasets.drafting.feature_inference import DraftFeature, LeftOut, draft_feature
from mlops_assets.datasets.drafting.found_windows import FoundData
from mlops_assets.datasets.drafting.roles import (
    NO_TARGET,
    Choice,
    choose_entity,
    choose_event_time,
    choose_row_id,
    choose_split,
)
from mlops_assets.datasets.drafting.seen_tables import SeenTables
from mlops_assets.datasets.drafting.table_reading import read_tables
from mlops_assets.datasets.drafting.target_choice import choose_target, choose_target_values
from mlops_assets.datasets.drafting.telling import telling_columns
from mlops_assets.domain.row_reading import YES_TEXTS

FEWEST_ROWS = 50


def draft_contract(found: FoundData, name: str) -> Draft:
    """Looks at the first window and the newest, and guesses.

    Args:
        found: The user's windows.
        name: What the dataset may be called; made to fit.

    Raises:
        DataUnreadable: a file cannot be read, or holds no rows.
    """
    seen = read_tables(found)
    why = unusable(seen.named())
    usable = [column for column in seen.all_columns() if column.name not in why]
    candidates = [column for column in usable if column.name != seen.key.value]
    everywhere = [column for column in candidates if len(column.seen) == seen.windows_with(column.table)]
    target = choose_target(everywhere, seen.labels.value)
    seen = seen.with_target(target.value)
    others = [column for column in everywhere if column.name != target.value and column.table != seen.labels.value]
    keys = [column for column in usable if column.name == seen.key.value][:1]
    row_id = seen.key if seen.key.value else choose_row_id(others)
    entity = choose_entity([*keys, *others], str(row_id.value))
    split_by = choose_split([*keys, *others], str(row_id.value), entity.value)
    event_time = choose_event_time([column for column in others if column.name != split_by.value])
    roles = {target.value, row_id.value, entity.value, split_by.value, event_time.value}
    inputs = [column for column in candidates if column.name not in roles and column.table != seen.labels.value]
    values, values_choice = None, Choice(None, "")
    if target.value != NO_TARGET:
        values, values_choice = choose_target_values(next(c for c in everywhere if c.name == target.value))
    surety = _surety(seen, target, (values[1].strip().lower(),) if values else YES_TEXTS, inputs)
    drafted = [
        draft_feature(column, surety=surety.get(column.name, 0.5), windows=len(found.sample)) for column in inputs
    ]
    late = [
        LeftOut(column.name, "it is in the labels' table, which may come late")
        for column in candidates
        if column.table == seen.labels.value and column.name not in roles
    ]
    smallest = seen.smallest
    return Draft(
        name=_slug(name),
        windows=tuple(window.name for window in found.sample),
        rows=seen.rows,
        columns=len({name for _, name in seen.named()}),
        target=target,
        target_values=values,
        target_values_choice=values_choice,
        row_id=row_id,
        split_by=split_by,
        entity_key=entity,
        event_time=event_time,
        tables=seen.order if found.has_tables else (),
        first=seen.first if found.has_tables else Choice(None, ""),
        key=seen.key if found.has_tables else Choice(None, ""),
        labels=seen.labels if found.has_tables else Choice(None, ""),
        features=tuple(one for one in drafted if isinstance(one, DraftFeature)),
        left_out=(
            *(one for one in drafted if isinstance(one, LeftOut)),
            *late,
            *(LeftOut(name, reason, unsure=True) for name, reason in why.items()),
        ),
        min_rows=max(FEWEST_ROWS, smallest // 200 * 100 or smallest // 2),
        smallest=smallest,
        remarks=seen.remarks,
    )


def _surety(seen: SeenTables, target: Choice, yes: Sequence[str], inputs: Sequence[Column]) -> dict[str, float]:
    """How surely each input tells the target, in the newest window that has it."""
    found = list(seen.files_with(target.value))
    if not found:
        return {}
    window, labels = found[-1]
    surety: dict[str, float] = {}
    for table, path in window.items():
        columns = [column.name for column in inputs if column.table == table and column.kind not in ("empty", "other")]
        if columns and (path == labels or seen.joins):
            surety |= telling_columns(
                Path(path), labels, key=seen.joining, target=str(target.value), columns=columns, yes=yes
            )
    return surety


def _slug(name: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return (slug if slug[:1].isalpha() else f"data_{slug}".rstrip("_"))[:63]
