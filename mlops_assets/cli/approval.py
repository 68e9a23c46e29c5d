"""`mlops approve` and `mlops reject`: a person's answer to the request for a candidate.

Here belongs asking and answering; the loop goes on from there (`mlops_assets.sensors.approval`).
"""

from datetime import UTC, datetime
from typing import Literal

from mlops_assets.adapters.approvals import LOOP, AlreadyAnswered, Approvals
from mlops_assets.adapters.ledger import Ledger
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.ledger import asking, demand_reason
from mlops_assets.cli.state import demand_state
from mlops_assets.config import Settings
from mlops_assets.domain.approval import void


def answer(
    settings: Settings, version: int, said: Literal["approved", "rejected"], *, reason: str, by: str | None
) -> str:
    """Answers the request for a version; says what follows.

    Raises:
        UserError: nobody asks for it, or it is answered already, or it holds no more.
    """
    demand_state(settings)
    actor, reason = asking(by), demand_reason(reason)
    approvals = Approvals(settings.ledger_url)
    request, given = approvals.newest(version) or (None, None)
    if request is None:
        pending = approvals.pending()
        waits = f"version {pending.model_version} waits for approval" if pending else "no version waits for approval"
        raise UserError(f"nobody asks for version {version}: {waits}")
    if given is not None:
        raise UserError(
            f"version {version} is answered already: {given.answer} by {given.actor} at "
            f"{given.at.isoformat(timespec='seconds')}: {given.reason}"
            + ("; materializing production_model asks again" if given.answer == "void" else "")
        )
    # The evidence in MLflow is verified by the promotion; asking MLflow here would take seconds.
    fault = void(
        request,
        now=datetime.now(UTC),
        production_epoch=Ledger(settings.ledger_url).epoch(),
        evidence_sha256=request.evidence_sha256,
    )
    try:
        if fault is not None:
            approvals.answer(request.number, "void", actor=LOOP, reason=fault)
            raise UserError(f"the request for version {version} holds no more: {fault}")
        approvals.answer(request.number, said, actor=actor, reason=reason)
    except AlreadyAnswered as error:
        raise UserError(f"version {version} was answered by someone else just now: see `mlops status`") from error
    if said == "rejected":
        return f"version {version} is rejected; production stays as it is"
    return f"version {version} is approved, and the loop promotes it: {request.comparison}"
