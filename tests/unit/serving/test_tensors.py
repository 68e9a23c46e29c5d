"""Prevents that a lost byte, or a shape that nobody filled, becomes a value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.utils import serialize_byte_tensor

from serving.rows import MAX_ROWS, RowsInvalid
from serving.tensors import LAYOUTS, Tensor, bytes_of, values_of_bytes, values_of_json

PATH = "$.inputs[0]"


@given(st.lists(st.text(max_size=9), max_size=9))
def test_texts_come_as_tritons_client_packs_them(texts: list[str]) -> None:
    """Empty ones and those with zeros, too."""
    packed = serialize_byte_tensor(np.array(texts, "O"))
    part = packed.item() if packed.size else b""
    assert values_of_bytes(Tensor("x", [len(texts)], "BYTES"), part, PATH) == texts


@pytest.mark.parametrize("datatype", LAYOUTS)
def test_bytes_and_json_give_the_same_values(datatype: str) -> None:
    """Of Python's own types: what numpy has no answer can hold."""
    numbers = np.array([0, 1], LAYOUTS[datatype])
    by_bytes = values_of_bytes(Tensor("x", [2, 1], datatype), numbers.tobytes(), PATH)
    by_json = values_of_json(Tensor("x", [2, 1], datatype, data=[[value] for value in numbers.tolist()]), PATH)
    assert by_bytes == by_json == [0, 1]
    assert {type(value) for value in by_bytes + by_json} <= {bool, int, float}


@pytest.mark.parametrize("datatype", [datatype for datatype in LAYOUTS if "INT" in datatype])
def test_an_integer_has_the_width_of_its_datatype(datatype: str) -> None:
    """Prevents that the same request is answered in JSON and refused in bytes."""
    width = np.iinfo(LAYOUTS[datatype])
    ends = [int(width.min), int(width.max), None]
    assert values_of_json(Tensor("x", [3], datatype, data=ends), PATH) == ends
    for beyond in (int(width.min) - 1, int(width.max) + 1):
        with pytest.raises(RowsInvalid, match=rf"data\[1\]: does not fit into {datatype}"):
            values_of_json(Tensor("x", [2], datatype, data=[0, beyond]), PATH)


@pytest.mark.parametrize("rows", [MAX_ROWS + 1, 10**18, 10**30])
@pytest.mark.parametrize("datatype", ["INT64", "BYTES"])
def test_an_absurd_shape_allocates_nothing(datatype: str, rows: int) -> None:
    """Prevents that a few bytes take the service's memory."""
    said = f"shape: {rows} rows, a request has at most {MAX_ROWS}"
    with pytest.raises(RowsInvalid, match=said):
        values_of_json(Tensor("x", [rows], datatype, data=[]), PATH)
    with pytest.raises(RowsInvalid, match=said):
        values_of_bytes(Tensor("x", [rows], datatype), b"", PATH)


@pytest.mark.parametrize(
    ("datatype", "rows", "part", "said"),
    [
        ("INT64", 1, b"1234567", "1 values of INT64 are 8 bytes, not 7"),
        ("INT64", 2, b"12345678", "2 values of INT64 are 16 bytes, not 8"),
        ("BYTES", 1, b"", "the bytes end within value 0 of 1"),
        ("BYTES", 1, b"\x00\x00\x00", "the bytes end within value 0 of 1"),
        ("BYTES", 2, b"\x00\x00\x00\x00", "the bytes end within value 1 of 2"),
        ("BYTES", 1, b"\xff\xff\xff\xffB", "the bytes end within value 0 of 1"),
        ("BYTES", 1, b"\x01\x00\x00\x00B6", "1 bytes after the last of 1"),
        ("BYTES", 0, b"\x00\x00\x00\x00", "4 bytes after the last of 0"),
        ("BYTES", 1, b"\x01\x00\x00\x00\xff", "value 0 is not UTF-8"),
        ("BYTES", 1, b"\x03\x00\x00\x00\xed\xa0\x80", "value 0 is not UTF-8"),
    ],
)
def test_bytes_that_do_not_add_up_are_refused(datatype: str, rows: int, part: bytes, said: str) -> None:
    """Prevents that a lost byte moves all values after it."""
    with pytest.raises(RowsInvalid, match=said):
        values_of_bytes(Tensor("x", [rows], datatype), part, PATH)


@given(st.lists(st.floats(0, 1), max_size=9))
def test_an_answer_keeps_every_bit(probabilities: list[float]) -> None:
    """As 64 bits, little-endian."""
    assert np.frombuffer(bytes_of(probabilities), "<f8").tolist() == probabilities
