from pathlib import Path
from threading import Barrier, Thread

import pytest

from mlops_assets.adapters.approvals import LOOP, AlreadyAnswered, Approvals
from mlops_assets.domain.approval import Answer, ApprovalRequest


@pytest.fixture
def approvals(tmp_path: Path) -> Approvals:
    """No request yet."""
    return Approvals(f"sqlite:///{tmp_path / 'ledger.db'}")


def ask(approvals: Approvals, version: int = 2, *, epoch: int | None = 1, hours: float = 1) -> ApprovalRequest:
    """Asks for a version, by the evidence of that number."""
    return approvals.ask(
        model_version=version,
        evidence_sha256=str(version) * 64,
        expected_epoch=epoch,
        comparison="better",
        expires_hours=hours,
    )


def test_before_the_first_there_is_none(approvals: Approvals) -> None:
    """Nothing is pending, and nothing was answered."""
    assert approvals.pending() is None
    assert approvals.newest() is None
    assert approvals.newest(2) is None


def test_a_request_reads_back_as_it_was_asked(approvals: Approvals, tmp_path: Path) -> None:
    """After a restart, with its times."""
    asked = ask(approvals, hours=72)
    read = Approvals(f"sqlite:///{tmp_path / 'ledger.db'}")
    assert read.pending() == asked
    assert read.newest(2) == (asked, None)
    assert (asked.expires_at - asked.asked_at).total_seconds() == pytest.approx(72 * 3600, abs=1)


@pytest.mark.parametrize("answer", ["approved", "rejected", "void"])
def test_an_answer_is_given_once(approvals: Approvals, answer: Answer) -> None:
    """Two persons at once, or a script that runs twice: the first counts, and the second is told."""
    asked = ask(approvals)
    approvals.answer(asked.number, answer, actor="ann", reason="because")
    for other in ("approved", "rejected"):
        with pytest.raises(AlreadyAnswered):
            approvals.answer(asked.number, other, actor="bob", reason="no")
    request, given = approvals.newest(2) or (None, None)
    assert request == asked
    assert given is not None
    assert (given.answer, given.actor, given.reason) == (answer, "ann", "because")
    assert approvals.pending() is None


def test_the_same_asked_again_is_the_open_request(approvals: Approvals) -> None:
    """A run that is retried must not void what a person is looking at."""
    assert ask(approvals) == ask(approvals)


@pytest.mark.parametrize(("version", "epoch"), [(3, 1), (2, 2)])
def test_another_request_voids_the_open_one(approvals: Approvals, version: int, epoch: int) -> None:
    """A newer candidate, or another production: one decision at a time, on what is so now."""
    first = ask(approvals)
    second = ask(approvals, version, epoch=epoch)
    assert second.number > first.number
    assert approvals.pending() == second
    with pytest.raises(AlreadyAnswered):
        approvals.answer(first.number, "approved", actor="ann", reason="late")


def test_an_open_request_that_expired_is_asked_anew(approvals: Approvals) -> None:
    """The person may have been away."""
    first = ask(approvals, hours=1e-6)
    second = ask(approvals)
    assert second.number > first.number
    assert approvals.pending() == second


def test_who_voided_a_request_is_the_loop(approvals: Approvals) -> None:
    """And why."""
    ask(approvals)
    ask(approvals, 3)
    _, given = approvals.newest(2) or (None, None)
    assert given is not None
    assert (given.answer, given.actor, given.reason) == ("void", LOOP, "version 3 was asked for after it")


def test_of_two_answers_at_once_one_counts(approvals: Approvals, tmp_path: Path) -> None:
    """On the command line and in MLflow's page."""
    asked, together, told = ask(approvals), Barrier(2), []

    def give(answer: Answer) -> None:
        own = Approvals(f"sqlite:///{tmp_path / 'ledger.db'}")
        together.wait()
        try:
            own.answer(asked.number, answer, actor=answer, reason="-")
        except AlreadyAnswered:
            told.append(answer)

    threads = [Thread(target=give, args=(answer,)) for answer in ("approved", "rejected")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 1
    _, given = approvals.newest() or (None, None)
    assert given is not None
    assert given.answer not in told
