"""`production_model`: the version that serves, promoted only on evidence that it verifies itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from mlops_assets.adapters.approvals import RUN_TAG, Approvals
from mlops_assets.adapters.ledger import ProductionMoved, PromotionHeld, Request
from mlops_assets.adapters.model_registry import EvidenceMissing, ModelRegistry
from mlops_assets.adapters.promotion import Promoter
from mlops_assets.checks.candidate import GATE
from mlops_assets.domain.approval import ApprovalAnswer, stale, waiting
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.evidence import Evidence
from mlops_assets.domain.gate import Standing, candidate_beats_production, refusals
from serving.release import ReleaseInvalid

ACTOR = "dagster:production_model"
LOOKED_BACK = 100
"""Evaluations of a check among which that of a candidate is looked for: another may have been judged since."""


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
    dataset: dg.ResourceParam[Dataset],
    registry: dg.ResourceParam[ModelRegistry],
    promoter: dg.ResourceParam[Promoter],
    approvals: dg.ResourceParam[Approvals],
) -> Iterator[dg.MaterializeResult[None]]:
    """The run's candidate becomes production: ledger, release, alias, pointer, in this order and exactly once.

    It asks the gate again with the stored evidence, so no selection of assets or checks walks around it. After a
    refusal in the same run it is skipped. Asked for by hand it takes the newest candidate, and fails with what is
    missing where its evidence does not allow a promotion.
    """
    for said in promoter.put_right():
        context.log.warning(said)
    # The run's own candidate, and not the newest: another window's may have been registered meanwhile.
    own = registry.candidate_of({context.run.run_id, context.run.parent_run_id, context.run.root_run_id} - {None})
    version = own or _approved_version(context.run, approvals) or registry.candidate_version()
    if version is None:
        raise dg.Failure("there is no candidate: materialize candidate_model first", allow_retries=False)
    production = promoter.ledger.production()
    epoch = production.epoch if production else None
    if production is not None and production.model_version == version:
        context.log.info(f"version {version} is production already")
        yield _materialized(version, production.epoch, production.reason, None)
        return
    try:
        evidence = registry.evidence(version)
    except EvidenceMissing as error:
        raise dg.Failure(f"version {version} is not promoted: {error}", allow_retries=False) from error
    standing = Standing(production.epoch, production.model_version, production.manifest_sha256) if production else None
    found = refusals(evidence, production=standing)
    if evidence.gate != dataset.gate:
        found.append("stale: it was judged by other limits than the contract's `[gate]` has now")
    if promoter.ledger.evidence(evidence.sha256) != evidence.to_json():
        found.append("the ledger does not know its evidence")
    found += _failed_checks(context.instance, evidence)
    found += [str(hold)] if (hold := promoter.ledger.hold()) else []
    approval = None
    if not found and dataset.promotion.mode == "approval":
        approval = _approval(approvals, registry, evidence, dataset, epoch)
        found += [approval.lacking] if approval.lacking else []
    if found:
        refusal = f"version {version} is not promoted: {'; '.join(found)}"
        if own is None:
            raise dg.Failure(refusal, allow_retries=False)
        context.log.info(refusal)
        return
    answer = approval.answer if approval else None
    reason = _reason(evidence, answer)
    try:
        promotion = promoter.promote(
            Request(
                model_version=version,
                expected_epoch=evidence.production.epoch if evidence.production else None,
                actor=f"{ACTOR}, approved by {answer.actor}" if answer else ACTOR,
                reason=reason,
                manifest_sha256=evidence.manifest_sha256,
                evidence_sha256=evidence.sha256,
                dagster_run_id=context.run.run_id,
            )
        )
    except (ProductionMoved, PromotionHeld, ReleaseInvalid) as error:
        raise dg.Failure(f"version {version} is not promoted: {error}", allow_retries=False) from error
    yield _materialized(version, promotion.epoch, reason, evidence, answer)


@dataclass(frozen=True)
class _Approval:
    """What a person said of a candidate, or why that is not enough."""

    lacking: str | None
    answer: ApprovalAnswer | None = None


def _approved_version(run: dg.DagsterRun, approvals: Approvals) -> int | None:
    """The version whose approval started the run: the newest candidate may be another, which nobody approved."""
    number = run.tags.get(RUN_TAG)
    request = approvals.request(int(number)) if number else None
    return request.model_version if request else None


def _approval(
    approvals: Approvals, registry: ModelRegistry, evidence: Evidence, dataset: Dataset, epoch: int | None
) -> _Approval:
    """The approval of this very evidence in place of this production; asks for one where nobody has answered."""
    version = evidence.candidate.version
    request, answer = approvals.newest(version) or (None, None)
    if (
        request is not None
        and answer is not None
        and answer.answer != "void"
        and stale(request, answer, production_epoch=epoch, evidence_sha256=evidence.sha256) is None
    ):
        rejected = f"{answer.actor} rejected it: {answer.reason}" if answer.answer == "rejected" else None
        return _Approval(rejected, answer)
    before = approvals.pending()
    if (first := _approved_first(approvals, version, epoch)) is not None:
        return _Approval(f"version {first} was approved, and is promoted first")
    expired = request is not None and datetime.now(UTC) >= request.expires_at
    if request is None or answer is not None or expired:
        # Before it is asked: what the tag said of an earlier request must not answer this one.
        registry.note_pending(version)
    asked = approvals.ask(
        model_version=version,
        evidence_sha256=evidence.sha256,
        expected_epoch=epoch,
        comparison=candidate_beats_production(evidence).said,
        expires_hours=dataset.promotion.expires_hours,
    )
    if before is not None and before.model_version != version:
        _, voided = approvals.newest(before.model_version) or (None, None)
        if voided is not None:
            registry.note_answer(before.model_version, voided)
    return _Approval(waiting(asked))


def _approved_first(approvals: Approvals, version: int, epoch: int | None) -> int | None:
    """Another version that a person has let through, in place of this production, and that is on its way."""
    request, answer = approvals.newest() or (None, None)
    if request is None or answer is None or answer.answer != "approved" or request.model_version == version:
        return None
    fault = stale(request, answer, production_epoch=epoch, evidence_sha256=request.evidence_sha256)
    return request.model_version if fault is None else None


def _failed_checks(instance: dg.DagsterInstance, evidence: Evidence) -> list[str]:
    """Checks of the gate that Dagster does not know as passed, at severity ERROR, on this very evidence."""
    found = []
    for spec in GATE:
        records = instance.event_log_storage.get_asset_check_execution_history(spec.key, limit=LOOKED_BACK)
        # One that was planned and never came has no verdict, and is no `AssetCheckEvaluation`.
        evaluations = [one.evaluation for one in records if isinstance(one.evaluation, dg.AssetCheckEvaluation)]
        own = dg.MetadataValue.text(evidence.sha256)
        evaluation = next((one for one in evaluations if one.metadata.get("evidence_sha256") == own), None)
        if not evaluations:
            found.append(f"the check {spec.name} never ran")
        elif evaluation is None:
            found.append(f"the check {spec.name} judged other evidence")
        elif not evaluation.passed:
            found.append(f"the check {spec.name} failed")
        elif evaluation.severity != dg.AssetCheckSeverity.ERROR:
            found.append(f"the check {spec.name} was downgraded to {evaluation.severity.value}")
    return found


def _reason(evidence: Evidence, answer: ApprovalAnswer | None) -> str:
    approved = f"; approved: {answer.reason}" if answer else ""
    if evidence.production is None:
        return f"first model, AUC {evidence.candidate.auc:.4f} on {evidence.window}{approved}"
    said = candidate_beats_production(evidence).said
    return f"{said}, of version {evidence.production.version}, on {evidence.window}{approved}"


def _materialized(
    version: int, epoch: int, reason: str, evidence: Evidence | None, answer: ApprovalAnswer | None = None
) -> dg.MaterializeResult[None]:
    metadata: dict[str, dg.MetadataValue] = {
        "model_version": dg.MetadataValue.int(version),
        "epoch": dg.MetadataValue.int(epoch),
        "reason": dg.MetadataValue.text(reason),
    }
    if evidence is not None:
        metadata["window"] = dg.MetadataValue.text(evidence.window)
        metadata["auc"] = dg.MetadataValue.float(evidence.candidate.auc)
        metadata["evidence_sha256"] = dg.MetadataValue.text(evidence.sha256)
    if answer is not None:
        metadata["approved_by"] = dg.MetadataValue.text(answer.actor)
        metadata["approved_at"] = dg.MetadataValue.text(answer.at.isoformat(timespec="seconds"))
        metadata["approved_because"] = dg.MetadataValue.text(answer.reason)
    return dg.MaterializeResult(data_version=dg.DataVersion(f"{version}-{epoch}"), metadata=metadata)
