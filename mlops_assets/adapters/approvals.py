"""Requests for approval and their answers, in the ledger's database. Append-only: an answer is given once.

Here belongs keeping them. When a request is void belongs to `mlops_assets.domain.approval`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    insert,
    select,
)
from sqlalchemy.exc import IntegrityError

from mlops_assets.adapters.ledger_database import opened, wait_for_other_writers
from mlops_assets.domain.approval import Answer, ApprovalAnswer, ApprovalRequest

LOOP = "the loop"
"""Who answers for a request that is void."""

_metadata = MetaData()
_requests = Table(
    "approval_requests",
    _metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("model_version", Integer, nullable=False),
    Column("evidence_sha256", String(64), nullable=False),
    Column("expected_epoch", Integer, nullable=True),
    Column("comparison", Text, nullable=False),
    Column("asked_at", String(32), nullable=False),
    Column("expires_at", String(32), nullable=False),
)
_answers = Table(
    "approval_answers",
    _metadata,
    Column("number", Integer, ForeignKey(_requests.c.number), primary_key=True, autoincrement=False),
    Column("answer", String(8), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", String(32), nullable=False),
)


LONGEST_NAME = 100
"""Characters, of whoever asks or answers: with what the loop says beside it, it fits the ledger's column."""
RUN_TAG = "mlops/approval"
"""On the run that promotes what was approved: the number of the request."""


class AlreadyAnswered(Exception):
    """A request has its answer; nothing was written."""


class Approvals:
    """Requests and answers in a SQL database."""

    def __init__(self, url: str) -> None:
        self._engine = opened(url, _metadata)

    def ask(
        self,
        *,
        model_version: int,
        evidence_sha256: str,
        expected_epoch: int | None,
        comparison: str,
        expires_hours: float,
    ) -> ApprovalRequest:
        """Asks for a version; a request of before that is still open is void, for a person looks at one at a time.

        Asked for the same again, the open request is the answer.
        """
        now = _now()
        with self._engine.begin() as connection:
            wait_for_other_writers(connection)
            for pending in _open(connection):
                same = (pending.model_version, pending.evidence_sha256, pending.expected_epoch)
                if same == (model_version, evidence_sha256, expected_epoch) and now < pending.expires_at:
                    return pending
                _write(connection, pending.number, "void", LOOP, f"version {model_version} was asked for after it")
            asked = {
                "model_version": model_version,
                "evidence_sha256": evidence_sha256,
                "expected_epoch": expected_epoch,
                "comparison": comparison,
                "asked_at": now.isoformat(timespec="seconds"),
                "expires_at": (now + timedelta(hours=expires_hours)).isoformat(timespec="seconds"),
            }
            result = connection.execute(insert(_requests).values(**asked))
            key = result.inserted_primary_key
            return _request({**asked, "number": key[0] if key else 0})

    def answer(self, number: int, answer: Answer, *, actor: str, reason: str) -> None:
        """Answers a request.

        Raises:
            AlreadyAnswered: it has its answer.
        """
        try:
            with self._engine.begin() as connection:
                _write(connection, number, answer, actor, reason)
        except IntegrityError as error:
            raise AlreadyAnswered(f"request {number} is answered already") from error

    def pending(self) -> ApprovalRequest | None:
        """The request that waits for its answer."""
        with self._engine.connect() as connection:
            return next(iter(_open(connection)), None)

    def request(self, number: int) -> ApprovalRequest | None:
        """A request by its number."""
        with self._engine.connect() as connection:
            row = connection.execute(select(_requests).where(_requests.c.number == number)).mappings().first()
        return _request(row) if row else None

    def newest(self, model_version: int | None = None) -> tuple[ApprovalRequest, ApprovalAnswer | None] | None:
        """The last request, or the last for a version, with its answer, if it has one."""
        asked = select(_requests, _answers.c.answer, _answers.c.actor, _answers.c.reason, _answers.c.at).outerjoin(
            _answers
        )
        if model_version is not None:
            asked = asked.where(_requests.c.model_version == model_version)
        with self._engine.connect() as connection:
            row = connection.execute(asked.order_by(_requests.c.number.desc()).limit(1)).mappings().first()
        if row is None:
            return None
        answered = None
        if row["answer"] is not None:
            answered = ApprovalAnswer(row["answer"], row["actor"], row["reason"], datetime.fromisoformat(row["at"]))
        return _request(row), answered


def _open(connection: Connection) -> list[ApprovalRequest]:
    rows = connection.execute(
        select(_requests).outerjoin(_answers).where(_answers.c.number.is_(None)).order_by(_requests.c.number.desc())
    )
    return [_request(row) for row in rows.mappings()]


def _write(connection: Connection, number: int, answer: Answer, actor: str, reason: str) -> None:
    at = _now().isoformat(timespec="seconds")
    connection.execute(insert(_answers).values(number=number, answer=answer, actor=actor, reason=reason, at=at))


def _request(row: Mapping[Any, Any]) -> ApprovalRequest:
    return ApprovalRequest(
        number=row["number"],
        model_version=row["model_version"],
        evidence_sha256=row["evidence_sha256"],
        expected_epoch=row["expected_epoch"],
        comparison=row["comparison"],
        asked_at=datetime.fromisoformat(row["asked_at"]),
        expires_at=datetime.fromisoformat(row["expires_at"]),
    )


def _now() -> datetime:
    return datetime.now(UTC)
