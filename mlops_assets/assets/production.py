"""`production_model`: the version that serves, promoted only on evidence that it verifies itself."""

from collections.abc import Iterator

import dagster as dg

from mlops_assets.adapters.ledger import ProductionMoved, PromotionHeld, Request
from mlops_assets.adapters.model_registry import EvidenceMissing, ModelRegistry
from mlops_assets.adapters.promotion import Promoter
from mlops_assets.checks.candidate import GATE
from mlops_assets.domain.evidence import Evidence
from mlops_assets.domain.gate import candidate_beats_production, refusals
from serving.release import ReleaseInvalid


@dg.asset(
    deps=[dg.AssetDep("candidate_model", partition_mapping=dg.LastPartitionMapping())],
    output_required=False,
    group_name="loop",
    owners=["team:ml"],
    kinds={"mlflow"},
    retry_policy=dg.RetryPolicy(max_retries=2, delay=1),
)
def production_model(
    context: dg.AssetExecutionContext,
    registry: dg.ResourceParam[ModelRegistry],
    promoter: dg.ResourceParam[Promoter],
) -> Iterator[dg.MaterializeResult[None]]:
    """The run's candidate becomes production: ledger, release, alias, pointer, in this order and exactly once.

    It asks the gate again with the stored evidence, so no selection of assets or checks walks around it. After a
    refusal in the same run it is skipped. Asked for by hand it takes the newest candidate, and fails with what is
    missing where its evidence does not allow a promotion.
    """
    promoter.reconcile()
    if put_back := promoter.put_alias_back():
        context.log.warning(put_back)
    # The run's own candidate, and not the newest: another window's may have been registered meanwhile.
    own = registry.candidate_of({context.run.run_id, context.run.parent_run_id, context.run.root_run_id} - {None})
    version = own or registry.candidate_version()
    if version is None:
        raise dg.Failure("there is no candidate: materialize candidate_model first", allow_retries=False)
    production = promoter.ledger.production()
    if production is not None and production.model_version == version:
        context.log.info(f"version {version} is production already")
        yield _materialized(version, production.epoch, production.reason, None)
        return
    try:
        evidence = registry.evidence(version)
    except EvidenceMissing as error:
        raise dg.Failure(f"version {version} is not promoted: {error}", allow_retries=False) from error
    found = refusals(evidence, production_epoch=production.epoch if production else None)
    if promoter.ledger.evidence(evidence.sha256) != evidence.to_json():
        found.append("the ledger does not know its evidence")
    found += _failed_checks(context.instance, evidence)
    found += [str(hold)] if (hold := promoter.ledger.hold()) else []
    if found:
        refusal = f"version {version} is not promoted: {'; '.join(found)}"
        if own is None:
            raise dg.Failure(refusal, allow_retries=False)
        context.log.info(refusal)
        return
    reason = _reason(evidence)
    try:
        promotion = promoter.promote(
            Request(
                model_version=version,
                expected_epoch=evidence.production.epoch if evidence.production else None,
                actor="dagster:production_model",
                reason=reason,
                manifest_sha256=evidence.manifest_sha256,
                evidence_sha256=evidence.sha256,
                dagster_run_id=context.run.run_id,
            )
        )
    except (ProductionMoved, PromotionHeld, ReleaseInvalid) as error:
        raise dg.Failure(f"version {version} is not promoted: {error}", allow_retries=False) from error
    yield _materialized(version, promotion.epoch, reason, evidence)


def _failed_checks(instance: dg.DagsterInstance, evidence: Evidence) -> list[str]:
    """Checks of the gate that Dagster does not know as passed, at severity ERROR, on this very evidence."""
    found = []
    for spec in GATE:
        record = instance.event_log_storage.get_latest_asset_check_execution_by_key([spec.key]).get(spec.key)
        evaluation = record.evaluation if record else None
        if evaluation is None:
            found.append(f"the check {spec.name} never ran")
        elif evaluation.metadata.get("evidence_sha256") != dg.MetadataValue.text(evidence.sha256):
            found.append(f"the check {spec.name} judged other evidence")
        elif not evaluation.passed:
            found.append(f"the check {spec.name} failed")
        elif evaluation.severity != dg.AssetCheckSeverity.ERROR:
            found.append(f"the check {spec.name} was downgraded to {evaluation.severity.value}")
    return found


def _reason(evidence: Evidence) -> str:
    if evidence.production is None:
        return f"first model, AUC {evidence.candidate.auc:.4f} on {evidence.window}"
    return (
        f"{candidate_beats_production(evidence).said}, of version {evidence.production.version}, on {evidence.window}"
    )


def _materialized(version: int, epoch: int, reason: str, evidence: Evidence | None) -> dg.MaterializeResult[None]:
    metadata: dict[str, dg.MetadataValue] = {
        "model_version": dg.MetadataValue.int(version),
        "epoch": dg.MetadataValue.int(epoch),
        "reason": dg.MetadataValue.text(reason),
    }
    if evidence is not None:
        metadata["window"] = dg.MetadataValue.text(evidence.window)
        metadata["auc"] = dg.MetadataValue.float(evidence.candidate.auc)
        metadata["evidence_sha256"] = dg.MetadataValue.text(evidence.sha256)
    return dg.MaterializeResult(data_version=dg.DataVersion(f"{version}-{epoch}"), metadata=metadata)
