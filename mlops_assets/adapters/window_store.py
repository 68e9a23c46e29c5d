"""The window store: landed files become data windows, and bounded frames are drawn from them.

A data window is a folder `<window>/<data version>/` with `clean.parquet`, `quarantined.parquet` and `window.json`;
`<window>/current.json` beside it is the version to use. DuckDB reads and writes in a stream; pandas appears only in the
bounded frames. What a row must hold belongs to `mlops_assets.domain.windows`.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pandas as pd
from pydantic import BaseModel, ConfigDict

from mlops_assets.adapters.files import folder_in_one_piece, write_atomically
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.windows import (
    SPLIT_COLUMN,
    VALIDATION,
    WindowCounts,
    WindowUnfit,
    last_windows,
    literal,
    quoted,
    row_rules,
    split_sql,
)

CLEAN, QUARANTINED, RECORD, CURRENT = "clean.parquet", "quarantined.parquet", "window.json", "current.json"
_QUARANTINED_SQL = "SELECT * EXCLUDE (_is_duplicate) FROM judged WHERE len(_reasons) > 0"
NUMBER_TYPES = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
                "FLOAT", "DOUBLE", "DECIMAL")  # fmt: skip
TEXT_TYPES = ("VARCHAR", "ENUM")
NULL_TYPE = '"NULL"'
"""Of a column that is null throughout, which pandas writes without a type."""


class DataWindow(BaseModel):
    """What is recorded of a stored window; `data_version` is the hash of the landed bytes and the contract."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: str
    data_version: str
    counts: WindowCounts
    ignored_columns: tuple[str, ...]


class WindowStore:
    """Data windows under one folder."""

    def __init__(self, folder: Path, dataset: Dataset) -> None:
        self.folder = folder
        self.dataset = dataset

    def ingest(self, window: str, landed: Path) -> DataWindow:
        """Reads a landed file and stores it as a data window: clean rows, quarantined rows with reasons, the split.

        Rows in = clean + quarantined. It becomes the window's current version only by `make_current`.

        Raises:
            WindowUnfit: the file cannot be read as Parquet, or lacks a column, or has one of another type.
        """
        data_version = self._data_version(landed)
        target = self.folder / window / data_version
        with _engine() as engine, folder_in_one_piece(target) as folder:
            ignored = self._judge_rows(engine, landed)
            engine.execute(f"COPY ({self._clean_sql()}) TO {literal(str(folder / CLEAN))} (FORMAT parquet)")
            engine.execute(f"COPY ({_QUARANTINED_SQL}) TO {literal(str(folder / QUARANTINED))} (FORMAT parquet)")
            stored = DataWindow(
                window=window, data_version=data_version, counts=_count(engine, folder), ignored_columns=ignored
            )
            (folder / RECORD).write_text(stored.model_dump_json(indent=2))
            if self._data_version(landed) != data_version:
                raise WindowUnfit(f"{landed.name} was written to while it was read; it is taken up again once it rests")
        return stored

    def make_current(self, stored: DataWindow) -> None:
        """From now on the window is this version of it."""
        write_atomically(self.folder / stored.window / CURRENT, stored.model_dump_json(indent=2).encode())

    def current(self, window: str) -> DataWindow | None:
        """The window as it is now, or None where it is not there (or was unfit)."""
        try:
            return DataWindow.model_validate_json((self.folder / window / CURRENT).read_bytes())
        except FileNotFoundError:
            return None

    def training_windows(self, window: str) -> list[DataWindow]:
        """The windows that a candidate of this window learns from, oldest first."""
        names = [path.parent.name for path in self.folder.glob(f"*/{CURRENT}")]
        chosen = last_windows(names, until=window, count=self.dataset.training.train_windows)
        return [stored for name in chosen if (stored := self.current(name))]

    def draw(self, versions: Mapping[str, str], *, split: str | None, max_rows: int) -> pd.DataFrame:
        """A bounded frame of clean rows, the same ones every time, ordered by row id.

        Args:
            versions: Data version by window.
            split: `train`, `validation`, or None for both.
            max_rows: The most rows; where there are more, those with the smallest MD5 of the row id are drawn.

        Returns:
            A frame with row id, split key, target and features: numbers float32, categories and ids str, null as NaN
            in numbers and None in categories.
        """
        files = ", ".join(literal(str(self.folder / window / version / CLEAN)) for window, version in versions.items())
        condition = f"WHERE {SPLIT_COLUMN} = {literal(split)}" if split else ""
        row_id = quoted(self.dataset.row_id)
        # An id may come back in another window: then the file, that is the window, settles the order.
        drawn = (
            f"SELECT * FROM read_parquet([{files}], filename = '_file') {condition} "
            f"ORDER BY md5({row_id}), {row_id}, _file LIMIT {max_rows:d}"
        )
        with _engine() as engine:
            ordered = f"SELECT * EXCLUDE ({SPLIT_COLUMN}, _file) FROM ({drawn}) ORDER BY {row_id}, _file"
            frame: pd.DataFrame = engine.sql(ordered).df()
        return frame

    def preview(self, stored: DataWindow, rows: int = 5) -> pd.DataFrame:
        """The first clean rows, to be looked at."""
        clean = self.folder / stored.window / stored.data_version / CLEAN
        with _engine() as engine:
            frame: pd.DataFrame = engine.sql(f"SELECT * FROM read_parquet({literal(str(clean))}) LIMIT {rows:d}").df()
        return frame

    def _data_version(self, landed: Path) -> str:
        try:
            with landed.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
        except OSError as error:
            raise WindowUnfit(f"{landed.name} cannot be read: {error}") from error
        digest.update(self.dataset.model_dump_json().encode())
        return digest.hexdigest()[:16]

    def _judge_rows(self, engine: duckdb.DuckDBPyConnection, landed: Path) -> tuple[str, ...]:
        """Makes the view `judged`: the row's own columns with NaN as null, and the list `_reasons` of broken rules."""
        try:
            engine.execute(f"CREATE VIEW landed AS FROM read_parquet({literal(str(landed))})")
            types = {name: kind for name, kind, *_ in engine.execute("DESCRIBE landed").fetchall()}
        except duckdb.Error as error:
            raise WindowUnfit(f"{landed.name} cannot be read as Parquet: {_first_line(error)}") from error
        self._demand_columns(types)
        dataset = self.dataset
        read = [
            f"CASE WHEN isnan({quoted(name)}::DOUBLE) THEN NULL ELSE {quoted(name)}::DOUBLE END AS {quoted(name)}"
            if feature.type != "category"
            else quoted(name)
            for name, feature in dataset.features.items()
        ]
        row_id, key, truth = (
            _text_sql(quoted(name), types[name]) for name in (dataset.row_id, dataset.split_by, dataset.target)
        )
        roles = [f"{row_id} AS _id", f"{key} AS _key", f"lower({truth}) AS _truth"]
        reasons = ", ".join(f"CASE WHEN {r.condition} THEN {literal(r.reason)} END" for r in row_rules(dataset))
        engine.execute(f"""
            CREATE VIEW judged AS
            WITH roles AS (SELECT {", ".join([*roles, *read])} FROM landed),
                 twice AS (SELECT _id FROM roles GROUP BY _id HAVING count(*) > 1),
                 marked AS (SELECT *, _id IN (FROM twice) AS _is_duplicate FROM roles)
            SELECT *, list_filter([{reasons}], lambda reason: reason IS NOT NULL) AS _reasons FROM marked
        """)
        try:
            engine.execute("SELECT count(*) FROM judged WHERE len(_reasons) > 0").fetchone()
        except duckdb.Error as error:
            raise WindowUnfit(f"{landed.name} cannot be read to its end: {_first_line(error)}") from error
        return tuple(sorted(types.keys() - set(dataset.columns)))

    def _demand_columns(self, types: Mapping[str, str]) -> None:
        dataset = self.dataset
        if missing := [name for name in dataset.columns if name not in types]:
            raise WindowUnfit(f"columns are missing: {', '.join(missing)}; the file has {', '.join(types)}")
        wrong = [
            f"{name} is {types[name]}, the contract says {feature.type}"
            for name, feature in dataset.features.items()
            if types[name] != NULL_TYPE
            and (
                types[name].endswith("]")
                or not types[name].startswith(TEXT_TYPES if feature.type == "category" else NUMBER_TYPES)
            )
        ]
        if wrong:
            raise WindowUnfit("columns are of another type: " + "; ".join(wrong))

    def _clean_sql(self) -> str:
        dataset = self.dataset
        features = [
            f"{quoted(name)}::{'VARCHAR' if feature.type == 'category' else 'FLOAT'} AS {quoted(name)}"
            for name, feature in dataset.features.items()
        ]
        keys = [f"_id AS {quoted(dataset.row_id)}"]
        if dataset.split_by != dataset.row_id:
            keys.append(f"_key AS {quoted(dataset.split_by)}")
        target = f"_truth IN ('true', '1') AS {quoted(dataset.target)}"
        columns = ", ".join([*keys, target, *features, f"{split_sql('_key')} AS {SPLIT_COLUMN}"])
        return f"SELECT {columns} FROM judged WHERE len(_reasons) = 0"


def _text_sql(column: str, kind: str) -> str:
    """A key as text, the same in whatever type a month's file holds it: 5 and 5.0, a day and its midnight."""
    if kind in ("FLOAT", "DOUBLE") or (kind.startswith("DECIMAL") and not kind.endswith("]")):
        whole = f"TRY_CAST({column} AS BIGINT)"
        return (
            f"CASE WHEN isnan({column}::DOUBLE) THEN NULL WHEN {whole} = {column} THEN {whole}::VARCHAR "
            f"ELSE {column}::VARCHAR END"
        )
    if kind.startswith("TIMESTAMP") and not kind.endswith("]"):
        time = f"{column}::TIMESTAMP"
        return f"CASE WHEN {time} = {time}::DATE THEN {time}::DATE::VARCHAR ELSE {time}::VARCHAR END"
    return f"{column}::VARCHAR"


@contextmanager
def _engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as engine:
        engine.execute("SET enable_progress_bar = false")
        engine.execute("SET TimeZone = 'UTC'")  # a split key that is a time must read the same on every machine
        # Parquet's statistics leave NaN out, and DuckDB 2.0 concludes from them that isnan() is false.
        engine.execute("SET disabled_optimizers = 'statistics_propagation'")
        yield engine


def _count(engine: duckdb.DuckDBPyConnection, folder: Path) -> WindowCounts:
    rows = engine.execute("SELECT count(*) FROM landed").fetchone()
    clean = engine.execute(
        f"SELECT count(*), count(*) FILTER ({SPLIT_COLUMN} = '{VALIDATION}') FROM {literal(str(folder / CLEAN))}"
    ).fetchone()
    kept_apart = literal(str(folder / QUARANTINED))
    quarantined = engine.execute(f"SELECT count(*) FROM {kept_apart}").fetchone()
    by_reason = engine.execute(
        f"SELECT unnest(_reasons) AS reason, count(*) FROM {kept_apart} GROUP BY 1 ORDER BY 2 DESC, 1"
    ).fetchall()
    if rows is None or clean is None or quarantined is None:
        raise WindowUnfit("the counts of the stored window cannot be read back")
    counts = WindowCounts(
        rows=rows[0], clean=clean[0], validation=clean[1], quarantined=quarantined[0], by_reason=dict(by_reason)
    )
    if counts.rows != counts.clean + counts.quarantined:
        raise WindowUnfit(f"rows were lost: {counts}")
    return counts


def _first_line(error: duckdb.Error) -> str:
    """DuckDB's own words, without the query that follows them."""
    return str(error).splitlines()[0]
