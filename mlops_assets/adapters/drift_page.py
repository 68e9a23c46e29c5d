"""The page of a drift report: what the loop makes of it above what Evidently shows of it.

Evidently's own headline counts the columns that it was given, which the columns that cannot be judged are not among.
Here belongs the page's file. Evidently itself belongs to `evidently_report`.
"""

import html
from collections.abc import Sequence
from pathlib import Path

from mlops_assets.adapters.files import write_atomically
from mlops_assets.domain.dataset_tables import Drift
from mlops_assets.domain.drift_columns import ColumnDrift

BODY = "<body>"
STYLE = (
    "font: 15px/1.5 sans-serif; margin: 16px; padding: 12px 16px; background: #fff; color: #111; border: 1px solid #bbb"
)


class PageOfAnotherShape(Exception):
    """Evidently's page has no place for what stands above it."""


def write_page(path: Path, said: Sequence[str], evidently: str | None) -> None:
    """Replaces a report's page as a whole.

    Args:
        path: Its file; the folder is made where it is not there.
        said: Lines of text, the first of them the title.
        evidently: Evidently's page; None where it was given no column.

    Raises:
        PageOfAnotherShape: Evidently's page has no body.
    """
    title, *lines = map(html.escape, said)
    above = f'<div style="{STYLE}"><b>{title}</b>{"".join(f"<br>{line}" for line in lines)}</div>'
    page = f"<!doctype html><html><head><meta charset=utf-8></head>{BODY}{above}</body></html>"
    if evidently is not None:
        before, body, after = evidently.partition(BODY)
        if not body:
            raise PageOfAnotherShape("Evidently's page has no <body>")
        page = f"{before}{body}{above}{after}"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, page.encode())


def summary(
    drift: Drift, columns: Sequence[ColumnDrift], *, share: float | None, not_enough_data: str | None
) -> list[str]:
    """What the loop makes of the columns, in lines.

    Args:
        drift: The contract's settings.
        columns: The features, and the target and the scores where they were compared.
        share: The drift share; None where there is not enough data.
        not_enough_data: What is lacking.
    """
    lines = [f"Not enough data: {not_enough_data}"]
    if share is not None:
        counted = [column.counts_as_drifted for column in columns if column.counts_as_drifted is not None]
        exceeds = "exceeds" if share > drift.drift_share_threshold else "does not exceed"
        lines = [
            f"drift_share {share:.4f} {exceeds} the threshold {drift.drift_share_threshold:.4f}: {sum(counted)} of "
            f"{len(counted)} features count as drifted"
        ]
    if unusable := [column for column in columns if column.verdict == "unusable"]:
        named = "; ".join(f"{column.column}: {column.reason} (counts as: {column.counts})" for column in unusable)
        lines.append(f"Cannot be judged, and not among Evidently's figures below: {named}")
    return [*lines, f"Settings: {', '.join(f'{name} {value}' for name, value in drift.model_dump().items())}"]
