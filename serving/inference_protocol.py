"""The Open Inference Protocol, version 2: bodies of KServe's and Triton's clients as rows by feature name, and back.

An input is one tensor for each feature, by name, in JSON or after it (Triton's binary tensor data). What a tensor holds
belongs to `serving.tensors`; whether a value is allowed belongs to `serving.rows`, which judges what comes out of here
as it judges any other row.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from serving.foreign_values import as_typed, json_of
from serving.release import Feature, FeatureType, FeatureValue, Manifest
from serving.rows import RowsInvalid
from serving.schemas import InferenceAnswer, InferenceOutput, ModelMetadata, TensorMetadata
from serving.tensors import BYTES, Column, Tensor, bytes_of, values_of_bytes, values_of_json

HEADER_LENGTH = "Inference-Header-Content-Length"
"""The header that says how many bytes of a body are its JSON; without it all of them are."""
EXTENSIONS = ("binary_tensor_data",)
PLATFORM = "onnxruntime_onnx"
OUTPUT = "probability"
DATATYPES: dict[FeatureType, str] = {"float": "FP32", "integer": "INT64", "boolean": "BOOL", "category": BYTES}
"""What a feature is declared as; another datatype that can hold its values is taken too."""
ANY_ROWS = -1
_LENGTH = re.compile("[0-9]{1,18}")


class RequestParameters(msgspec.Struct, frozen=True):
    """What a client says of a request; what it says beside this changes nothing here."""

    binary_data_output: bool = False


class OutputParameters(msgspec.Struct, frozen=True):
    """What a client says of an output."""

    binary_data: bool | None = None
    classification: int | None = None


class RequestedOutput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An output that a client asks for."""

    name: str
    parameters: OutputParameters | None = None


class InferenceRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON of a request."""

    inputs: Annotated[list[Tensor], Meta(min_length=1)]
    id: str | None = None
    parameters: RequestParameters | None = None
    outputs: list[RequestedOutput] | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A request, taken apart: the rows, and how their answer is to look."""

    records: list[dict[str, FeatureValue]]
    id: str | None
    binary: bool


def question_of(body: bytes, header_length: str | None, manifest: Manifest) -> Question:
    """The rows of a body and how to answer them.

    Args:
        body: JSON, and after it the bytes of those inputs that have a `binary_data_size`.
        header_length: What `HEADER_LENGTH` says, None where a client did not send it.
        manifest: Of the served model: the inputs that it takes; NaN and an empty text are null where one can be null.

    Raises:
        RowsInvalid: it is no request of the protocol, its sizes and shapes do not fit each other, or an input is none
            of the model's.
    """
    header, parts = _parted(body, header_length)
    try:
        request = msgspec.convert(json_of(header), InferenceRequest)
    except msgspec.ValidationError as error:
        raise RowsInvalid(str(error)) from None
    binary = _is_binary(request)
    columns = _columns(request.inputs, parts, manifest)
    records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return Question(records, request.id, binary)


def answer_of(question: Question, manifest: Manifest, probabilities: Sequence[float]) -> tuple[bytes, int | None]:
    """The body of an answer, and how many of its bytes are JSON where others follow."""
    output = InferenceOutput(name=OUTPUT, datatype="FP64", shape=[len(probabilities)])
    part = bytes_of(probabilities) if question.binary else b""
    if question.binary:
        output = msgspec.structs.replace(output, parameters={"binary_data_size": len(part)})
    else:
        output = msgspec.structs.replace(output, data=list(probabilities))
    answer = InferenceAnswer(
        model_name=manifest.model_name, model_version=str(manifest.model_version), id=question.id, outputs=[output]
    )
    header = msgspec.json.encode(answer)
    return header + part, len(header) if question.binary else None


def metadata_of(manifest: Manifest) -> ModelMetadata:
    """What a client may ask the served model, and what it answers."""
    return ModelMetadata(
        name=manifest.model_name,
        versions=[str(manifest.model_version)],
        platform=PLATFORM,
        inputs=[TensorMetadata(feature.name, DATATYPES[feature.type], [ANY_ROWS]) for feature in manifest.features],
        outputs=[TensorMetadata(OUTPUT, "FP64", [ANY_ROWS])],
    )


def _parted(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    if header_length is None:
        return body, b""
    if not _LENGTH.fullmatch(header_length) or int(header_length) > len(body):
        raise RowsInvalid(f"{HEADER_LENGTH}: is {header_length!r}, the body has {len(body)} bytes")
    return body[: int(header_length)], body[int(header_length) :]


def _columns(inputs: Sequence[Tensor], parts: bytes, manifest: Manifest) -> dict[str, Column]:
    features = {feature.name: feature for feature in manifest.features}
    beside = {*manifest.context, manifest.row_id}
    columns: dict[str, Column] = {}
    first = None
    begin = 0
    for at, tensor in enumerate(inputs):
        path = f"$.inputs[{at}]"
        if tensor.name not in features and tensor.name not in beside:
            # Not left to the rows: 10 MB of inputs that nobody asked for would be 400 MB of them.
            raise RowsInvalid(f"{path}.name: the model has no input {tensor.name!r}")
        if tensor.name in columns:
            raise RowsInvalid(f"{path}.name: names {tensor.name!r} twice")
        if tensor.binary_size is None:
            values = values_of_json(tensor, path)
        else:
            end = begin + tensor.binary_size
            if end > len(parts):
                raise RowsInvalid(f"{path}.parameters.binary_data_size: ends at byte {end} of {len(parts)}")
            values = values_of_bytes(tensor, parts[begin:end], path)
            begin = end
        first = len(values) if first is None else first
        if len(values) != first:
            raise RowsInvalid(f"{path}.shape: {len(values)} rows, $.inputs[0] has {first}")
        feature = features.get(tensor.name)
        columns[tensor.name] = [_as_sent(value, feature) for value in values]
    if begin != len(parts):
        raise RowsInvalid(f"{len(parts) - begin} bytes after the last input; {HEADER_LENGTH} says where the JSON ends")
    return columns


def _as_sent(value: FeatureValue, feature: Feature | None) -> Any:  # noqa: ANN401 -- a value of any feature
    """Undoes what a tensor does to a null: an empty text, and NaN among numbers, also among a boolean's 0 and 1."""
    if value == "" and (feature is None or (feature.nullable and "" not in feature.categories)):
        return None
    if feature is not None and feature.type == "boolean" and isinstance(value, float) and value in (0.0, 1.0):
        return bool(value)
    return as_typed(value, feature)


def _is_binary(request: InferenceRequest) -> bool:
    """Whether the answer's values follow its JSON; there is one output, so it is asked for once or not at all."""
    binary = (request.parameters or RequestParameters()).binary_data_output
    for at, output in enumerate(request.outputs or ()):
        parameters = output.parameters or OutputParameters()
        if at or output.name != OUTPUT:
            raise RowsInvalid(f"$.outputs[{at}].name: is {output.name!r}, the model has one output, {OUTPUT!r}")
        if parameters.classification is not None:
            raise RowsInvalid(f"$.outputs[{at}].parameters.classification: the output is a probability, not classes")
        binary = binary if parameters.binary_data is None else parameters.binary_data
    return binary
