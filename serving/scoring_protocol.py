"""MLflow's scoring protocol: the bodies that clients of `mlflow models serve` send, as rows by feature name.

Here belongs taking a body apart. Whether a value is allowed belongs to `serving.rows`, which judges what comes out of
here as it judges any other row.
"""

import csv
import io
from collections.abc import Sequence
from typing import Any

from serving.foreign_values import as_typed, json_of
from serving.release import Feature
from serving.rows import MAX_ROWS, RowsInvalid
from serving.schemas import Scores

KEYS = ("dataframe_split", "dataframe_records", "instances", "inputs")
"""One of them says what the body is."""
TRUE, FALSE = ("true", "1"), ("false", "0")
Record = dict[str, Any]


def records_of_json(body: bytes, features: Sequence[Feature]) -> list[Record]:
    """The rows of a JSON body; NaN, which pandas writes for null, is null.

    Raises:
        RowsInvalid: it is not JSON, or of none of the protocol's forms.
    """
    read = json_of(body)
    given = [key for key in KEYS if isinstance(read, dict) and key in read]
    if len(given) != 1:
        raise RowsInvalid(f"the body is an object with one of {', '.join(KEYS)}")
    (key,) = given
    if unknown := set(read) - {key, "params"}:
        raise RowsInvalid(f"$.{min(unknown)}: is no key of the protocol")
    if read.get("params"):
        raise RowsInvalid("$.params: this model takes none")
    names = [feature.name for feature in features]
    value = read[key]
    records = _split(value) if key == "dataframe_split" else _listed(value, key, names)
    by_name = {feature.name: feature for feature in features}
    return [{name: as_typed(cell, by_name.get(name)) for name, cell in record.items()} for record in records]


def records_of_csv(body: bytes, features: Sequence[Feature]) -> list[Record]:
    """The rows of a CSV body with a header; an empty cell is null.

    Raises:
        RowsInvalid: it is not UTF-8, has no header, or a line has another number of cells.
    """
    by_name = {feature.name: feature for feature in features}
    records: list[Record] = []
    try:
        lines = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        header = next(lines, [])
        if not header:
            raise RowsInvalid("the body has no header")
        _demand_names(header, "the header")
        for number, cells in enumerate(lines, start=2):
            if not cells:
                continue
            if len(cells) != len(header):
                raise RowsInvalid(f"line {number}: {len(cells)} cells, the header has {len(header)}")
            records.append({name: _of_text(cell, by_name.get(name)) for name, cell in zip(header, cells, strict=True)})
            _demand_few(len(records), "the body")
    except (UnicodeDecodeError, csv.Error) as error:
        raise RowsInvalid(f"the body is not CSV in UTF-8: {error}") from None
    return records


def _split(value: Any) -> list[Record]:  # noqa: ANN401 -- whatever JSON holds
    if not isinstance(value, dict) or not isinstance(value.get("data"), list):
        raise RowsInvalid("$.dataframe_split: is an object with `columns` and `data`")
    columns, data = value.get("columns"), value["data"]
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise RowsInvalid("$.dataframe_split.columns: is a list of names")
    _demand_names(columns, "$.dataframe_split.columns")
    _demand_few(len(data), "$.dataframe_split.data")
    return [_zipped(columns, row, f"$.dataframe_split.data[{at}]") for at, row in enumerate(data)]


def _listed(value: Any, key: str, names: Sequence[str]) -> list[Record]:  # noqa: ANN401 -- whatever JSON holds
    """Rows as objects, as lists in the order of the features, or columns by name."""
    if isinstance(value, dict):
        lengths = {len(column) for column in value.values() if isinstance(column, list)}
        if len(lengths) != 1 or not all(isinstance(column, list) for column in value.values()):
            raise RowsInvalid(f"$.{key}: columns are lists of one length")
        _demand_few(max(lengths), f"$.{key}")
        return [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]
    if not isinstance(value, list):
        raise RowsInvalid(f"$.{key}: is a list of rows")
    _demand_few(len(value), f"$.{key}")
    return [row if isinstance(row, dict) else _zipped(names, row, f"$.{key}[{at}]") for at, row in enumerate(value)]


def _zipped(names: Sequence[str], row: Any, path: str) -> Record:  # noqa: ANN401 -- whatever JSON holds
    if not isinstance(row, list) or len(row) != len(names):
        raise RowsInvalid(f"{path}: is a list of {len(names)} values, one for each column")
    return dict(zip(names, row, strict=True))


def _demand_few(rows: int, where: str) -> None:
    """Before they are built: a row of a few bytes becomes some hundred."""
    if rows > MAX_ROWS:
        raise RowsInvalid(f"{where}: has more than {MAX_ROWS} rows")


def _demand_names(names: Sequence[str], where: str) -> None:
    known: set[str] = set()
    for name in names:
        if name in known:
            raise RowsInvalid(f"{where}: names {name!r} twice")
        known.add(name)


def _of_text(cell: str, feature: Feature | None) -> Any:  # noqa: ANN401 -- a value of any feature
    """A cell as its feature's type; what is none stays a text, which `serving.rows` refuses with its path."""
    if feature is None or feature.type == "category":
        return cell or None
    text = cell.strip().lower()
    if not text or text == "nan":
        return None
    if feature.type == "boolean":
        return True if text in TRUE else False if text in FALSE else cell
    try:
        number = float(text)
    except ValueError:
        return cell
    return as_typed(number, feature)


def answer_of(probabilities: Sequence[float]) -> Scores:
    """The answer as `mlflow models serve` gives it for this model: the probabilities of false and of true."""
    return Scores([[1 - probability, probability] for probability in probabilities])
