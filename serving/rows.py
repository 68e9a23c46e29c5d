"""What a request may say: the row type of one model and the strict decoder made from it.

Every rule about a value (type, range, category, null) is part of the type, so a fault is reported with its path and the
OpenAPI schema cannot disagree with what is accepted. The model's tensor belongs to `serving.predictor`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from serving.log_segments import row_id_of
from serving.release import MANIFEST, Feature, FeatureValue, ReleaseInvalid

MAX_ROWS = 10_000
FLOAT32_MAX = 3.4028234663852886e38
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

Values = tuple[FeatureValue, ...]
"""A row's values in the order of the manifest's features, then its id and its context where the release names them."""

Number = Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)] | Annotated[float, Meta(ge=-FLOAT32_MAX, le=FLOAT32_MAX)]
RowId = Annotated[str, Meta(min_length=1, max_length=256)] | Number
ContextValue = Annotated[str, Meta(max_length=256)] | Number | bool


class RowsInvalid(Exception):
    """A body is not rows of this model; the message says where and why."""


class Rows:
    """Decodes the rows of one model; safe to use from several threads."""

    def __init__(
        self,
        features: Sequence[Feature],
        *,
        row_id: str | None = None,
        context: Sequence[str] = (),
        entity_key: str | None = None,
    ) -> None:
        """Builds the row type.

        Args:
            features: What the model needs.
            row_id: Column that a client may send too, to find its rows again.
            context: Columns that a client may send too, for the record alone.
            entity_key: The column of these by which features can be looked up, where they are not sent.

        Raises:
            ReleaseInvalid: no type can be made of these features.
        """
        self.features = tuple(feature.name for feature in features)
        beside = [*([row_id] if row_id is not None else []), *context]
        self._id_at = len(features) if row_id is not None else None
        self._context = tuple((name, len(features) + beside.index(name)) for name in context)
        names = [*self.features, *beside]
        try:
            # Fields get names of their own: a feature's name need not be an identifier.
            row: Any = msgspec.defstruct(
                "Row",
                [
                    *(_field(f"column_{position}", feature) for position, feature in enumerate(features)),
                    *(
                        _beside(f"column_{position}", is_id=name == row_id)
                        for position, name in enumerate(beside, start=len(features))
                    ),
                ],
                rename={f"column_{position}": name for position, name in enumerate(names)},
                forbid_unknown_fields=True,
                frozen=True,
                kw_only=True,
            )
            self._list_type: Any = Annotated[list[row], Meta(min_length=1, max_length=MAX_ROWS)]
            self.body_type: Any = row | self._list_type
            """One row or a list of them."""
            self._decoder = msgspec.json.Decoder(self.body_type)
            self.entity_type: Any = None if entity_key is None else _entity_type(entity_key, beside, row_id)
            """An entity in the place of its features; None where the release has no such key."""
            self._entity_decoder = msgspec.json.Decoder(self.entity_type)
        except (TypeError, ValueError) as error:
            raise ReleaseInvalid(f"{MANIFEST}: features: {error}") from error

    def decode(self, body: bytes) -> list[Values]:
        """The rows of a JSON body.

        Raises:
            RowsInvalid: the body is not JSON, or a value is not what its feature allows.
        """
        try:
            decoded = self._decoder.decode(body)
        except UnicodeDecodeError:
            raise RowsInvalid(_not_utf8(body)) from None
        except msgspec.DecodeError as error:
            raise RowsInvalid(str(error)) from None
        rows = decoded if isinstance(decoded, list) else [decoded]
        return [msgspec.structs.astuple(row) for row in rows]

    def entity_of(self, body: bytes) -> dict[str, Any] | None:
        """What a body says that names an entity and no feature, by column; None of any other body."""
        if self.entity_type is None:
            return None
        try:
            asked = self._entity_decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return {name: value for name, value in msgspec.to_builtins(asked).items() if value is not None}

    def convert(self, records: Sequence[Mapping[str, Any]]) -> list[Values]:
        """Rows that came in another form than this service's own JSON, by the same rules.

        Raises:
            RowsInvalid: a value is not what its feature allows, or they are none, or too many.
        """
        try:
            rows = msgspec.convert(list(records), self._list_type)
        except msgspec.ValidationError as error:
            raise RowsInvalid(str(error)) from None
        return [msgspec.structs.astuple(row) for row in rows]

    def ids(self, rows: Sequence[Values], request_id: str) -> list[str]:
        """By which each row is known: the client's id as text, else the request's with the row's position."""
        at = self._id_at
        if at is None:
            return [f"{request_id}.{position}" for position in range(len(rows))]
        return [row_id_of(row[at], request_id, position) for position, row in enumerate(rows)]

    def context(self, row: Values) -> dict[str, FeatureValue]:
        """What the client said of a row beside its features and its id."""
        return {name: value for name, at in self._context if (value := row[at]) is not None}


def _entity_type(entity_key: str, beside: Sequence[str], row_id: str | None) -> Any:  # noqa: ANN401 -- a type
    """The key alone, with the id and the context that any row may have."""
    others = [name for name in beside if name != entity_key]
    return msgspec.defstruct(
        "Entity",
        [
            ("entity", RowId),
            *(_beside(f"column_{position}", is_id=name == row_id) for position, name in enumerate(others)),
        ],
        rename={"entity": entity_key, **{f"column_{position}": name for position, name in enumerate(others)}},
        forbid_unknown_fields=True,
        frozen=True,
        kw_only=True,
    )


def _beside(name: str, *, is_id: bool) -> tuple[str, Any, None]:
    return name, (RowId if is_id else ContextValue) | None, None


def _field(name: str, feature: Feature) -> tuple[str, Any] | tuple[str, Any, None]:
    low = -math.inf if feature.minimum is None else feature.minimum
    high = math.inf if feature.maximum is None else feature.maximum
    text = feature.description
    kind: Any
    match feature.type:
        case "category":
            if len(set(feature.categories)) < max(len(feature.categories), 1):
                raise ValueError(f"{feature.name} names no category, or one twice")
            if feature.new_categories == "as_missing":
                kind = str
                known = ", ".join(feature.categories)
                text = f"{text} Known values: {known}; any other is read as null.".lstrip()
            else:
                kind = Literal.__getitem__(feature.categories)
        case "boolean":
            kind = bool
        case "integer":
            # A JSON integer has no end: 1 followed by 400 zeros cannot become a float.
            kind = Annotated[int, Meta(ge=math.ceil(max(low, INT64_MIN)), le=math.floor(min(high, INT64_MAX)))]
        case "float":
            # 1e300 would be inf in the model's float32. A float64 within these bounds is finite after the cast.
            kind = Annotated[float, Meta(ge=max(low, -FLOAT32_MAX), le=min(high, FLOAT32_MAX))]
    description = Meta(description=text or None)
    if not feature.nullable:
        return name, Annotated[kind, description]
    return name, Annotated[kind | None, description], None


def _not_utf8(body: bytes) -> str:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return f"JSON is not UTF-8: {error.reason} (byte {error.start})"
    return "JSON is not UTF-8"
