from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.domain.log_period import Length, Period, PeriodInvalid, asked_period, last_whole
from mlops_assets.domain.windows import window_name

NOW = datetime(2024, 3, 6, 1, 30, tzinfo=UTC)  # a Wednesday
LENGTHS: list[Length] = ["day", "week", "month"]
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("length", "since", "until", "name"),
    [
        ("day", "2024-03-05", "2024-03-06", "2024-03-05"),
        ("week", "2024-02-26", "2024-03-04", "2024-02-26_2024-03-04"),
        ("month", "2024-02-01", "2024-03-01", "2024-02"),
    ],
)
def test_the_last_whole_period_is_over_and_has_a_name(length: Length, since: str, until: str, name: str) -> None:
    """Prevents a window of half a day, which the next tick would have to replace."""
    period = last_whole(length, now=NOW)
    assert (f"{period.since:%Y-%m-%d}", f"{period.until:%Y-%m-%d}", period.name) == (since, until, name)
    assert asked_period(None, None, length=length, now=NOW) == period


@given(TIMES, st.sampled_from(LENGTHS))
def test_periods_follow_each_other_without_gap_and_their_names_sort_so(now: datetime, length: Length) -> None:
    """Prevents rows between two windows, and a newer window that is taken for a late one."""
    last = last_whole(length, now=now)
    before = last_whole(length, now=last.until - timedelta(microseconds=1))
    assert before.until == last.since < last.until <= now
    assert window_name(before.name) < window_name(last.name)


@given(TIMES, TIMES, st.timedeltas(timedelta(seconds=1), timedelta(days=400)))
def test_any_periods_name_can_name_a_window(one: datetime, other: datetime, length: timedelta) -> None:
    """Prevents a name that no landing takes; periods that begin on different days sort by these."""
    first, second = (Period(since, since + length) for since in (one, other))
    assert window_name(first.name)
    if one.date() < other.date() and (other - one) > timedelta(days=31):
        assert first.name < second.name


def test_a_time_without_a_zone_is_utc_and_another_zone_is_read_as_it_is() -> None:
    """Prevents a window that depends on where the command runs."""
    period = asked_period("2024-03-04", "2024-03-04T12:00:00+02:00", length="day", now=NOW)
    assert (period.since, period.until) == (
        datetime(2024, 3, 4, tzinfo=UTC),
        datetime(2024, 3, 4, 10, tzinfo=UTC),
    )
    assert period.name == "2024-03-04_2024-03-04T100000"
    assert asked_period("2024-03-01", None, length="day", now=NOW).until == datetime(2024, 3, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [
        ("yesterday", None, r"`since` is 'yesterday': give a date \(2024-03-05\)"),
        ("0001-01-01T00:00:00+14:00", None, "`since` is '0001-01-01T00:00:00"),
        ("2024-03-05", "2024-03-05", "must end after it begins"),
        ("2024-03-05", "2024-03-07", "still to come"),
        (None, "2024-03-05", "say when the period begins"),
    ],
)
def test_what_is_no_period_is_told(since: str | None, until: str | None, said: str) -> None:
    """Prevents a window of another period than the one that was meant."""
    with pytest.raises(PeriodInvalid, match=said):
        asked_period(since, until, length="day", now=NOW)
