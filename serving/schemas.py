"""The answers on the wire.

What a row must look like is not here: it follows the served model (`serving.rows`).
"""

import msgspec

from serving.release import Feature, Row, TrainingWindow


class Prediction(msgspec.Struct, frozen=True):
    """The answer to one row."""

    id: str
    """The row's own id where it has one; by it the row stands in the prediction log, and its label may come."""
    probability: float
    """That the target is true."""


class Predictions(msgspec.Struct, frozen=True):
    """The answers in the order of the rows, all by one model; one row alone gets a list of one."""

    request_id: str
    model_version: int
    epoch: int
    predictions: list[Prediction]


class EntityPrediction(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one entity, with the features that were looked up for it."""

    id: str
    probability: float
    features: Row
    as_of: str
    """What the features' age is counted from, RFC 3339 in UTC."""
    age_seconds: float
    window: str
    """The data window that they are of."""


class EntityPredictions(msgspec.Struct, frozen=True):
    """The answer to a request that names an entity in the place of its features."""

    request_id: str
    model_version: int
    epoch: int
    predictions: list[EntityPrediction]


class Recorded(msgspec.Struct, frozen=True):
    """How many labels are on record now."""

    recorded: int


class Scores(msgspec.Struct, frozen=True):
    """MLflow's answer: for each row the probabilities of false and of true."""

    predictions: list[list[float]]


class InferenceOutput(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One tensor of the Open Inference Protocol's answer: its data, or how many bytes after the JSON they are."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, int] | None = None
    data: list[float] | None = None


class InferenceAnswer(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The Open Inference Protocol's answer; `id` is the request's."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[InferenceOutput]


class TensorMetadata(msgspec.Struct, frozen=True):
    """A tensor that the model takes or gives; -1 in its shape is the number of rows."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """The served model, as the Open Inference Protocol describes one."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerMetadata(msgspec.Struct, frozen=True):
    """The service, as the Open Inference Protocol describes one."""

    name: str
    version: str
    extensions: list[str]


class ModelReady(msgspec.Struct, frozen=True):
    """The model that was asked for answers."""

    name: str
    ready: bool


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """The release that the pointer names and the service does not serve; an unreadable pointer names none."""

    model_version: int | None
    epoch: int | None
    reason: str
    at: str


class LogState(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker's prediction log does; times are RFC 3339 in UTC, None while nothing waits."""

    can_record: bool = True
    """Whether its last write went well."""
    unsynced_since: str | None = None
    """Since when a record waits to be forced to the disk."""
    unsealed_since: str | None = None
    """When the oldest record was written that no sealed segment has."""


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker of the service serves; None until it has a model."""

    worker: str
    pid: int
    started_at: str
    model_version: int | None
    epoch: int | None
    refused: Refused | None
    log: LogState = LogState()


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is served, and what was refused since; until there is a model, nulls and the workers."""

    ready: bool
    model_name: str | None = None
    model_version: int | None = None
    epoch: int | None = None
    promoted_at: str | None = None
    promoted_by: str | None = None
    metrics: dict[str, float] | None = None
    training_windows: tuple[TrainingWindow, ...] | None = None
    features: tuple[Feature, ...] | None = None
    loaded_at: str | None = None
    refused: Refused | None = None
    workers: list[WorkerStatus] = []
    """Those that live; a swap is over when all are at one epoch."""
    expected_workers: int = 1


class Live(msgspec.Struct, frozen=True):
    """The process answers."""

    live: bool


class Ready(msgspec.Struct, frozen=True):
    """The model that answers."""

    ready: bool
    model_version: int
    epoch: int


class Problem(msgspec.Struct, frozen=True):
    """An error, as RFC 9457 has it; `error` is the detail again, for clients of the Open Inference Protocol."""

    type: str
    title: str
    status: int
    detail: str
    error: str | msgspec.UnsetType = msgspec.UNSET
