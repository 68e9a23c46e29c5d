"""Notifications: what people are told of which event, how urgently, with its numbers and where to look.

What stands for a while and then ends, as a service that is down, belongs to `condition`. Following events belongs to
`mlops_assets.sensors.notification`, sending to `mlops_assets.adapters.notifier`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from mlops_assets.domain.approval import ApprovalRequest
from mlops_assets.domain.evidence import Evidence
from mlops_assets.domain.gate import candidate_beats_production, faults, verdict

Kind = Literal[
    "window quarantined",
    "drift found",
    "candidate refused",
    "promotion",
    "approval wanted",
    "service behind",
    "loop stuck",
]
Severity = Literal["info", "warning", "alarm", "over"]
"""To know; to act on some day soon; to act on now; an alarm has ended."""

NAMED_COLUMNS = 5
"""So many drifted columns are named, those that matter most."""


@dataclass(frozen=True)
class Notification:
    """What is told of one event."""

    kind: Kind
    severity: Severity
    title: str
    body: str
    page: str
    """Where it is to be seen, as a path of Dagster's pages."""

    @property
    def runbook(self) -> str:
        """The heading of `docs/runbooks.md` that says what to do, as an anchor."""
        return self.kind.replace(" ", "-")

    @property
    def wakes(self) -> bool:
        """Whether it is for those who want alarms alone; they are also told when one has ended."""
        return self.severity in ("alarm", "over")


def quarantined(window: str, fault: str) -> Notification:
    """A window as a whole is in quarantine: somebody must correct it, and nothing is trained on it meanwhile."""
    return Notification(
        "window quarantined",
        "warning",
        f"window {window} is in quarantine",
        f"{fault}\nNothing is measured or trained on it, and production stays as it is. "
        f"`mlops quarantine show {window}` shows the rows.",
        _asset_page("data_window", window),
    )


def drift_found(
    window: str, *, share: float | None, threshold: float | None, columns: Sequence[str], decision: str, reason: str
) -> Notification | None:
    """A window drifted from what production learned from; None where it did not, or could not be measured.

    Args:
        window: The window.
        share: Observed share of drifted columns; None where it was not measured.
        threshold: Which it must exceed.
        columns: Those that drifted, the most important first.
        decision: What the loop does about it.
        reason: Why.
    """
    if share is None or threshold is None or not share > threshold:
        return None
    named = ", ".join(columns[:NAMED_COLUMNS]) + (", ..." if len(columns) > NAMED_COLUMNS else "")
    return Notification(
        "drift found",
        "info",
        f"window {window} drifted",
        f"drift_share {share:.4f} exceeds the threshold {threshold:.4f}; drifted: {named or 'not said'}\n"
        f"Decision: {decision}: {reason}",
        _asset_page("drift_report", window),
    )


def refused(evidence: Evidence) -> Notification | None:
    """The gate refused a candidate: the loop works as it should, so nobody is alarmed; None where it let it through."""
    found = faults(evidence)
    if not found:
        return None
    version, window = evidence.candidate.version, evidence.window
    more = ", more rows may decide" if verdict(evidence) == "undecided" else ""
    told = [candidate_beats_production(evidence).said, *found]
    return Notification(
        "candidate refused",
        "info",
        f"candidate {version} of window {window} is refused{more}",
        "\n".join([*dict.fromkeys(told), "Production stays as it is."]),
        _asset_page("candidate_model", window),
    )


def not_comparable(window: str, fault: str) -> Notification:
    """A training ended without a candidate that could be compared, which refuses it too."""
    return Notification(
        "candidate refused",
        "info",
        f"the candidate of window {window} could not be judged",
        f"{fault}\nProduction stays as it is.",
        _asset_page("candidate_model", window),
    )


def promoted(
    version: int, *, epoch: int, instead_of: int | None, actor: str, reason: str, by_hand: bool
) -> Notification:
    """A version is production since a moment ago, by the loop or by a person who went back to it."""
    what = "rolled back to" if by_hand else "promoted"
    return Notification(
        "promotion",
        "info",
        f"{what} version {version}",
        f"epoch {epoch}, in place of {f'version {instead_of}' if instead_of else 'nothing'}, by {actor}\n{reason}",
        "/assets/production_model",
    )


def approval_wanted(request: ApprovalRequest) -> Notification:
    """A person must answer until a time, or the request is void."""
    version = request.model_version
    return Notification(
        "approval wanted",
        "warning",
        f"version {version} waits for approval",
        f"{request.comparison}\nUntil {request.expires_at.isoformat(timespec='seconds')}: "
        f"`mlops approve {version} --reason ...` or `mlops reject {version} --reason ...`",
        "/assets/production_model",
    )


def as_text(told: Notification, *, loop: str, at: float, pages: str, runbooks: str) -> tuple[str, str]:
    """Title and body as they are sent.

    Args:
        told: The notification.
        loop: The dataset's name: one channel may hear several loops.
        at: When it happened, in seconds since the epoch: it may be sent late.
        pages: Address of Dagster's pages.
        runbooks: Address of the runbooks' page.
    """
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    body = f"{told.body}\n\nAt {when}\nDagster: {pages.rstrip('/')}{told.page}\nRunbook: {runbooks}#{told.runbook}"
    return f"[{told.severity}] {loop}: {told.title}", body


def _asset_page(asset: str, window: str) -> str:
    return f"/assets/{asset}?partition={window}"
