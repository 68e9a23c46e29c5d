"""Prevents that one caller takes the room of all, and that many callers take the memory."""

from itertools import count

import pytest

from serving import rate
from serving.rate import Rates


def test_a_caller_may_ask_a_burst_and_then_at_the_rate(clock: list[float]) -> None:
    """Prevents that a limit lets more through than it says, or nothing ever again."""
    rates = Rates(2.0, burst=3)
    assert [rates.take("a") for _ in range(4)] == [True, True, True, False]
    assert rates.seconds_until("a") == pytest.approx(0.5)
    clock[0] += 0.5
    assert [rates.take("a"), rates.take("a")] == [True, False]
    clock[0] += 1000
    assert [rates.take("a") for _ in range(4)] == [True, True, True, False]


def test_callers_do_not_share_a_limit(clock: list[float]) -> None:
    """Prevents that one caller's haste is another's refusal."""
    del clock
    rates = Rates(1.0, burst=1)
    assert rates.take("a")
    assert rates.take("b")
    assert not rates.take("a")


def test_a_hundred_thousand_callers_are_not_all_kept() -> None:
    """Prevents that made-up identities fill the memory."""
    rates = Rates(1.0, burst=1)
    for number in range(100_000):
        rates.take(str(number))
    assert len(rates) == rate.MOST


def test_a_caller_that_asks_on_is_not_forgotten_for_its_limit(clock: list[float]) -> None:
    """Prevents that a flood of others gives a limited caller a full bucket."""
    del clock
    rates = Rates(1.0, burst=1)
    numbers = count()
    assert rates.take("greedy")
    for _ in range(3):
        for _ in range(rate.MOST // 2):
            rates.take(str(next(numbers)))
        assert not rates.take("greedy")
