from datetime import UTC, datetime, timedelta

import pytest

from mlops_assets.domain.approval import ApprovalRequest, void, waiting

ASKED = datetime(2026, 3, 1, 12, tzinfo=UTC)
REQUEST = ApprovalRequest(
    number=1,
    model_version=3,
    evidence_sha256="a" * 64,
    expected_epoch=2,
    comparison="better",
    asked_at=ASKED,
    expires_at=ASKED + timedelta(hours=72),
)


@pytest.mark.parametrize(
    ("hours", "epoch", "evidence", "said"),
    [
        (0, 2, "a" * 64, None),
        (71.99, 2, "a" * 64, None),
        (72, 2, "a" * 64, "nobody answered until 2026-03-04T12:00:00+00:00"),
        (1, 3, "a" * 64, "production moved: it was of epoch 2 and is of epoch 3"),
        (1, None, "a" * 64, "production moved: it was of epoch 2 and is of epoch none"),
        (1, 2, "b" * 64, "the evidence of version 3 is not the one that was asked about"),
        (1, 2, None, "the evidence of version 3 is not the one that was asked about"),
    ],
)
def test_a_request_holds_for_one_candidate_in_place_of_one_production(
    hours: float, epoch: int | None, evidence: str | None, said: str | None
) -> None:
    """Whoever approves must know what goes out, and what it replaces."""
    now = ASKED + timedelta(hours=hours)
    assert void(REQUEST, now=now, production_epoch=epoch, evidence_sha256=evidence) == said


def test_an_open_request_says_what_to_do() -> None:
    """The line stands in the run's log, in `mlops status` and in `mlops explain`."""
    assert waiting(REQUEST) == (
        "version 3 waits for approval until 2026-03-04T12:00:00+00:00: `mlops approve 3 --reason ...`, or reject"
    )
