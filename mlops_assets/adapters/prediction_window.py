"""Makes a window of a period of the prediction log, and lands it as a user would.

A row is in the period where it was answered in it; its label may have come at any time since. Here belongs running the
rules. What they are belongs to `mlops_assets.domain.prediction_log`; what is gathered belongs to `prediction_log`.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from mlops_assets.adapters.engine import engine, number
from mlops_assets.adapters.gathered_segment import LABELS, PREDICTIONS
from mlops_assets.adapters.landing.folder import FolderLanding
from mlops_assets.adapters.landing.landed_window import ROWS, SourceDown
from mlops_assets.adapters.prediction_log import GatheredLog
from mlops_assets.adapters.table_files import write_parquet
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.log_period import Period
from mlops_assets.domain.prediction_log import (
    NothingAnswered,
    context_paths,
    feature_paths,
    log_rules,
    nothing_left,
    ordered_columns,
    reason_sql,
)
from mlops_assets.domain.sql import literal, literals, parquet_files, quoted
from mlops_assets.domain.windows import WindowUnfit, window_name
from serving.log_segments import PROBE
from serving.release import sha256_of

OF = "the prediction log"
WRITTEN_LATE = timedelta(days=1)
"""A row may be written to a segment that was opened after it was answered; by no more than this."""
IN_ORDER = '"at", segment, number'
"""Of records: by time; what came at the same time comes in the order in which it was written."""


@dataclass(frozen=True)
class LoggedWindow:
    """What became of a period's answered rows: `rows` = `written` + those left out."""

    window: str
    is_new: bool
    """Whether it landed now; the very same may have landed before."""
    rows: int
    written: int
    labelled: int
    """Written rows whose label has come."""
    left_out: dict[str, int]
    """Rows by the reason why they are none of the window."""
    later: list[str]
    """Windows whose names sort after this one, so that it is taken for a period before theirs."""
    open_segments: int
    """Segments of the time before the period's end that the service still writes to: their rows are not in it yet."""


def land_period(
    log: GatheredLog, landing: FolderLanding, period: Period, *, window: str | None = None, replace: bool = False
) -> LoggedWindow:
    """Lands the rows that were answered in a period as a window, with the labels that have come so far.

    The same log gives the same bytes. Labels that come later are in it when it is made anew, with `replace`: the graph
    takes that up as a new data version.

    Args:
        log: What was gathered.
        landing: Where windows land.
        period: The time.
        window: The window's name; the period's where none is given.
        replace: Whether it takes the place of what has landed under that name.

    Raises:
        NothingAnswered: no row was answered in the period.
        LogUnfit: no row of the period can be a row of a window.
        WindowNameInvalid: the name cannot name a window.
        WindowUnfit: another window has landed under that name.
        SourceDown: the landing folder is not there.
    """
    name = window_name(window or period.name)
    later = [landed.window for landed in landing.landed(now=time.time()) if landed.window > name]
    with (
        log.held(),
        TemporaryDirectory(dir=log.folder, prefix=".window-") as temporary,
        engine(log.folder) as connection,
    ):
        folder = Path(temporary)
        judged = folder / "judged.parquet"
        rows = _judge(connection, landing.dataset, log, period, judged)
        if not rows:
            raise NothingAnswered(f"the prediction log has no row that was answered {period}")
        left_out = dict(
            connection.execute(
                f"SELECT _left_out, count(*) FROM {parquet_files(judged)} WHERE _left_out IS NOT NULL "
                "GROUP BY 1 ORDER BY 2 DESC, 1"
            ).fetchall()
        )
        written = rows - sum(left_out.values())
        if not written:
            raise nothing_left(left_out, name)
        made = _write_tables(connection, landing.dataset, judged, folder / name)
        is_new = not _has_landed(landing, name, made)
        labelled = number(connection, f"SELECT count({quoted(landing.dataset.target)}) FROM {parquet_files(made[0])}")
        if is_new:
            landing.add(made[0].parent if landing.dataset.source.tables else made[0], name, replace=replace)
    return LoggedWindow(name, is_new, rows, written, labelled, left_out, later, log.open_before(period.until))


def _judge(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, log: GatheredLog, period: Period, judged: Path
) -> int:
    """Writes every row of the period but probes, with the contract's columns and `_left_out`; gives their number."""
    folders = log.gathered_before(period.until + WRITTEN_LATE)
    if not folders:
        return 0
    connection.execute(
        f"CREATE VIEW answered AS SELECT * FROM {parquet_files(*(folder / PREDICTIONS for folder in folders))} "
        f'WHERE "at" >= {_literal(period.since)} AND "at" < {_literal(period.until)} '
        f"AND NOT starts_with(request_id, {literal(PROBE)})"
    )
    connection.execute(
        "CREATE VIEW truths AS SELECT id, "
        "arg_max(label, {'at': \"at\", 'segment': segment, 'number': number}) AS _label "
        f"FROM {parquet_files(*(folder / LABELS for folder in log.gathered()))} "
        "WHERE id IN (SELECT id FROM answered) GROUP BY id"
    )
    connection.execute(
        'CREATE VIEW logged AS SELECT id AS _id, "at" AS _at, segment AS _segment, number AS _number, _label, '
        f"row_number() OVER (PARTITION BY id ORDER BY {IN_ORDER}) AS _nth, "
        f"json_extract(features, {_list(feature_paths(dataset))}) AS _features, "
        f"json_extract(context, {_list(context_paths(dataset))}) AS _context "
        "FROM answered LEFT JOIN truths USING (id)"
    )
    select = (
        f"SELECT {ordered_columns(dataset)}, _at, _segment, _number, _id AS _record, "
        f"{reason_sql(log_rules(dataset))} AS _left_out FROM logged"
    )
    return write_parquet(connection, select, judged, of=OF)


def _write_tables(connection: duckdb.DuckDBPyConnection, dataset: Dataset, judged: Path, folder: Path) -> list[Path]:
    """Writes the window as it lands: one file, or the contract's tables, of which the first then holds all columns.

    The others hold nothing but the key that joins them: what they hold elsewhere came with each row here.
    """
    folder.mkdir()
    tables, key = dataset.source.tables or (folder.name,), dataset.source.key
    columns = ", ".join(map(quoted, dataset.columns))
    if key and key not in dataset.columns:  # then nobody sent it, and the record's id tells the rows apart as well
        columns += f", _record AS {quoted(key)}"
    kept = f"SELECT {columns} FROM {parquet_files(judged)} WHERE _left_out IS NULL ORDER BY _at, _segment, _number"
    first, *others = [folder / f"{table}.parquet" for table in tables]
    write_parquet(connection, kept, first, of=OF)
    for other in others:
        keys = f"SELECT DISTINCT {quoted(str(key))} FROM {parquet_files(first)} ORDER BY 1"
        write_parquet(connection, keys, other, of=OF)
    return [first, *others]


def _has_landed(landing: FolderLanding, window: str, made: list[Path]) -> bool:
    """Whether these very bytes have landed under the name, so that landing them again would change nothing."""
    try:
        with landing.fetch(window) as landed:
            own = {path.stem if landing.dataset.source.tables else ROWS: sha256_of(path) for path in made}
            return own == {table: file.sha256 for table, file in landed.tables.items()}
    except (SourceDown, WindowUnfit):
        return False


def _literal(moment: datetime) -> str:
    return f"TIMESTAMPTZ {literal(moment.isoformat())}"


def _list(texts: list[str]) -> str:
    return f"[{literals(texts)}]::VARCHAR[]"
