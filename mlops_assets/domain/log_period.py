"""Periods of the prediction log: which part of it a window is made of, and what that window is called.

All times are UTC. What a logged row must hold to be in the window belongs to `prediction_log`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

Length = Literal["day", "week", "month"]
DAY = timedelta(days=1)


class PeriodInvalid(ValueError):
    """No period can be made of what was asked for; the message says what is expected."""


@dataclass(frozen=True)
class Period:
    """From `since` on, up to `until` and without it."""

    since: datetime
    until: datetime

    def __str__(self) -> str:
        return f"from {self.since.isoformat()} until {self.until.isoformat()}"

    @property
    def name(self) -> str:
        """The name of its window: `2024-03`, `2024-03-05`, else both ends; names sort by when periods begin."""
        if _is_midnight(self.since) and self.until - self.since == DAY:
            return f"{self.since:%Y-%m-%d}"
        if _is_midnight(self.since) and self.since.day == 1 and self.until == _month_after(self.since):
            return f"{self.since:%Y-%m}"
        return f"{_stamp(self.since)}_{_stamp(self.until)}"


def last_whole(length: Length, *, now: datetime) -> Period:
    """The last day, week (from Monday) or month that is over."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if length == "day":
        return Period(midnight - DAY, midnight)
    if length == "week":
        monday = midnight - midnight.weekday() * DAY
        return Period(monday - 7 * DAY, monday)
    first = midnight.replace(day=1)
    return Period((first - DAY).replace(day=1), first)


def asked_period(since: str | None, until: str | None, *, length: Length, now: datetime) -> Period:
    """The period that someone asked for.

    Args:
        since: RFC 3339 or a date, UTC where it names no zone; the last whole period where neither is given.
        until: The same, not included; the end of the last whole period where only `since` is given.
        length: Of a whole period.
        now: The time.

    Raises:
        PeriodInvalid: it is none, or not over yet.
    """
    whole = last_whole(length, now=now)
    if since is None and until is not None:
        raise PeriodInvalid("`until` is given and `since` is not: say when the period begins")
    period = Period(
        _moment(since, "since") if since else whole.since, _moment(until, "until") if until else whole.until
    )
    if period.since >= period.until:
        raise PeriodInvalid(f"the period is {period}: it must end after it begins")
    if period.until > now:
        raise PeriodInvalid(
            f"the period ends at {period.until.isoformat()}, which is still to come: a window is of a time that is over"
        )
    return period


def _moment(text: str, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise PeriodInvalid(
            f"`{name}` is {text!r}: give a date (2024-03-05) or a time (2024-03-05T12:00:00Z)"
        ) from error


def _month_after(first: datetime) -> datetime:
    return (first + 31 * DAY).replace(day=1)


def _is_midnight(moment: datetime) -> bool:
    return moment == moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}" if _is_midnight(moment) else f"{moment:%Y-%m-%dT%H%M%S}"
