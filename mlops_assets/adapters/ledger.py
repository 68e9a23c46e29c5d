"""The ledger: who moved production, when, why, on which evidence. Append-only; it decides what production is.

A promotion is two records: the intent, whose `epoch` is unique and grows by one, and the outcome, done or void. An
intent without an outcome is one that a crash left, or that is under way. A hold keeps the loop from promoting until
someone lifts it. Acting on them belongs to `promotion`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    func,
    insert,
    select,
    true,
)

from mlops_assets.adapters.ledger_database import opened, wait_for_other_writers

_metadata = MetaData()
_intents = Table(
    "promotion_intents",
    _metadata,
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("model_version", Integer, nullable=False),
    Column("expected_epoch", Integer, nullable=True),
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("manifest_sha256", String(64), nullable=False),
    Column("evidence_sha256", String(64), nullable=False),
    Column("dagster_run_id", String(64), nullable=False),
    Column("at", String(32), nullable=False),
)
_outcomes = Table(
    "promotion_outcomes",
    _metadata,
    Column("epoch", Integer, ForeignKey(_intents.c.epoch), primary_key=True, autoincrement=False),
    Column("outcome", String(8), nullable=False),
    Column("at", String(32), nullable=False),
)


_holds = Table(
    "promotion_holds",
    _metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("is_on", Integer, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", String(32), nullable=False),
)
_evidence = Table(
    "promotion_evidence",
    _metadata,
    Column("sha256", String(64), primary_key=True),
    Column("record", Text, nullable=False),
    Column("at", String(32), nullable=False),
)


class ProductionMoved(Exception):
    """Production is not what the promotion expected to replace; nothing was written."""


class PromotionHeld(Exception):
    """Someone has put promotions on hold; nothing was written."""


@dataclass(frozen=True)
class Hold:
    """Who keeps the loop from promoting, why, and since when."""

    actor: str
    reason: str
    at: str

    def __str__(self) -> str:
        """In a sentence, with what to do."""
        return f"promotions are on hold since {self.at} by {self.actor}: {self.reason}; `mlops hold off` lifts it"


@dataclass(frozen=True)
class Request:
    """What is asked for: make a version production, in place of the one that is expected there."""

    model_version: int
    expected_epoch: int | None
    """Epoch of the production model that the evidence was gathered against; None for the first."""
    actor: str
    reason: str
    manifest_sha256: str
    evidence_sha256: str
    dagster_run_id: str


@dataclass(frozen=True)
class Promotion(Request):
    """A request that the ledger has taken, with its number and its time."""

    epoch: int
    at: str


class Ledger:
    """The ledger in a SQL database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = opened(url, _metadata)

    def production(self) -> Promotion | None:
        """The promotion that made production what it is; None before the first."""
        with self._reading() as connection:
            return _production(connection)

    def epoch(self) -> int | None:
        """The epoch of production; None before the first."""
        production = self.production()
        return production.epoch if production else None

    def unfinished(self) -> list[Promotion]:
        """Intents without an outcome, oldest first."""
        with self._reading() as connection:
            return _unfinished(connection)

    def history(self) -> list[tuple[Promotion, str]]:
        """Every promotion with its outcome (done, void, or open), newest first."""
        with self._reading() as connection:
            rows = connection.execute(
                select(_intents, func.coalesce(_outcomes.c.outcome, "open").label("outcome"))
                .outerjoin(_outcomes)
                .order_by(_intents.c.epoch.desc())
            )
            return [
                (Promotion(**{key: value for key, value in row.items() if key != "outcome"}), row["outcome"])
                for row in rows.mappings()
            ]

    def production_at(self, when: datetime) -> tuple[Promotion, str] | None:
        """What was production at a time, which has a time zone, and since when; None where nothing was yet.

        Since its outcome was written: after a crash in between, the service may have answered with it before.
        """
        at = when.astimezone(UTC).isoformat(timespec="seconds")
        with self._reading() as connection:
            promotion = _production(connection, at=at)
            if promotion is None:
                return None
            since = connection.execute(select(_outcomes.c.at).where(_outcomes.c.epoch == promotion.epoch)).scalar_one()
            return promotion, since

    def hold(self) -> Hold | None:
        """What keeps the loop from promoting; None where nothing does."""
        with self._reading() as connection:
            return _hold(connection)

    def set_hold(self, *, is_on: bool, actor: str, reason: str) -> None:
        """Puts promotions on hold, or lifts the hold."""
        with self._engine.begin() as connection:
            wait_for_other_writers(connection)
            _write_hold(connection, is_on=is_on, actor=actor, reason=reason)

    def keep_evidence(self, sha256: str, record: str) -> None:
        """Keeps what the gate saw of a candidate, as JSON; a record that is kept already stays as it is."""
        with self._engine.begin() as connection:
            wait_for_other_writers(connection)
            if connection.execute(select(_evidence.c.sha256).where(_evidence.c.sha256 == sha256)).first() is None:
                connection.execute(insert(_evidence).values(sha256=sha256, record=record, at=_now()))

    def evidence(self, sha256: str) -> str | None:
        """A record that was kept, as JSON; None where there is none of this hash."""
        with self._reading() as connection:
            return connection.execute(select(_evidence.c.record).where(_evidence.c.sha256 == sha256)).scalar()

    def intend(self, request: Request, *, rolls_back: bool = False) -> Promotion:
        """Takes a request under the next epoch, if production is what it expects.

        Args:
            request: What is asked for.
            rolls_back: Whether a person goes back to an older version: that asks for no hold, and puts one, in the same
                transaction, for the loop would else promote the next candidate over it.

        Raises:
            ProductionMoved: it is not, or another promotion is open.
            PromotionHeld: promotions are on hold.
        """
        with self._engine.begin() as connection:
            wait_for_other_writers(connection)
            last = connection.execute(select(func.coalesce(func.max(_intents.c.epoch), 0))).scalar_one()
            if unfinished := _unfinished(connection):
                raise ProductionMoved(f"the promotion of epoch {unfinished[0].epoch} is not finished")
            now = _production(connection)
            epoch_now = now.epoch if now else None
            if epoch_now != request.expected_epoch:
                raise ProductionMoved(
                    f"version {request.model_version} was to replace production of epoch "
                    f"{request.expected_epoch or 'none'}, but production is of epoch {epoch_now or 'none'}"
                )
            promotion = Promotion(**vars(request), epoch=last + 1, at=_now())
            connection.execute(insert(_intents).values(**vars(promotion)))
            if rolls_back:
                _write_hold(connection, is_on=True, actor=request.actor, reason=f"rolled back: {request.reason}")
            elif (hold := _hold(connection)) is not None:
                raise PromotionHeld(str(hold))
        return promotion

    def conclude(self, epoch: int, outcome: Literal["done", "void"]) -> None:
        """Writes a promotion's outcome; one that has an outcome keeps it."""
        with self._engine.begin() as connection:
            wait_for_other_writers(connection)
            known = connection.execute(select(_outcomes.c.outcome).where(_outcomes.c.epoch == epoch)).first()
            if known is None:
                connection.execute(insert(_outcomes).values(epoch=epoch, outcome=outcome, at=_now()))

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._engine.connect() as connection:
            yield connection


def _unfinished(connection: Connection) -> list[Promotion]:
    rows = connection.execute(
        select(_intents).outerjoin(_outcomes).where(_outcomes.c.epoch.is_(None)).order_by(_intents.c.epoch)
    )
    return [Promotion(**row) for row in rows.mappings()]


def _hold(connection: Connection) -> Hold | None:
    newest = connection.execute(select(_holds).order_by(_holds.c.number.desc()).limit(1)).mappings().first()
    if newest is None or not newest["is_on"]:
        return None
    return Hold(newest["actor"], newest["reason"], newest["at"])


def _write_hold(connection: Connection, *, is_on: bool, actor: str, reason: str) -> None:
    connection.execute(insert(_holds).values(is_on=int(is_on), actor=actor, reason=reason, at=_now()))


def _production(connection: Connection, *, at: str | None = None) -> Promotion | None:
    """What is production, or was at a time; times of one zone and one format compare as texts."""
    row = (
        connection.execute(
            select(_intents)
            .join(_outcomes)
            .where(_outcomes.c.outcome == "done", true() if at is None else _outcomes.c.at <= at)
            .order_by(_intents.c.epoch.desc())
            .limit(1)
        )
        .mappings()
        .first()
    )
    return Promotion(**row) if row else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
