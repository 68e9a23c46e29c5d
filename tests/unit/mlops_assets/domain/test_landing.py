from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.domain.landing import SETTLED_SECONDS, next_to_take


@dataclass(frozen=True)
class File:
    """A landed file as the rule sees it."""

    window: str
    fingerprint: str = "1"
    age_seconds: float = 60.0
    looks_complete: bool = True


JANUARY, FEBRUARY = File("2013-01"), File("2013-02")


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
    corrected = File("2013-01", fingerprint="2")
    assert next_to_take([corrected, FEBRUARY], {"2013-01": "1", "2013-02": "1"}) == corrected


def test_a_file_that_is_being_written_is_left_to_its_writer() -> None:
    """Half a file must not show a red check for a file that is whole a second later."""
    growing = File("2013-01", age_seconds=SETTLED_SECONDS - 0.1, looks_complete=False)
    assert next_to_take([growing], {}) is None
    assert next_to_take([growing, FEBRUARY], {}) == FEBRUARY


def test_a_half_file_that_nobody_writes_to_is_taken_up() -> None:
    """A broken file must show its fault, and not be ignored in silence."""
    broken = File("2013-01", age_seconds=SETTLED_SECONDS, looks_complete=False)
    assert next_to_take([broken, FEBRUARY], {}) == broken


def test_a_whole_file_is_taken_at_once() -> None:
    """Nobody waits for ten seconds without need, nor for a clock that runs behind."""
    assert next_to_take([File("2013-01", age_seconds=-5)], {}) is not None


@given(windows=st.sets(st.sampled_from("abcdefgh")), taken=st.sets(st.sampled_from("abcdefgh")))
def test_taking_one_after_the_other_takes_each_once_in_order(windows: set[str], taken: set[str]) -> None:
    """No window is skipped and none is taken twice."""
    known = dict.fromkeys(taken, "1")
    order = []
    while (file := next_to_take([File(window) for window in windows], known)) is not None:
        order.append(file.window)
        known[file.window] = file.fingerprint
    assert order == sorted(windows - taken)
