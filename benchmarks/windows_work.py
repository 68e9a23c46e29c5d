"""The work that `benchmarks.windows` measures, one piece in a process of its own: so its peak memory is its alone.

`python -m benchmarks.windows_work PIECE ...` prints seconds, peak memory and, of ours, the rows that came out. The time
is that of the work; Python's start and imports are in neither side's, while the modules' memory is in both sides'.
"""

import json
import resource
import sys
import time
from functools import partial
from pathlib import Path

import duckdb
import ibis.backends.sql.compilers.duckdb  # noqa: F401 -- ours imports it when it is needed; a run is forked with it

from mlops_assets.adapters.landing.folder import FolderLanding
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.dataset_tables import Limits
from mlops_assets.domain.feature import Feature
from mlops_assets.domain.sql import literal

FLOATS, INTEGERS, CATEGORIES = 10, 5, 5
LEVELS = tuple(f"level {level}" for level in range(8))
ROWS_A_KEY = 5
"""Rows that share a split key, such as a customer's orders."""


def contract() -> Dataset:
    """20 features, each with rules: 15 numbers and 5 categories; id, split key and target come on top."""
    features = {f"amount_{at}": Feature(type="float", range=(0.0, 1000.0)) for at in range(FLOATS)}
    features |= {f"count_{at}": Feature(type="integer", range=(0.0, 1000.0)) for at in range(INTEGERS)}
    features |= {f"group_{at}": Feature(type="category", categories=LEVELS) for at in range(CATEGORIES)}
    return Dataset(
        name="orders", target="returned", row_id="order", split_by="customer", features=features, limits=Limits()
    )


def make_file(rows: int, path: Path) -> dict[str, int]:
    """Writes a window of the contract's columns, in which 1.1 % of the rows are broken; the same one every time.

    Each 200th row breaks a range, each 250th lacks a category, each 1000th has the id of the one before.
    """
    amounts = [
        f"CASE WHEN {at} = 0 AND i % 200 = 3 THEN -1.0 "
        f"ELSE hash(i, {at}) % 1000000007 / 1000000007.0 * 1000 END::DOUBLE "
        f"AS amount_{at}"
        for at in range(FLOATS)
    ]
    counts = [f"(hash(i, {100 + at}) % 1000)::BIGINT AS count_{at}" for at in range(INTEGERS)]
    groups = [
        f"CASE WHEN {at} > 0 OR i % 250 <> 4 THEN 'level ' || (hash(i, {200 + at}) % {len(LEVELS)}) END AS group_{at}"
        for at in range(CATEGORIES)
    ]
    columns = [
        "'order-' || lpad((CASE WHEN i % 1000 = 1 THEN i - 1 ELSE i END)::VARCHAR, 9, '0') AS \"order\"",
        f"'customer-' || (hash(i) % {max(1, rows // ROWS_A_KEY)}) AS customer",
        "hash(i, 300) % 5 = 0 AS returned",
        *amounts, *counts, *groups,
    ]  # fmt: skip
    form = "FORMAT parquet" if path.suffix == ".parquet" else "FORMAT csv, HEADER"
    with duckdb.connect() as connection:
        connection.execute("SET preserve_insertion_order = false")
        connection.execute(
            f"COPY (SELECT {', '.join(columns)} FROM range({rows:d}) AS made(i)) TO {literal(str(path))} ({form})"  # noqa: S608
        )
    return {"rows": rows}


def take(path: Path, folder: Path) -> dict[str, int]:
    """A landing's fetch, its sha256 with it, and all of the window store's work."""
    dataset = contract()
    with FolderLanding(path.parent, dataset).fetch(path.stem) as landed:
        intake, stored = WindowStore(folder, dataset).take(landed)
    if stored is None or intake.fault:
        raise RuntimeError(f"{path.name} was not taken as a fit window: {intake.fault}")
    return {"clean": stored.counts.clean, "quarantined": stored.counts.quarantined}


def bare_copy(path: Path, folder: Path) -> dict[str, int]:
    """What DuckDB needs to read the file and write it as Parquet, with its defaults, nothing looked at."""
    read = "read_parquet" if path.suffix == ".parquet" else "read_csv"
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (FROM {read}({literal(str(path))})) TO {literal(str(folder / 'copy.parquet'))} (FORMAT parquet)"
        )
    return {}


def peak_mb() -> float:
    """The most memory that this process has held, of all that it did so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def main() -> None:
    """Runs one piece."""
    match sys.argv[1:]:
        case ["make", rows, file]:
            work = partial(make_file, int(rows), Path(file))
        case ["ours", file, folder]:
            work = partial(take, Path(file), Path(folder))
        case ["bare", file, folder]:
            work = partial(bare_copy, Path(file), Path(folder))
        case _:
            sys.exit("one of: make ROWS FILE, ours FILE FOLDER, bare FILE FOLDER")
    started = time.perf_counter()
    found = work()
    seconds = time.perf_counter() - started
    sys.stdout.write(json.dumps({"seconds": seconds, "peak_mb": peak_mb(), **found}) + "\n")


if __name__ == "__main__":
    main()
