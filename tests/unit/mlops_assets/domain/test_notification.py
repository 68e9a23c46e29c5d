"""What becomes of which event; a wrong urgency would wake people, or let them sleep."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mlops_assets.domain.approval import ApprovalRequest
from mlops_assets.domain.notification import (
    Kind,
    Notification,
    Severity,
    approval_wanted,
    as_text,
    drift_found,
    not_comparable,
    promoted,
    quarantined,
    refused,
)
from tests.unit.mlops_assets.small_evidence import small_evidence

REQUEST = ApprovalRequest(
    number=3,
    model_version=7,
    evidence_sha256="e" * 64,
    expected_epoch=4,
    comparison="AUC 0.80 exceeds 0.70",
    asked_at=datetime(2026, 1, 2, 3, tzinfo=UTC),
    expires_at=datetime(2026, 1, 5, 3, tzinfo=UTC),
)


def drift(share: float | None, threshold: float | None = 0.3) -> Notification | None:
    """A report with six drifted columns."""
    return drift_found(
        "2024-02",
        share=share,
        threshold=threshold,
        columns=["price", "age", "shop", "day", "visits", "hour"],
        decision="over budget",
        reason="2 of 2 trainings",
    )


def rolled_back(*, by_hand: bool, instead_of: int | None) -> Notification:
    """Version 7 as production."""
    return promoted(7, epoch=5, instead_of=instead_of, actor="ann", reason="AUC fell", by_hand=by_hand)


@pytest.mark.parametrize(
    ("told", "kind", "severity", "title", "numbers"),
    [
        (
            quarantined("2024-02", "30 of 40 rows break the contract"),
            "window quarantined",
            "warning",
            "window 2024-02 is in quarantine",
            ["30 of 40 rows", "mlops quarantine show 2024-02"],
        ),
        (
            drift(0.5),
            "drift found",
            "info",
            "window 2024-02 drifted",
            [
                "0.5000 exceeds the threshold 0.3000",
                "price, age, shop, day, visits, ...",
                "over budget: 2 of 2 trainings",
            ],
        ),
        (
            refused(small_evidence(candidate_auc=0.6)),
            "candidate refused",
            "info",
            "candidate 2 of window 2013-02 is refused",
            ["0.6", "Production stays as it is."],
        ),
        (
            not_comparable("2024-02", "too few labels"),
            "candidate refused",
            "info",
            "the candidate of window 2024-02 could not be judged",
            ["too few labels"],
        ),
        (
            rolled_back(by_hand=False, instead_of=6),
            "promotion",
            "info",
            "promoted version 7",
            ["epoch 5, in place of version 6, by ann", "AUC fell"],
        ),
        (
            rolled_back(by_hand=True, instead_of=None),
            "promotion",
            "info",
            "rolled back to version 7",
            ["in place of nothing"],
        ),
        (
            approval_wanted(REQUEST),
            "approval wanted",
            "warning",
            "version 7 waits for approval",
            ["AUC 0.80 exceeds 0.70", "2026-01-05T03:00:00+00:00", "mlops approve 7 --reason"],
        ),
    ],
)
def test_what_becomes_of_which_event(
    told: Notification | None, kind: Kind, severity: Severity, title: str, numbers: list[str]
) -> None:
    assert told is not None
    assert (told.kind, told.severity, told.title) == (kind, severity, title)
    assert [number for number in numbers if number not in told.body] == []
    assert told.wakes is False, "none of these is an alarm: a refusal least of all"


@pytest.mark.parametrize(("share", "threshold"), [(0.3, 0.3), (0.1, 0.3), (None, 0.3), (0.5, None)])
def test_no_drift_is_not_told(share: float | None, threshold: float | None) -> None:
    """The threshold itself is not exceeded; a window that could not be measured has not drifted."""
    assert drift(share, threshold) is None


def test_a_candidate_that_the_gate_lets_through_is_not_refused() -> None:
    """What becomes of it, a promotion or a request, is told as that."""
    assert refused(small_evidence(candidate_auc=0.8)) is None


def test_the_text_says_which_loop_when_and_where_to_look() -> None:
    """One channel may hear several loops, and hours late."""
    told = replace(quarantined("2024-02", "broken"), severity="alarm")
    title, body = as_text(told, loop="flights", at=0, pages="http://dagster.example/", runbooks="https://x.example/r")
    assert title == "[alarm] flights: window 2024-02 is in quarantine"
    assert body.splitlines()[-3:] == [
        "At 1970-01-01T00:00:00+00:00",
        "Dagster: http://dagster.example/assets/data_window?partition=2024-02",
        "Runbook: https://x.example/r#window-quarantined",
    ]
