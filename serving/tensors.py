"""One tensor of the Open Inference Protocol as a column of values: out of JSON, or out of Triton's binary form.

Here belong datatypes, shapes and sizes. The request around the tensors belongs to `serving.inference_protocol`, and
whether a value is allowed to `serving.rows`.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from serving.release import FeatureValue
from serving.rows import MAX_ROWS, RowsInvalid

BYTES = "BYTES"
"""The datatype of texts: each is its length, in 4 little-endian bytes, and its UTF-8."""
LAYOUTS = {
    "BOOL": "?",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
}
"""The other datatypes, and how numpy calls a value's bytes."""
KINDS: dict[str, Any] = {"b": bool, "i": int, "u": int, "f": float}
"""What a value is in JSON, by numpy's kind of its layout."""
LENGTH_BYTES = 4
Column = list[FeatureValue]


class InputParameters(msgspec.Struct, frozen=True):
    """What a client says of an input; what it says beside this changes nothing here."""

    binary_data_size: Annotated[int, Meta(ge=0)] | None = None


class Tensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input of a request: the values of one column."""

    name: str
    shape: Annotated[list[Annotated[int, Meta(ge=0)]], Meta(min_length=1, max_length=2)]
    datatype: str
    parameters: InputParameters | None = None
    data: list[Any] | None = None

    @property
    def binary_size(self) -> int | None:
        """How many bytes after the JSON are this tensor's; None where its data stand in the JSON."""
        return self.parameters.binary_data_size if self.parameters else None


def rows_of(tensor: Tensor, path: str) -> int:
    """How many rows a tensor says it has; nothing is unpacked for more of them than a request may have.

    Raises:
        RowsInvalid: it is not one value for each row, or for too many rows, or of no known datatype.
    """
    if tensor.datatype not in (BYTES, *LAYOUTS):
        raise RowsInvalid(f"{path}.datatype: is {tensor.datatype!r}, known are {', '.join((BYTES, *LAYOUTS))}")
    rows, *rest = tensor.shape
    if rest not in ([], [1]):
        raise RowsInvalid(f"{path}.shape: is [n] or [n, 1], one value for each row")
    if rows > MAX_ROWS:
        raise RowsInvalid(f"{path}.shape: {rows} rows, a request has at most {MAX_ROWS}")
    return rows


def values_of_json(tensor: Tensor, path: str) -> Column:
    """The values that stand in the JSON, flat or in the shape's rows; null may stand among them.

    Raises:
        RowsInvalid: there are none, more or fewer than the shape says, or one is not of the datatype.
    """
    rows, data = rows_of(tensor, path), tensor.data
    if data is None:
        raise RowsInvalid(f"{path}: has neither `data` nor `parameters.binary_data_size`")
    if len(tensor.shape) == 2 and all(isinstance(row, list) and len(row) == 1 for row in data):
        data = [value for (value,) in data]
    if len(data) != rows:
        raise RowsInvalid(f"{path}.data: {len(data)} values, the shape says {rows}")
    layout = LAYOUTS.get(tensor.datatype)
    kind: Any = str if layout is None else KINDS[np.dtype(layout).kind]
    try:
        values: Column = msgspec.convert(data, list[kind | None])
    except msgspec.ValidationError as error:
        raise RowsInvalid(str(error).replace("`$", f"`{path}.data", 1)) from None
    if layout is not None and kind is int:
        _demand_width(values, np.iinfo(layout), tensor.datatype, path)
    return values


def values_of_bytes(tensor: Tensor, part: bytes, path: str) -> Column:
    """The values of a tensor's part of the bytes after the JSON.

    Raises:
        RowsInvalid: the part is not as long as the shape says, or a text is not UTF-8.
    """
    rows = rows_of(tensor, path)
    if tensor.data is not None:
        raise RowsInvalid(f"{path}: has both `data` and `parameters.binary_data_size`")
    if tensor.datatype == BYTES:
        return _texts(part, rows, path)
    layout = np.dtype(LAYOUTS[tensor.datatype])
    if len(part) != rows * layout.itemsize:
        raise RowsInvalid(
            f"{path}.parameters.binary_data_size: {rows} values of {tensor.datatype} are {rows * layout.itemsize} "
            f"bytes, not {len(part)}"
        )
    values: Column = np.frombuffer(part, layout).tolist()
    return values


def bytes_of(numbers: Sequence[float]) -> bytes:
    """A column of FP64 in the binary form."""
    return np.asarray(numbers, LAYOUTS["FP64"]).tobytes()


def _texts(part: bytes, rows: int, path: str) -> Column:
    texts: Column = []
    begin = 0
    for row in range(rows):
        first = begin + LENGTH_BYTES
        end = first + int.from_bytes(part[begin:first], "little")
        if end > len(part):
            raise RowsInvalid(f"{path}.parameters.binary_data_size: the bytes end within value {row} of {rows}")
        try:
            texts.append(part[first:end].decode())
        except UnicodeDecodeError as error:
            raise RowsInvalid(f"{path}: value {row} is not UTF-8: {error.reason}") from None
        begin = end
    if begin != len(part):
        raise RowsInvalid(f"{path}.parameters.binary_data_size: {len(part) - begin} bytes after the last of {rows}")
    return texts


def _demand_width(values: Column, width: "np.iinfo[Any]", datatype: str, path: str) -> None:
    for row, value in enumerate(values):
        if value is not None and not width.min <= int(value) <= width.max:
            raise RowsInvalid(f"{path}.data[{row}]: does not fit into {datatype}")
