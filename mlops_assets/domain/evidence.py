"""Evidence: the record of what the gate saw of a candidate. Judging it belongs to `gate`."""

import hashlib
from typing import Annotated, Literal

from pydantic import Field

from mlops_assets.domain.dataset_tables import Gate, Training
from mlops_assets.domain.known_cases import KnownCaseScore
from mlops_assets.domain.record import Record

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Scored(Record):
    """A model and its metrics on the comparison's rows."""

    version: int
    auc: float
    log_loss: float
    brier: float
    calibration_error: float


class Production(Scored):
    """The production model that the candidate was compared with, as it was promoted."""

    epoch: int
    manifest_sha256: Sha256
    """Its release bundle."""
    window: str
    """Its newest window."""


class Gain(Record):
    """The candidate's AUC minus production's, and between which bounds it lies."""

    gain: float
    low: float | None
    """None where the rows tell nothing of how sure it is."""
    high: float | None
    method: Literal["delong", "bootstrap"]
    """Rows that are each their own split key, or split keys resampled (`auc_difference`)."""
    keys: int
    """Independent draws that it rests on."""


class SegmentGain(Record):
    """The candidate's AUC minus production's on the rows of one segment."""

    column: str
    value: str
    rows: int
    keys: int = 0
    """Split keys that hold the rarer outcome in it."""
    gain: float | None = None
    """None where its rows are too few, or tell nothing of the models."""
    low: float | None = None
    """Lower bound of the gain, of one side, for this segment alone."""
    p_value: float | None = None
    """Of the gain being `-margin` or worse, corrected by Holm for all segments that were compared."""
    holds: bool | None = None
    """Whether it is shown that it is not; None where it was not compared."""

    @property
    def name(self) -> str:
        """Column and value."""
        return f"{self.column} = {self.value}"


class Parity(Record):
    """How far the exported model's scores lie from the fitted pipeline's."""

    differing_share: float
    """Share of the validation rows on which they lie further apart than 1e-6."""
    largest: float
    """Largest distance on a validation row."""
    fitted_auc: float
    """The fitted pipeline's AUC on the validation rows, beside the exported model's in `candidate`."""
    edge_rows: int
    differing_edges: tuple[str, ...]
    """Edge rows on which they lie further apart than 1e-6."""


class Evidence(Record):
    """What the gate saw: two models on the same rows, which neither has trained on, by which limits."""

    window: str
    data_version: str
    training_windows: dict[str, str]
    """Data version by window."""
    training_rows: int
    validation_rows: int
    candidate: Scored
    production: Production | None
    """None where there was no production model."""
    gain: Gain | None
    """None where there was no production model."""
    segments: tuple[SegmentGain, ...]
    """Of every segment of the validation rows; none where there was no production model."""
    known_cases: tuple[KnownCaseScore, ...]
    parity: Parity
    row_milliseconds: float
    """Median time that the exported model takes for one row."""
    training: Training
    """The contract's settings of the training."""
    gate: Gate
    """The contract's limits."""
    scores_sha256: Sha256
    """The file with both models' scores of every validation row."""
    manifest_sha256: Sha256
    """The release bundle that was scored, and that alone may be promoted on this evidence."""
    code_sha256: str
    lock_sha256: str
    dagster_run_id: str

    @property
    def sha256(self) -> str:
        """Hash of the record; what the ledger and the model version's tag say."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """The record as it is stored and hashed."""
        return self.model_dump_json(indent=2)
