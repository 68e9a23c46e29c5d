"""Prevents that clients of the Open Inference Protocol reach the model with other values than they meant."""

import json
from contextlib import suppress
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import np_to_triton_dtype

from serving.inference_protocol import Question, answer_of, metadata_of, question_of
from serving.release import Feature, FeatureType, FeatureValue, Manifest, TrainingWindow
from serving.rows import Rows, RowsInvalid
from tests.unit.serving.bundles import CARRIERS, FEATURES

MEMBER = Feature(name="member", type="boolean", nullable=True)
ALL = (*FEATURES, MEMBER)
WINDOW = TrainingWindow("2013-01", "abc")
MANIFEST = Manifest(
    model_name="flights",
    model_version=3,
    features=ALL,
    target="late",
    row_id="flight",
    context=("day",),
    metrics={},
    training_windows=(WINDOW,),
    validation_window=WINDOW,
    dagster_run_id="run",
    mlflow_run_id="run",
    files={},
)


def tensor(name: str, datatype: str, data: object, shape: object = None, **members: object) -> dict[str, Any]:
    """An input with its data in JSON; the shape is the data's if it is not given."""
    rows = len(data) if isinstance(data, list) else 1
    return {"name": name, "datatype": datatype, "shape": shape or [rows], "data": data, **members}


def binary(name: str, datatype: str, size: object, rows: object = 1) -> dict[str, Any]:
    """An input with its data after the JSON."""
    return {"name": name, "datatype": datatype, "shape": [rows], "parameters": {"binary_data_size": size}}


def asked(*inputs: dict[str, Any], parts: bytes = b"", **members: object) -> Question:
    """A request of these inputs, as the service takes it apart."""
    header = json.dumps({"inputs": inputs, **members}).encode()
    return question_of(header + parts, str(len(header)) if parts else None, MANIFEST)


def asked_by_triton(columns: dict[str, NDArray[Any]], *, as_bytes: bool, **asking: Any) -> Question:  # noqa: ANN401
    """A request in the bytes of Triton's own client."""
    inputs = []
    for name, column in columns.items():
        inputs.append(InferInput(name, list(column.shape), np_to_triton_dtype(column.dtype)))
        inputs[-1].set_data_from_numpy(column, binary_data=as_bytes)
    body, header_length = InferenceServerClient.generate_request_body(inputs, **asking)
    return question_of(body, None if header_length is None else str(header_length), MANIFEST)


def value_of(name: str, datatype: str, value: object, kind: FeatureType) -> FeatureValue:
    """What one value becomes for a feature of a type, judged as any other."""
    feature = Feature(name=name, type=kind, nullable=True, categories=("a",) if kind == "category" else ())
    body = json.dumps({"inputs": [tensor(name, datatype, [value])]}).encode()
    ((read,),) = Rows([feature]).convert(
        question_of(body, None, msgspec.structs.replace(MANIFEST, features=(feature,))).records
    )
    return read


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "dep delay": st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False),
            "hour": st.integers(0, 23),
            "carrier": st.none() | st.sampled_from(CARRIERS),
            "member": st.none() | st.booleans(),
        }
    ),
    min_size=1,
    max_size=20,
)


@given(ROWS, st.booleans(), st.sampled_from([(-1,), (-1, 1)]), st.sampled_from(["f4", "f8"]))
def test_rows_survive_tritons_client(
    rows: list[dict[str, Any]], as_bytes: bool, shape: tuple[int, ...], number: str
) -> None:
    """Whichever way it sends them: in JSON, or as bytes after it; nulls too."""

    def column(name: str, null: object, dtype: str) -> NDArray[Any]:
        return np.array([null if row[name] is None else row[name] for row in rows], dtype).reshape(shape)

    columns = {
        "member": column("member", np.nan, number),
        "carrier": column("carrier", "", "O"),
        "hour": column("hour", None, "i8"),
        "dep delay": column("dep delay", np.nan, number),
    }
    assert asked_by_triton(columns, as_bytes=as_bytes).records == rows


def test_inputs_in_json_and_after_it_may_be_mixed() -> None:
    """Prevents that the bytes of one input are read as another's."""
    parts = b"\x02\x00\x00\x00B6\x00\x00\x00\x00" + np.array([7, 8], "<i2").tobytes()
    question = asked(
        binary("carrier", "BYTES", 10, 2),
        tensor("dep delay", "FP32", [1, float("nan")]),
        binary("hour", "INT16", 4, 2),
        tensor("member", "BOOL", [[True], [None]], [2, 1]),
        parts=parts,
    )
    assert question.records == [
        {"carrier": "B6", "dep delay": 1.0, "hour": 7, "member": True},
        {"carrier": None, "dep delay": None, "hour": 8, "member": None},
    ]
    assert all(type(record["hour"]) is int for record in question.records)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
@pytest.mark.parametrize("as_bytes", [True, False])
def test_a_number_comes_in_any_datatype_that_can_hold_it(dtype: str, as_bytes: bool) -> None:
    """And is the feature's own type afterwards."""
    columns = {"hour": np.array([7, 23], dtype), "dep delay": np.array([1, 2], dtype)}
    rows = Rows(ALL).convert(asked_by_triton(columns, as_bytes=as_bytes).records)
    assert rows == [(1.0, 7, None, None), (2.0, 23, None, None)]
    assert all(type(hour) is int and type(delay) is float for delay, hour, *_ in rows)


@pytest.mark.parametrize(
    ("datatype", "sent", "kind", "value"),
    [
        ("BOOL", False, "boolean", False),
        ("BOOL", None, "boolean", None),
        ("FP32", 1, "boolean", True),
        ("FP32", float("nan"), "boolean", None),
        ("FP32", float("nan"), "integer", None),
        ("INT8", None, "integer", None),
        ("UINT64", 2**53 + 1, "integer", 2**53 + 1),
        ("BYTES", "", "category", None),
        ("BYTES", None, "category", None),
    ],
)
def test_a_value_is_what_its_datatype_says(datatype: str, sent: object, kind: FeatureType, value: FeatureValue) -> None:
    """Null has a way in each of them."""
    assert value_of("x", datatype, sent, kind) == value


@pytest.mark.parametrize(
    ("datatype", "sent", "kind"),
    [
        ("INT8", 1, "boolean"),
        ("FP32", 0.5, "boolean"),
        ("BYTES", "true", "boolean"),
        ("BOOL", True, "integer"),
        ("FP64", 1.5, "integer"),
        ("UINT64", 2**63, "integer"),
        ("FP64", float("inf"), "integer"),
        ("BOOL", True, "float"),
        ("BYTES", "1", "float"),
        ("FP64", float("-inf"), "float"),
        ("FP64", 1e300, "float"),
        ("INT8", 1, "category"),
        ("BYTES", "b", "category"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_path(datatype: str, sent: object, kind: FeatureType) -> None:
    """By the rules that every door shares: 1 is not true, and infinity no number."""
    with pytest.raises(RowsInvalid, match=r"at `\$\[0\]\.x`"):
        value_of("x", datatype, sent, kind)


@pytest.mark.parametrize(
    "feature",
    [
        Feature(name="plan", type="category", nullable=True, categories=("", "a")),
        Feature(name="plan", type="category", nullable=False, categories=("a",), new_categories="as_missing"),
    ],
    ids=["it is a category", "it cannot be null"],
)
def test_an_empty_text_is_a_text_where_the_feature_knows_it(feature: Feature) -> None:
    """As `/predict` answers it."""
    body = json.dumps({"inputs": [tensor("plan", "BYTES", [""])]}).encode()
    assert Rows([feature]).convert(
        question_of(body, None, msgspec.structs.replace(MANIFEST, features=(feature,))).records
    ) == [("",)]


def test_columns_beside_the_features_are_passed_on() -> None:
    """The row's id and what the log keeps of it are judged with the row."""
    question = asked(
        tensor("hour", "INT8", [7, 8]), tensor("flight", "BYTES", ["UA1", ""]), tensor("day", "INT64", [15, 16])
    )
    assert question.records == [{"hour": 7, "flight": "UA1", "day": 15}, {"hour": 8, "flight": None, "day": 16}]


def test_a_request_without_rows_is_refused_as_such() -> None:
    """An empty tensor is one of the protocol, but no rows."""
    question = asked(tensor("hour", "INT64", [], [0]))
    with pytest.raises(RowsInvalid, match="length >= 1"):
        Rows(ALL).convert(question.records)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ([tensor("late", "BOOL", [True])], r"\$\.inputs\[0\]\.name: the model has no input 'late'"),
        ([], r"length >= 1 - at `\$\.inputs`"),
        ([7], r"\$\.inputs\[0\]"),
        ([{"name": "hour", "shape": [1]}], "missing required field `datatype`"),
        ([tensor("hour", "INT64", [7], contents=[])], "unknown field `contents`"),
        ([tensor("hour", "INT65", [7])], r"\$\.inputs\[0\]\.datatype: is 'INT65', known are BYTES, BOOL"),
        ([tensor("hour", "INT64", [7], [-1])], r">= 0 - at `\$\.inputs\[0\]\.shape\[0\]`"),
        ([tensor("hour", "INT64", [7], [True])], r"\$\.inputs\[0\]\.shape\[0\]"),
        ([tensor("hour", "INT64", [7], [1, 1, 1])], r"length <= 2 - at `\$\.inputs\[0\]\.shape`"),
        ([tensor("hour", "INT64", [7, 8], [1, 2])], r"\$\.inputs\[0\]\.shape: is \[n\] or \[n, 1\]"),
        ([tensor("hour", "INT64", [7], [2])], r"\$\.inputs\[0\]\.data: 1 values, the shape says 2"),
        ([tensor("hour", "INT64", [[7, 8]], [2, 1])], r"\$\.inputs\[0\]\.data: 1 values, the shape says 2"),
        ([tensor("hour", "INT64", [[7]], [1])], r"got `array` - at `\$\.inputs\[0\]\.data\[0\]`"),
        ([tensor("hour", "INT64", [7.0])], r"got `float` - at `\$\.inputs\[0\]\.data\[0\]`"),
        ([tensor("hour", "INT64", [7, True])], r"got `bool` - at `\$\.inputs\[0\]\.data\[1\]`"),
        ([tensor("hour", "FP64", ["7"])], r"got `str` - at `\$\.inputs\[0\]\.data\[0\]`"),
        ([tensor("hour", "FP64", [10**400])], r"out of range - at `\$\.inputs\[0\]\.data\[0\]`"),
        ([tensor("hour", "INT8", [7, 128])], r"\$\.inputs\[0\]\.data\[1\]: does not fit into INT8"),
        ([tensor("hour", "UINT64", [-1])], r"\$\.inputs\[0\]\.data\[0\]: does not fit into UINT64"),
        ([tensor("hour", "BYTES", [7])], r"got `int` - at `\$\.inputs\[0\]\.data\[0\]`"),
        ([tensor("hour", "INT64", "7")], r"\$\.inputs\[0\]\.data"),
        ([tensor("hour", "INT64", None)], r"\$\.inputs\[0\]: has neither `data` nor `parameters.binary_data_size`"),
        ([binary("hour", "INT64", 8)], r"\$\.inputs\[0\]\.parameters\.binary_data_size: ends at byte 8 of 0"),
        ([binary("hour", "INT64", "8")], r"got `str` - at `\$\.inputs\[0\]\.parameters\.binary_data_size`"),
        ([binary("hour", "INT64", -8)], r">= 0 - at `\$\.inputs\[0\]\.parameters\.binary_data_size`"),
        ([{**tensor("hour", "INT64", [7]), **binary("hour", "INT64", 0)}], "has both `data` and"),
        ([tensor("hour", "INT64", [7]), tensor("hour", "INT64", [7])], r"\$\.inputs\[1\]\.name: names 'hour' twice"),
        ([tensor("hour", "INT64", [7]), tensor("carrier", "BYTES", [])], r"\$\.inputs\[1\]\.shape: 0 rows"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: list[Any], said: str) -> None:
    """With the place of the fault."""
    with pytest.raises(RowsInvalid, match=said):
        asked(*inputs)


@pytest.mark.parametrize(
    ("given", "parts", "said"),
    [
        (binary("hour", "INT64", 8), b"1234567", "ends at byte 8 of 7"),
        (binary("hour", "INT64", 8), b"123456789", "1 bytes after the last input"),
        (binary("hour", "INT64", 7), b"1234567", "1 values of INT64 are 8 bytes, not 7"),
    ],
)
def test_bytes_that_do_not_add_up_are_refused(given: dict[str, Any], parts: bytes, said: str) -> None:
    """Prevents that a lost byte moves all values after it."""
    with pytest.raises(RowsInvalid, match=said):
        asked(given, parts=parts)


@pytest.mark.parametrize("length", ["-1", "+1", "1_0", "1.0", "", "x", "٣", "3", "1" * 5_000])
def test_a_length_of_the_json_that_cannot_be_is_refused(length: str) -> None:
    """Prevents that another part of the body is read as JSON."""
    with pytest.raises(RowsInvalid, match=r"Inference-Header-Content-Length: is .*, the body has 2 bytes"):
        question_of(b"{}", length, MANIFEST)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"inputs": 1}', b"[" * 100_000, b"\xff", rb'{"id": "\ud800"}', b'{"inputs": NaN}']
)
def test_a_body_of_no_request_is_refused(body: bytes) -> None:
    """And never ends as an error of the service."""
    with pytest.raises(RowsInvalid):
        question_of(body, None, MANIFEST)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner),
    max_leaves=5,
)
INPUTS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["hour", "carrier", "day", "x"]),
        "datatype": st.sampled_from(["INT8", "FP16", "BYTES", "BOOL"]),
    },
    optional={
        "shape": st.lists(st.integers(0, 3), max_size=2) | JSON_VALUES,
        "data": JSON_VALUES,
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(0, 9) | JSON_VALUES}),
    },
)


@given(st.lists(INPUTS | JSON_VALUES, max_size=3), st.binary(max_size=20), st.integers(-1, 300) | st.none())
def test_no_request_is_an_error_of_its_own(inputs: list[Any], parts: bytes, length: int | None) -> None:
    """Whatever is sent: rows that are judged, or a refusal."""
    header = json.dumps({"inputs": inputs}).encode()
    for said in (None, str(len(header)), str(length)):
        with suppress(RowsInvalid):
            Rows(ALL).convert(question_of(header + parts, said, MANIFEST).records)


@pytest.mark.parametrize("as_bytes", [True, False])
def test_tritons_client_reads_the_answer(as_bytes: bool) -> None:
    """As numbers of 64 bits, in JSON or after it."""
    columns = {"hour": np.array([7, 8])}
    question = asked_by_triton(
        columns, as_bytes=True, outputs=[InferRequestedOutput("probability", binary_data=as_bytes)], request_id="ä1"
    )
    body, header_length = answer_of(question, MANIFEST, [0.25, 0.1])
    assert (header_length is not None) == as_bytes
    answer = InferenceServerClient.parse_response_body(body, header_length=header_length)
    assert answer.as_numpy("probability").tolist() == [0.25, 0.1]
    assert answer.as_numpy("probability").dtype == np.float64
    response = answer.get_response()
    assert (response["model_name"], response["model_version"], response["id"]) == ("flights", "3", "ä1")


@pytest.mark.parametrize(
    ("members", "as_bytes"),
    [
        ({}, False),
        ({"outputs": [], "id": None, "parameters": None}, False),
        ({"outputs": [{"name": "probability"}]}, False),
        ({"parameters": {"binary_data_output": True, "timeout": 5}}, True),
        ({"parameters": {"binary_data_output": True}, "outputs": [{"name": "probability"}]}, True),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [{"name": "probability", "parameters": {"binary_data": False}}],
            },
            False,
        ),
    ],
)
def test_the_answer_is_in_json_unless_bytes_are_asked_for(members: dict[str, Any], as_bytes: bool) -> None:
    """What an output says goes before what the request says; no `id` is answered that was not sent."""
    question = asked(tensor("hour", "INT64", [7]), **members)
    assert question.binary is as_bytes
    body, header_length = answer_of(question, MANIFEST, [0.5])
    answer = json.loads(body[:header_length])
    assert answer.keys() == {"model_name", "model_version", "outputs"}
    (output,) = answer["outputs"]
    assert output.keys() == {"name", "datatype", "shape", "parameters" if as_bytes else "data"}


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"outputs": [{"name": "label"}]}, r"\$\.outputs\[0\]\.name: is 'label', the model has one output"),
        ({"outputs": [{"name": "probability"}] * 2}, r"\$\.outputs\[1\]\.name"),
        ({"outputs": [{"name": "probability", "parameters": {"classification": 1}}]}, "a probability, not classes"),
        ({"outputs": [{"name": "probability", "parameters": {"binary_data": 1}}]}, r"\$\.outputs\[0\]\.parameters"),
        ({"parameters": {"binary_data_output": 1}}, r"\$\.parameters\.binary_data_output"),
        ({"id": 1}, r"got `int` - at `\$\.id`"),
        ({"input": []}, "unknown field `input`"),
    ],
)
def test_what_the_model_does_not_give_is_refused(members: dict[str, Any], said: str) -> None:
    """Prevents that a client reads an answer to another question."""
    with pytest.raises(RowsInvalid, match=said):
        asked(tensor("hour", "INT64", [7]), **members)


def test_the_metadata_name_every_feature_as_it_is_taken() -> None:
    """Prevents that a client which follows them is refused."""
    metadata = metadata_of(MANIFEST)
    assert [(given.name, given.datatype, given.shape) for given in metadata.inputs] == [
        ("dep delay", "FP32", [-1]),
        ("hour", "INT64", [-1]),
        ("carrier", "BYTES", [-1]),
        ("member", "BOOL", [-1]),
    ]
    assert (metadata.name, metadata.versions) == ("flights", ["3"])
