"""A database's rows as a Parquet file: written in pieces, and the same bytes for the same rows.

Here belongs how a column's type becomes Parquet's. Which rows are read belongs to `database`.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.domain.windows import WindowUnfit

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy.types import TypeEngine

ROWS_AT_ONCE = 50_000
"""Rows in memory, and in a row group: some 50 MB of a wide table."""
_DECIMAL_DIGITS = 38  # of Arrow's decimal128


def write_rows(
    path: Path, types: "Mapping[str, TypeEngine[Any]]", partitions: Iterable[Sequence[Sequence[Any]]], *, name: str
) -> None:
    """Writes rows into a Parquet file; its columns have the types that the table gives them, whatever the rows.

    Args:
        path: The file.
        types: The columns and their types in the database.
        partitions: The rows, in pieces that fit into memory.
        name: The table's, for errors.

    Raises:
        WindowUnfit: a value is not of its column's type, as can be in SQLite.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow = {column: arrow_type(kind) for column, kind in types.items()}
    schema = pa.schema(list(arrow.items()))
    with pq.ParquetWriter(path, schema) as writer:
        for rows in partitions:
            columns = zip(*rows, strict=True) if rows else [() for _ in arrow]
            arrays = [
                _array(values, kind, f"{name}: column {column}")
                for (column, kind), values in zip(arrow.items(), columns, strict=True)
            ]
            writer.write_table(pa.table(arrays, schema=schema))


def can_be_ordered(kind: "TypeEngine[Any]") -> bool:
    """Whether every database can order rows by a column of this type; PostgreSQL's json, say, cannot be."""
    from sqlalchemy import types

    plain = (types.Integer, types.Numeric, types.Float, types.Boolean, types.Date, types.DateTime, types.String)
    return isinstance(kind, (*plain, types.Uuid))


def arrow_type(kind: "TypeEngine[Any]") -> "pa.DataType":
    """The Arrow type of a database column; text where there is none of its own."""
    import pyarrow as pa
    from sqlalchemy import types

    if isinstance(kind, types.Boolean):
        return pa.bool_()
    if isinstance(kind, types.Integer):
        return pa.int64()
    if isinstance(kind, types.Numeric) and kind.precision and not kind.scale and kind.precision <= _DECIMAL_DIGITS:
        return pa.decimal128(kind.precision, 0)  # exact, as an id must be
    if isinstance(kind, types.Numeric | types.Float):
        return pa.float64()
    if isinstance(kind, types.DateTime):
        return pa.timestamp("us", tz="UTC" if kind.timezone else None)
    return pa.date32() if isinstance(kind, types.Date) else pa.string()


def _array(values: Sequence[Any], kind: "pa.DataType", name: str) -> "pa.Array":
    import pyarrow as pa

    convert = _converter(kind)
    try:
        return pa.array([None if value is None else convert(value) for value in values], kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise WindowUnfit(f"{name} holds a value that is not of its type {kind}: {error}") from error


def _converter(kind: "pa.DataType") -> Callable[[Any], Any]:
    import pyarrow as pa

    if pa.types.is_string(kind):
        return _text
    if pa.types.is_floating(kind):
        return float
    if pa.types.is_decimal(kind):
        return _finite
    return lambda value: value


def _text(value: object) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True, default=str)
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _finite(value: Decimal) -> Decimal | None:
    return value if Decimal(value).is_finite() else None  # NaN, which Arrow's decimal lacks, is read as missing
