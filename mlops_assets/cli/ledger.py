"""`mlops ledger`, `served-at`, `rollback` and `hold`: what was production when and why, going back, and pausing.

Here belongs asking and showing. How production moves belongs to `mlops_assets.adapters.promotion`.
"""

import getpass
import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from mlops_assets.adapters.approvals import LONGEST_NAME
from mlops_assets.adapters.ledger import Ledger, ProductionMoved
from mlops_assets.adapters.model_registry import registry_of
from mlops_assets.adapters.promotion import BY_HAND, NothingToRollBackTo, Promoter
from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.state import demand_state
from mlops_assets.config import Settings
from serving.release import ReleaseInvalid


def read_ledger(settings: Settings) -> dict[str, Any]:
    """Everything that `mlops ledger --json` prints: `promotions` with their evidence, newest first, and the `hold`."""
    ledger = _ledger(settings)
    hold = ledger.hold()
    return {
        "promotions": [
            {**asdict(promotion), "outcome": outcome, "evidence": _evidence(ledger, promotion.evidence_sha256)}
            for promotion, outcome in ledger.history()
        ],
        "hold": asdict(hold) if hold else None,
    }


def show_ledger(read: dict[str, Any], console: Console) -> None:
    """Prints the promotions and the hold."""
    for promotion in read["promotions"]:
        console.print(
            f"epoch {promotion['epoch']}: version {promotion['model_version']}, {_what(promotion)}, "
            f"{promotion['at']}, by {promotion['actor']}, evidence {promotion['evidence_sha256'][:12]}\n"
            f"    {promotion['reason']}",
            soft_wrap=True,
        )
    if not read["promotions"]:
        console.print("nothing was promoted yet")
    if (hold := read["hold"]) is not None:
        console.print(f"on hold since {hold['at']} by {hold['actor']}: {hold['reason']}", soft_wrap=True)


def _what(promotion: dict[str, Any]) -> str:
    return f"rolled back, {promotion['outcome']}" if promotion["dagster_run_id"] == BY_HAND else promotion["outcome"]


def served_at(settings: Settings, timestamp: str) -> str:
    """What was production at a time, in a sentence; a time without a zone is UTC.

    Raises:
        UserError: the timestamp is none.
    """
    try:
        when = datetime.fromisoformat(timestamp)
    except ValueError as error:
        raise UserError(f"{timestamp!r} is no time: write it as 2026-03-01T12:00:00+01:00") from error
    when = when.replace(tzinfo=when.tzinfo or UTC)
    at = when.isoformat(timespec="seconds")
    if when > datetime.now(UTC):
        raise UserError(f"{at} is yet to come")
    found = _ledger(settings).production_at(when)
    if found is None:
        return f"at {at} nothing was in production"
    promotion, since = found
    return (
        f"at {at} version {promotion.model_version} was in production, epoch {promotion.epoch}, since {since}, "
        f"by {promotion.actor}: {promotion.reason}"
    )


def roll_back(settings: Settings, version: int | None, *, reason: str, by: str | None) -> str:
    """Makes an earlier version production again and puts promotions on hold; says so.

    Raises:
        UserError: there is no such version, or its release is gone.
    """
    registry = registry_of(settings)
    promoter = Promoter(_ledger(settings), registry, ReleaseStore(settings.releases))
    try:
        promotion = promoter.roll_back(version, actor=asking(by), reason=demand_reason(reason))
    except (NothingToRollBackTo, ReleaseInvalid, ProductionMoved) as error:
        raise UserError(str(error)) from error
    return (
        f"version {promotion.model_version} is production again, epoch {promotion.epoch}; promotions are on hold until "
        "`mlops hold off`"
    )


def set_hold(settings: Settings, *, is_on: bool, reason: str, by: str | None) -> str:
    """Puts promotions on hold, or lifts the hold; says so.

    Raises:
        UserError: there is no hold to lift.
    """
    ledger = _ledger(settings)
    if not is_on and ledger.hold() is None:
        raise UserError("promotions are not on hold")
    ledger.set_hold(is_on=is_on, actor=asking(by), reason=demand_reason(reason))
    if not is_on:
        return "the loop promotes again"
    begun = [f"the promotion of version {one.model_version} had begun, and is finished" for one in ledger.unfinished()]
    return "; ".join([str(ledger.hold()), *begun])


def asking(by: str | None) -> str:
    """Who asks: the name that was given, else the user that runs the command.

    Raises:
        UserError: the name does not fit the ledger.
    """
    name = (by or getpass.getuser()).strip()
    if not 0 < len(name) <= LONGEST_NAME:
        raise UserError(f"--by is a name of up to {LONGEST_NAME} characters")
    return name


def demand_reason(reason: str) -> str:
    """The reason, which whoever reads the ledger needs.

    Raises:
        UserError: it is empty.
    """
    if not reason.strip():
        raise UserError("--reason is empty: say why, it stands in the ledger")
    return reason.strip()


def _evidence(ledger: Ledger, sha256: str) -> Any:  # noqa: ANN401 -- JSON
    record = ledger.evidence(sha256)
    return json.loads(record) if record else None


def _ledger(settings: Settings) -> Ledger:
    demand_state(settings)
    return Ledger(settings.ledger_url)
