"""Evidence as the gate gathers it, of a candidate that every check lets through."""

from typing import Any

from mlops_assets.domain.dataset_tables import Gate, Training
from mlops_assets.domain.evidence import Evidence, Gain, Parity, Production, Scored, SegmentGain
from mlops_assets.domain.known_cases import KnownCaseScore

CANDIDATE = Scored(version=2, auc=0.8, log_loss=0.5, brier=0.2, calibration_error=0.02)
PRODUCTION = Production(
    version=1,
    auc=0.7,
    log_loss=0.6,
    brier=0.3,
    calibration_error=0.03,
    epoch=4,
    manifest_sha256="9" * 64,
    window="2013-01",
)
SEGMENT = SegmentGain(column="shop", value="north", rows=60, keys=20, gain=0.02, low=-0.01, p_value=0.004, holds=True)
CASE = KnownCaseScore(name="a good visit", score=0.7, expected="at least 0.5", holds=True)
PARITY = Parity(differing_share=0.0, largest=1e-8, fitted_auc=0.8, edge_rows=12, differing_edges=())
EVIDENCE = Evidence(
    window="2013-02",
    data_version="abc",
    training_windows={"2013-01": "abb", "2013-02": "abc"},
    training_rows=300,
    validation_rows=100,
    candidate=CANDIDATE,
    production=PRODUCTION,
    gain=Gain(gain=0.1, low=0.04, high=0.16, method="bootstrap", keys=20),
    segments=(SEGMENT,),
    known_cases=(CASE,),
    parity=PARITY,
    row_milliseconds=0.02,
    training=Training(),
    gate=Gate(),
    scores_sha256="3" * 64,
    manifest_sha256="0" * 64,
    code_sha256="1" * 64,
    lock_sha256="2" * 64,
    dagster_run_id="run",
)


def small_evidence(
    *,
    candidate_auc: float = 0.8,
    production_auc: float | None = 0.7,
    gate: dict[str, Any] | None = None,
    **changes: object,
) -> Evidence:
    """The evidence with other numbers; the fitted pipeline's AUC is the candidate's."""
    production = None if production_auc is None else PRODUCTION.model_copy(update={"auc": production_auc})
    numbers = {
        "candidate": CANDIDATE.model_copy(update={"auc": candidate_auc}),
        "production": production,
        "parity": PARITY.model_copy(update={"fitted_auc": candidate_auc}),
        "gate": Gate().model_copy(update=gate or {}),
    }
    return EVIDENCE.model_copy(update={**numbers, **changes})
