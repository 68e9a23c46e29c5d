"""The gate: what must hold of a candidate before it may become production.

The asset `candidate_model` emits these itself, at severity ERROR and not blocking: a separate blocking check would turn
every refusal into a failed run (see docs/decisions). The rules themselves belong to `mlops_assets.domain.gate`, a
function of the same name for each.
"""

from collections.abc import Callable, Mapping

import dagster as dg

from mlops_assets.domain.evidence import Evidence
from mlops_assets.domain.gate import CHECKS, rows_to_decide, verdict

Metadata = dict[str, dg.MetadataValue]

DESCRIPTIONS = {
    "candidate_beats_production": "On rows that neither model has seen, the candidate's AUC is greater than "
    "production's + min_gain, and the interval of the difference lies above zero.",
    "no_segment_regresses": "In no segment with enough rows is the candidate worse than production by the margin.",
    "known_cases_hold": "The user's known cases are scored within their bounds and in their order.",
    "probabilities_are_calibrated": "The candidate's probabilities lie near the observed shares.",
    "served_artifact_matches": "The exported model answers as the fitted pipeline does, on edge rows too.",
    "prediction_is_fast_enough": "The exported model answers one row within its budget.",
}
GATE = tuple(dg.AssetCheckSpec(name, asset="candidate_model", description=DESCRIPTIONS[name]) for name in CHECKS)

PICTURES = {
    "candidate_beats_production": ("roc", "score_shift"),
    "no_segment_regresses": ("gain_by_segment",),
    "probabilities_are_calibrated": ("calibration",),
}
"""Which of a comparison's pictures a check shows."""


def gate_results(evidence: Evidence, pictures: Mapping[str, str]) -> list[dg.AssetCheckResult]:
    """The gate's verdicts, each with the numbers it judged.

    Args:
        evidence: What the gate saw.
        pictures: Markdown by name, shown beside the check that they belong to.
    """
    results = []
    for spec in GATE:
        ruling = CHECKS[spec.name](evidence)
        drawn = {name: dg.MetadataValue.md(pictures[name]) for name in PICTURES.get(spec.name, ()) if name in pictures}
        of_it = {"evidence_sha256": dg.MetadataValue.text(evidence.sha256)} | NUMBERS[spec.name](evidence) | drawn
        results.append(_result(spec, passed=ruling.passed, description=ruling.said, metadata=of_it))
    return results


def no_gate_results(fault: str) -> list[dg.AssetCheckResult]:
    """The gate's verdicts where no comparison could be made: nothing passes."""
    return [_result(spec, passed=False, metadata={}, description=fault) for spec in GATE]


def side_by_side(evidence: Evidence) -> dg.MetadataValue:
    """Candidate beside production on the same rows, as a table."""
    models = {"candidate": evidence.candidate, "production": evidence.production}
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "model": role,
                    "version": model.version,
                    "auc": round(model.auc, 4),
                    "log_loss": round(model.log_loss, 4),
                    "brier": round(model.brier, 4),
                    "calibration_error": round(model.calibration_error, 4),
                }
            )
            for role, model in models.items()
            if model is not None
        ]
    )


def _comparison(evidence: Evidence) -> Metadata:
    production, gain = evidence.production, evidence.gain
    numbers: dict[str, float | None] = {
        "model_version": evidence.candidate.version,
        "candidate_auc": evidence.candidate.auc,
        "production_version": production.version if production else None,
        "production_auc": production.auc if production else None,
        "gain": evidence.candidate.auc - production.auc if production else None,
        "min_gain": evidence.gate.min_gain,
        "gain_low": gain.low if gain else None,
        "gain_high": gain.high if gain else None,
        "confidence": evidence.gate.confidence if gain else None,
        "independent_keys": gain.keys if gain else None,
        "rows_to_decide": rows_to_decide(evidence),
        "validation_rows": evidence.validation_rows,
    }
    said = {"verdict": dg.MetadataValue.text(verdict(evidence))} if production else {}
    return said | _numbers(numbers) | {"side_by_side": side_by_side(evidence)}


def _segments(evidence: Evidence) -> Metadata:
    columns = [
        dg.TableColumn("segment"),
        dg.TableColumn("rows", "int"),
        dg.TableColumn("split_keys", "int"),
        *(dg.TableColumn(name, "float") for name in ("gain", "low", "p_value")),
        dg.TableColumn("holds"),
    ]
    records = [
        dg.TableRecord(
            {
                "segment": segment.name,
                "rows": segment.rows,
                "split_keys": segment.keys,
                "gain": segment.gain,
                "low": segment.low,
                "p_value": segment.p_value,
                "holds": "not compared" if segment.holds is None else "yes" if segment.holds else "no",
            }
        )
        for segment in evidence.segments
    ]
    limits = _numbers({"margin": evidence.gate.segment_margin, "min_rows": evidence.gate.segment_min_rows})
    return limits | {"segments": dg.MetadataValue.table(records, dg.TableSchema(columns))}


def _known_cases(evidence: Evidence) -> Metadata:
    columns = [dg.TableColumn("case"), dg.TableColumn("score", "float"), *map(dg.TableColumn, ("expected", "holds"))]
    records = [
        dg.TableRecord(
            {
                "case": case.name,
                "score": round(case.score, 4),
                "expected": case.expected,
                "holds": "yes" if case.holds else "no",
            }
        )
        for case in evidence.known_cases
    ]
    return {"known_cases": dg.MetadataValue.table(records, dg.TableSchema(columns))}


def _calibration(evidence: Evidence) -> Metadata:
    production = evidence.production
    return _numbers(
        {
            "calibration_error": evidence.candidate.calibration_error,
            "production_calibration_error": production.calibration_error if production else None,
            "max_calibration_error": evidence.gate.max_calibration_error,
        }
    )


def _parity(evidence: Evidence) -> Metadata:
    parity = evidence.parity
    return _numbers(
        {
            "differing_share": parity.differing_share,
            "max_differing_share": evidence.gate.max_differing_share,
            "largest_difference": parity.largest,
            "exported_auc": evidence.candidate.auc,
            "fitted_auc": parity.fitted_auc,
            "edge_rows": parity.edge_rows,
            "differing_edge_rows": len(parity.differing_edges),
        }
    )


def _latency(evidence: Evidence) -> Metadata:
    return _numbers(
        {"row_milliseconds": evidence.row_milliseconds, "max_row_milliseconds": evidence.gate.max_row_milliseconds}
    )


NUMBERS: Mapping[str, Callable[[Evidence], Metadata]] = {
    "candidate_beats_production": _comparison,
    "no_segment_regresses": _segments,
    "known_cases_hold": _known_cases,
    "probabilities_are_calibrated": _calibration,
    "served_artifact_matches": _parity,
    "prediction_is_fast_enough": _latency,
}
"""What each check shows of the evidence."""


def _numbers(values: Mapping[str, float | None]) -> Metadata:
    """As metadata; what is not known is left out."""
    return {
        name: dg.MetadataValue.int(value) if isinstance(value, int) else dg.MetadataValue.float(value)
        for name, value in values.items()
        if value is not None
    }


def _result(
    spec: dg.AssetCheckSpec, *, passed: bool, metadata: Metadata, description: str | None = None
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=passed,
        description=description,
        check_name=spec.name,
        asset_key=spec.asset_key,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata=metadata,
    )
