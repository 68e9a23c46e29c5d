import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.domain.landing import RETRY_AFTER_SECONDS, SETTLED_SECONDS, Landed, next_to_take, retry_is_due


def landed(
    window: str,
    fingerprint: str = "1",
    age_seconds: float = 60.0,
    looks_complete: bool = True,
    waits_for: str | None = None,
) -> Landed:
    """A landed window, whole and settled but for what a test says."""
    return Landed(window, fingerprint, age_seconds, looks_complete, waits_for)


JANUARY, FEBRUARY = landed("2013-01"), landed("2013-02")


def test_the_oldest_window_is_taken_first() -> None:
    """Each window is measured against what the one before it left in production."""
    assert next_to_take([FEBRUARY, JANUARY], {}) == JANUARY


def test_a_window_that_was_taken_waits_for_nothing_more() -> None:
    """Taking it again would train on it for ever."""
    assert next_to_take([JANUARY, FEBRUARY], {"2013-01": "1"}) == FEBRUARY
    assert next_to_take([JANUARY], {"2013-01": "1"}) is None
    assert next_to_take([], {}) is None


def test_a_file_that_changed_is_taken_again() -> None:
    """A corrected month must be seen, also when later ones were taken."""
    corrected = landed("2013-01", fingerprint="2")
    assert next_to_take([corrected, FEBRUARY], {"2013-01": "1", "2013-02": "1"}) == corrected


def test_a_file_that_is_being_written_is_left_to_its_writer() -> None:
    """Half a file must not show a red check for a file that is whole a second later."""
    growing = landed("2013-01", age_seconds=SETTLED_SECONDS - 0.1, looks_complete=False)
    assert next_to_take([growing], {}) is None
    assert next_to_take([growing, FEBRUARY], {}) == FEBRUARY


def test_a_half_file_that_nobody_writes_to_is_taken_up() -> None:
    """A broken file must show its fault, and not be ignored in silence."""
    broken = landed("2013-01", age_seconds=SETTLED_SECONDS, looks_complete=False)
    assert next_to_take([broken, FEBRUARY], {}) == broken


def test_a_window_that_lacks_a_table_waits_however_long() -> None:
    """Tables that come an hour apart are one window, and no broken one."""
    assert next_to_take([landed("2013-01", age_seconds=1e6, waits_for="the table usage")], {}) is None


@pytest.mark.parametrize("attempt", range(1, len(RETRY_AFTER_SECONDS) + 1))
def test_a_failed_window_is_tried_again_after_ever_longer_waits(attempt: int) -> None:
    """A source that is down for an hour must not cost the window, nor a run every five seconds."""
    wait = RETRY_AFTER_SECONDS[attempt - 1]
    assert not retry_is_due(attempt, seconds_since=wait - 1)
    assert retry_is_due(attempt, seconds_since=wait)


def test_a_window_whose_failed_runs_were_deleted_is_tried_again_as_after_one() -> None:
    """Nothing can be counted any more; waiting the longest would take the last of the waits for none at all."""
    assert retry_is_due(0, seconds_since=RETRY_AFTER_SECONDS[0])
    assert not retry_is_due(0, seconds_since=RETRY_AFTER_SECONDS[0] - 1)


def test_a_window_that_always_fails_is_given_up() -> None:
    """A poison window must not run for ever."""
    assert not retry_is_due(len(RETRY_AFTER_SECONDS) + 1, seconds_since=1e9)


def test_a_whole_file_is_taken_at_once() -> None:
    """Nobody waits for ten seconds without need, nor for a clock that runs behind."""
    assert next_to_take([landed("2013-01", age_seconds=-5)], {}) is not None


@given(windows=st.sets(st.sampled_from("abcdefgh")), taken=st.sets(st.sampled_from("abcdefgh")))
def test_taking_one_after_the_other_takes_each_once_in_order(windows: set[str], taken: set[str]) -> None:
    """No window is skipped and none is taken twice."""
    known = dict.fromkeys(taken, "1")
    order = []
    while (file := next_to_take([landed(window) for window in windows], known)) is not None:
        order.append(file.window)
        known[file.window] = file.fingerprint
    assert order == sorted(windows - taken)
