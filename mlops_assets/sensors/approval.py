"""`approval_sensor`: goes on where a person answered a request for approval, in the ledger or in MLflow's page.

It promotes nothing itself: it starts the run of `production_model`, which verifies the approval with all else.
"""

from datetime import UTC, datetime

import dagster as dg

from mlops_assets.adapters.approvals import LONGEST_NAME, LOOP, RUN_TAG, AlreadyAnswered, Approvals
from mlops_assets.adapters.ledger import Ledger
from mlops_assets.adapters.model_registry import (
    APPROVAL,
    APPROVAL_BY,
    APPROVAL_REASON,
    EVIDENCE_TAG,
    ModelRegistry,
    registry_of,
)
from mlops_assets.adapters.runs import UNFINISHED
from mlops_assets.config import Settings
from mlops_assets.domain.approval import Answer, ApprovalAnswer, ApprovalRequest, stale, void
from mlops_assets.jobs import promotion_job
from mlops_assets.sensors.watching import watch

ANSWERS: dict[str, Answer] = {"approved": "approved", "rejected": "rejected"}
"""What the tag may say; anything else is no answer."""
TRIES = 3
"""So many runs may fail to promote what was approved, each retried by Dagster itself: a store may be down meanwhile."""
EVERY_SECONDS = 1.0
"""A look asks MLflow while a request is open."""


def approval_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor on the requests for approval."""
    registry = registry_of(settings)

    @dg.sensor(
        name="approval_sensor",
        job=promotion_job,
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Promotes what a person approved, and voids requests that hold no more.",
    )
    def sense(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        settings.state.mkdir(parents=True, exist_ok=True)
        approvals, ledger = Approvals(settings.ledger_url), Ledger(settings.ledger_url)

        def look() -> tuple[ApprovalRequest, ApprovalAnswer] | None:
            request, answer = approvals.newest() or (None, None)
            if request is None:
                return None
            if answer is None:
                answer = _answered(approvals, ledger, registry, request)
            is_new = answer is not None and context.cursor != _state(request, answer)
            return (request, answer) if answer is not None and is_new else None

        found = watch(look, seconds=settings.watch_seconds, every=EVERY_SECONDS)
        if found is None:
            return dg.SkipReason("no request for approval was answered")
        request, answer = found
        said = f"version {request.model_version}: {answer.answer} by {answer.actor}: {answer.reason}"
        registry.note_answer(request.model_version, answer)
        if answer.answer != "approved":
            context.log.info(said)
            return dg.SensorResult(skip_reason=dg.SkipReason(said), cursor=_state(request, answer))
        settled = _settled(ledger, request, answer)
        if settled is not None:
            return dg.SensorResult(skip_reason=dg.SkipReason(f"{said}; {settled}"), cursor=_state(request, answer))
        if (hold := ledger.hold()) is not None:
            return dg.SkipReason(f"{said}; {hold}")
        runs = context.instance.get_runs(dg.RunsFilter(tags={RUN_TAG: str(request.number)}))
        if any(run.status in UNFINISHED for run in runs) or len(runs) >= TRIES:
            return dg.SkipReason(f"{said}; run {len(runs)} of {TRIES} at the most: {runs[0].status.value.lower()}")
        context.log.info(said)
        run_key = f"approval-{request.number}-{len(runs)}"
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=run_key, tags={RUN_TAG: str(request.number)})])

    return sense


def _settled(ledger: Ledger, request: ApprovalRequest, answer: ApprovalAnswer) -> str | None:
    """Why there is nothing more to do for what was approved; None where it is still to be promoted."""
    production = ledger.production()
    if production is not None and production.evidence_sha256 == request.evidence_sha256:
        return "it is production"
    epoch = production.epoch if production else None
    return stale(request, answer, production_epoch=epoch, evidence_sha256=request.evidence_sha256)


def _answered(
    approvals: Approvals, ledger: Ledger, registry: ModelRegistry, request: ApprovalRequest
) -> ApprovalAnswer | None:
    """The answer to an open request: void where it holds no more, else what its tag in MLflow says."""
    tags = registry.tags(request.model_version) if registry.holds(request.model_version) else {}
    fault = void(
        request, now=datetime.now(UTC), production_epoch=ledger.epoch(), evidence_sha256=tags.get(EVIDENCE_TAG)
    )
    said = ANSWERS.get(tags.get(APPROVAL, "").strip().lower())
    if fault is None and said is None:
        return None
    try:
        if fault is not None:
            approvals.answer(request.number, "void", actor=LOOP, reason=fault)
        elif said is not None:
            by = (tags.get(APPROVAL_BY) or "someone in MLflow")[:LONGEST_NAME]
            why = tags.get(APPROVAL_REASON) or f"the tag `{APPROVAL}` of the version"
            approvals.answer(request.number, said, actor=by, reason=why)
    except AlreadyAnswered:
        pass
    newest = approvals.newest(request.model_version)
    return newest[1] if newest else None


def _state(request: ApprovalRequest, answer: ApprovalAnswer) -> str:
    return f"{request.number} {answer.answer}"
