"""The gate: what must hold of a candidate before it may become production.

The asset `candidate_model` emits these itself, at severity ERROR and not blocking: a separate blocking check would turn
every refusal into a failed run (see docs/decisions). The rules themselves belong to `mlops_assets.domain.gate`.
"""

from collections.abc import Mapping

import dagster as dg

from mlops_assets.domain.gate import (
    Evidence,
    candidate_beats_production,
    comparison,
    rows_to_decide,
    served_artifact_matches,
    verdict,
)

CANDIDATE_BEATS_PRODUCTION = dg.AssetCheckSpec(
    "candidate_beats_production",
    asset="candidate_model",
    description="On rows that neither model has seen, the candidate's AUC is greater than production's + min_gain, and "
    "the interval of the difference lies above zero.",
)
SERVED_ARTIFACT_MATCHES = dg.AssetCheckSpec(
    "served_artifact_matches",
    asset="candidate_model",
    description="The exported model answers as the fitted pipeline does.",
)
GATE = (CANDIDATE_BEATS_PRODUCTION, SERVED_ARTIFACT_MATCHES)


def gate_results(evidence: Evidence, pictures: Mapping[str, str]) -> list[dg.AssetCheckResult]:
    """The gate's verdicts, each with the numbers it judged.

    Args:
        evidence: What the gate saw.
        pictures: Markdown by name, shown beside the comparison.
    """
    production = evidence.production
    compared: dict[str, dg.MetadataValue] = {
        "evidence_sha256": dg.MetadataValue.text(evidence.sha256),
        "model_version": dg.MetadataValue.int(evidence.candidate.version),
        "candidate_auc": dg.MetadataValue.float(evidence.candidate.auc),
        "min_gain": dg.MetadataValue.float(evidence.min_gain),
        "validation_rows": dg.MetadataValue.int(evidence.validation_rows),
        "side_by_side": side_by_side(evidence),
    }
    if production is not None:
        compared["production_version"] = dg.MetadataValue.int(production.version)
        compared["production_auc"] = dg.MetadataValue.float(production.auc)
        compared["verdict"] = dg.MetadataValue.text(verdict(evidence))
        compared["gain"] = dg.MetadataValue.float(evidence.candidate.auc - production.auc)
    if (gain := evidence.gain) is not None:
        bounds = {"gain_low": gain.low, "gain_high": gain.high}
        compared |= {name: dg.MetadataValue.float(bound) for name, bound in bounds.items() if bound is not None}
        compared["confidence"] = dg.MetadataValue.float(evidence.confidence)
        compared["independent_keys"] = dg.MetadataValue.int(gain.keys)
    if (rows := rows_to_decide(evidence)) is not None:
        compared["rows_to_decide"] = dg.MetadataValue.int(rows)
    return [
        _result(
            CANDIDATE_BEATS_PRODUCTION,
            passed=candidate_beats_production(evidence),
            description=comparison(evidence),
            metadata={**compared, **{name: dg.MetadataValue.md(picture) for name, picture in pictures.items()}},
        ),
        _result(
            SERVED_ARTIFACT_MATCHES,
            passed=served_artifact_matches(evidence),
            metadata={
                "evidence_sha256": dg.MetadataValue.text(evidence.sha256),
                "differing_share": dg.MetadataValue.float(evidence.differing_share),
                "max_differing_share": dg.MetadataValue.float(evidence.max_differing_share),
            },
        ),
    ]


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
                }
            )
            for role, model in models.items()
            if model is not None
        ]
    )


def _result(
    spec: dg.AssetCheckSpec, *, passed: bool, metadata: dict[str, dg.MetadataValue], description: str | None = None
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=passed,
        description=description,
        check_name=spec.name,
        asset_key=spec.asset_key,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata=metadata,
    )
