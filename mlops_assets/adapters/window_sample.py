"""The sample of a window: a small file beside its clean rows that bounded draws read instead, however many those are.

Here belong the order in which rows are drawn, which of them the sample holds, and when it stands for all. Drawing
belongs to `window_store`.
"""

from math import sqrt
from pathlib import Path

import duckdb

from mlops_assets.adapters.table_files import write_parquet
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.dataset_tables import MAX_SAMPLE_ROWS
from mlops_assets.domain.sql import literal, parquet_files, quoted
from mlops_assets.domain.windows import SPLIT_COLUMN, TRAIN, VALIDATION, WindowCounts

SAMPLE = f"sample-{MAX_SAMPLE_ROWS}.parquet"
"""Says how many rows of a side it holds: kept for fewer, it would stand for rows that it does not have."""
MARGIN = 8
"""Standard deviations that a cut leaves more rows than are asked for: too few are left once in 10^14 windows."""
CUT_DIGITS = 12
NO_CUT = "g"
"""Comes after all hex digits."""


def draw_order(dataset: Dataset) -> str:
    """What rows are drawn by, in SQL: the MD5 of the row id as hex text, whose order is that of the number."""
    row_id = quoted(dataset.row_id)
    return f"md5({row_id}), {row_id}"


def write_sample(
    connection: duckdb.DuckDBPyConnection,
    dataset: Dataset,
    counts: WindowCounts,
    *,
    clean: Path,
    sample: Path,
    of: str,
    most: int = MAX_SAMPLE_ROWS,
) -> None:
    """Writes the first rows of each side of the split, by `draw_order`; nothing where a sample might save nothing.

    Sorting 10 M rows takes 28 s. Those below a cut through the hashes, 1 in 100, are found in one pass of 1.3 s.

    Args:
        connection: The engine.
        dataset: The contract.
        counts: Of the clean rows.
        clean: Their file.
        sample: The file to write.
        of: How a user knows the window, for errors.
        most: Rows of each side.

    Raises:
        WindowUnfit: the rows need more memory than rows should.
    """
    if counts.clean <= 2 * most:
        return
    sides = {TRAIN: counts.clean - counts.validation, VALIDATION: counts.validation}

    def write(condition: str) -> int:
        place = f"row_number() OVER (PARTITION BY {SPLIT_COLUMN} ORDER BY {draw_order(dataset)})"
        first = f"SELECT * FROM {parquet_files(clean)} WHERE {condition} QUALIFY {place} <= {most:d}"
        return write_parquet(connection, first, sample, of=of)

    cuts = " ".join(f"WHEN {literal(side)} THEN {literal(cut(rows, most))}" for side, rows in sides.items())
    written = write(f"md5({quoted(dataset.row_id)}) < CASE {SPLIT_COLUMN} {cuts} END")
    if written < sum(min(rows, most) for rows in sides.values()):
        write("true")


def cut(rows: int, most: int) -> str:
    """The hash below which so many of a side's rows are, and a few more."""
    below = most + MARGIN * sqrt(most)
    return f"{int(16**CUT_DIGITS * below / rows):0{CUT_DIGITS}x}" if below < rows else NO_CUT


def rows_to_draw_from(clean: Path, *, max_rows: int, labelled: bool) -> Path:
    """The sample where a draw gets the same rows from it, else the clean rows.

    Of rows whose label has come a sample may hold too few. Small windows have none, nor do those that were stored
    before there were samples.
    """
    sample = clean.with_name(SAMPLE)
    return sample if max_rows <= MAX_SAMPLE_ROWS and not labelled and sample.exists() else clean
