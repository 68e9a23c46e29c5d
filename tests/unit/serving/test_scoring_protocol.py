import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.release import Feature
from serving.rows import MAX_ROWS, Rows, RowsInvalid
from serving.scoring_protocol import answer_of, records_of_csv, records_of_json
from tests.unit.serving.bundles import FEATURES, ROW

MEMBER = Feature(name="member", type="boolean", nullable=True)
NULLS = {"dep delay": None, "hour": 7, "carrier": None}


def read(body: object) -> list[dict[str, Any]]:
    """The records of a body, which Python writes as MLflow's client does: NaN where a number is missing."""
    return records_of_json(json.dumps(body).encode(), FEATURES)


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": list(ROW), "data": [list(ROW.values())] * 2, "index": [0, 1]}},
        {"dataframe_split": {"columns": list(ROW), "data": [list(ROW.values())] * 2}, "params": {}},
        {"dataframe_records": [ROW, ROW]},
        {"instances": [ROW, ROW]},
        {"instances": [[12.5, 7, "B6"]] * 2},
        {"instances": {name: [value, value] for name, value in ROW.items()}},
        {"inputs": {name: [value, value] for name, value in ROW.items()}},
    ],
)
def test_each_form_of_the_protocol_gives_the_same_rows(body: dict[str, Any]) -> None:
    """As MLflow's own server reads them."""
    assert read(body) == [ROW, ROW]


def test_what_pandas_does_to_nulls_is_undone() -> None:
    """A column of integers with a null comes as floats, and null as NaN."""
    body = {"dataframe_split": {"columns": ["dep delay", "hour", "carrier"], "data": [[float("nan"), 7.0, None]]}}
    (record,) = read(body)
    assert record == NULLS
    assert type(record["hour"]) is int


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        (b"\xff", "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
        (rb'{"\ud800": 1}', "the body is not JSON: 'utf-8' codec can't encode"),
        (rb'{"instances": [[1, 2, "\ud800"]]}', "the body is not JSON: 'utf-8' codec can't encode"),
        (b'{"\xed\xa0\x80": 1}', "the body is not JSON: 'utf-8' codec can't decode"),
        (b"[]", "is an object with one of dataframe_split"),
        (b"{}", "is an object with one of dataframe_split"),
        (b'{"dataframe_records": [], "instances": []}', "is an object with one of"),
        (b'{"dataframe_records": [], "rows": []}', r"\$.rows: is no key"),
        (b'{"dataframe_records": [], "params": {"a": 1}}', r"\$.params: this model takes none"),
        (b'{"dataframe_records": 1}', r"\$.dataframe_records: is a list of rows"),
        (b'{"instances": [1]}', r"\$.instances\[0\]: is a list of 3 values"),
        (b'{"instances": [[1, 2]]}', r"\$.instances\[0\]: is a list of 3 values"),
        (b'{"instances": {"hour": [1], "carrier": []}}', r"\$.instances: columns are lists of one length"),
        (b'{"inputs": {"hour": 1}}', r"\$.inputs: columns are lists of one length"),
        (b'{"dataframe_split": []}', r"\$.dataframe_split: is an object with `columns` and `data`"),
        (b'{"dataframe_split": {"columns": "hour", "data": []}}', r"\$.dataframe_split.columns: is a list of names"),
        (b'{"dataframe_split": {"columns": ["a", "a"], "data": []}}', r"columns: names 'a' twice"),
        (b'{"dataframe_split": {"columns": ["a"], "data": [[1], 2]}}', r"\$.dataframe_split.data\[1\]: is a list of 1"),
    ],
)
def test_a_body_of_no_form_says_what_is_wrong(body: bytes, said: str) -> None:
    """And never ends as an error of the service."""
    with pytest.raises(RowsInvalid, match=said):
        records_of_json(body, FEATURES)


def test_csv_gives_the_rows_of_its_types() -> None:
    """An empty cell is null; a comma, a line end and a quote may stand in a text."""
    body = 'hour,carrier,dep delay,member\n7,B6,12.5,True\n8,,,0\n9,"a,\n""b",NaN,\n'
    records = records_of_csv(b"\xef\xbb\xbf" + body.encode(), [*FEATURES, MEMBER])
    assert records == [
        {"hour": 7, "carrier": "B6", "dep delay": 12.5, "member": True},
        {"hour": 8, "carrier": None, "dep delay": None, "member": False},
        {"hour": 9, "carrier": 'a,\n"b', "dep delay": None, "member": None},
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body has no header"),
        (b"hour,hour\n1,2", "the header: names 'hour' twice"),
        (b"hour,carrier\n1", "line 2: 1 cells, the header has 2"),
        (b"hour\n\xff", "the body is not CSV in UTF-8"),
        (b'hour\n"1', "the body is not CSV in UTF-8"),
    ],
)
def test_csv_that_is_none_says_where(body: bytes, said: str) -> None:
    """With its line."""
    with pytest.raises(RowsInvalid, match=said):
        records_of_csv(body, FEATURES)


@pytest.mark.parametrize("cell", ["seven", "7.5", "1e400", "inf", "true"])
def test_a_cell_of_another_type_is_refused_with_its_path(cell: str) -> None:
    """By the rules that every door shares."""
    rows = Rows(FEATURES)
    with pytest.raises(RowsInvalid, match=r"\$\[0\]"):
        rows.convert(records_of_csv(f"hour\n{cell}".encode(), FEATURES))


@given(st.binary(max_size=200))
def test_no_body_is_an_error_of_its_own(body: bytes) -> None:
    """Whatever is sent: rows that are judged, or a refusal."""
    rows = Rows(FEATURES)
    for records_of in (records_of_json, records_of_csv):
        with suppress(RowsInvalid):
            rows.convert(records_of(body, FEATURES))


def test_an_answer_says_both_outcomes() -> None:
    """As the pipeline's own predict_proba, which MLflow serves."""
    assert answer_of([0.25, 1.0]).predictions == [[0.75, 0.25], [0.0, 1.0]]


@pytest.mark.parametrize(
    "body",
    [
        b'{"instances": [' + b"{}," * MAX_ROWS + b"{}]}",
        b'{"dataframe_records": [' + b"{}," * MAX_ROWS + b"{}]}",
        b'{"dataframe_split": {"columns": [], "data": [' + b"[]," * MAX_ROWS + b"[]]}}",
        b'{"inputs": {"hour": [' + b"1," * MAX_ROWS + b"1]}}",
    ],
)
def test_too_many_rows_are_refused_before_they_are_built(body: bytes) -> None:
    """Prevents that a small body becomes hundreds of megabytes."""
    with pytest.raises(RowsInvalid, match="has more than 10000 rows"):
        records_of_json(body, FEATURES)


def test_a_csv_of_many_lines_or_names_is_refused_in_time() -> None:
    """Prevents that one body keeps the service busy: each name was looked for among all others."""
    with pytest.raises(RowsInvalid, match="the body: has more than 10000 rows"):
        records_of_csv(b"hour\n" + b"1\n" * (MAX_ROWS + 1), FEATURES)
    header = ",".join(str(number) for number in range(300_000))
    with pytest.raises(RowsInvalid, match="names '1' twice"):
        records_of_csv(f"{header},1\n".encode(), FEATURES)
