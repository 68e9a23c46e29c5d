"""When the loop is stuck and the service behind: too early wakes people for nothing, too late is found by the users."""

from dataclasses import replace

import pytest

from mlops_assets.domain.condition import (
    OLD_RUN_SECONDS,
    SILENT_SECONDS,
    UNFINISHED_SECONDS,
    WAITING_SECONDS,
    LoopState,
    Run,
    Sensor,
    begins,
    ends,
    service_behind,
    standing,
    stuck,
)

RUN = Run("0a1b", "training_job", "2024-02", "STARTED", OLD_RUN_SECONDS)
HEALTHY = LoopState(
    daemons={"SENSOR": SILENT_SECONDS},
    sensors=[Sensor("window_sensor", SILENT_SECONDS, None)],
    unfinished=[RUN],
    failed=[],
    waiting={"2024-03": WAITING_SECONDS},
    idle_seconds=2 * WAITING_SECONDS,
    promotion_seconds=UNFINISHED_SECONDS,
)
"""At every limit, and beyond none."""


def test_a_loop_at_its_limits_is_not_stuck() -> None:
    assert stuck(HEALTHY) == []


@pytest.mark.parametrize(
    ("state", "key", "said"),
    [
        (replace(HEALTHY, daemons={"SENSOR": SILENT_SECONDS + 1}), "daemon SENSOR", "301 s ago"),
        (replace(HEALTHY, daemons={"SENSOR": None}), "daemon SENSOR", "never"),
        (replace(HEALTHY, sensors=[Sensor("window_sensor", 301, None)]), "sensor window_sensor", "301 s ago"),
        (replace(HEALTHY, sensors=[Sensor("window_sensor", None, None)]), "sensor window_sensor", "never ticked"),
        (replace(HEALTHY, sensors=[Sensor("window_sensor", 1, "no route")]), "sensor window_sensor", "no route"),
        (replace(HEALTHY, unfinished=[replace(RUN, age_seconds=3701)]), "run 0a1b", "STARTED for 3701 s"),
        (replace(HEALTHY, failed=[RUN]), "failed training_job 2024-02", "run 0a1b ended 3700 s ago"),
        (replace(HEALTHY, waiting={"2024-03": 901}), "window 2024-03", "landed 901 s ago"),
        (replace(HEALTHY, promotion_seconds=301), "promotion", "301 s old"),
    ],
)
def test_what_keeps_the_loop_from_going_on(state: LoopState, key: str, said: str) -> None:
    (found,) = stuck(state)
    assert (found.key, found.kind) == (key, "loop stuck")
    assert said in found.said


def test_a_window_that_waits_for_its_turn_is_not_stuck() -> None:
    """Of twelve windows dropped together the last waits for as long as the others take."""
    assert stuck(replace(HEALTHY, waiting={"2024-03": 1e6}, idle_seconds=WAITING_SECONDS)) == []


@pytest.mark.parametrize(
    ("wanted", "fault", "serving", "workers", "refused", "said"),
    [
        (None, "no answer", 0, 0, None, None),
        (4, None, 2, 2, None, None),
        (4, "no answer", 0, 0, None, "no answer"),
        (4, None, 1, 2, None, "1 of 2 workers serve it"),
        (4, None, 0, 0, None, "0 of 0 workers serve it"),
        (4, None, 0, 2, "its sha256 is 12", "0 of 2 workers serve it; it was refused: its sha256 is 12"),
    ],
)
def test_the_service_is_behind_until_every_worker_serves_the_release(
    wanted: int | None, fault: str | None, serving: int, workers: int, refused: str | None, said: str | None
) -> None:
    found = service_behind(wanted=wanted, fault=fault, serving=serving, workers=workers, refused=refused)
    assert [one.said for one in found] == ([] if said is None else [said])


def test_a_condition_keeps_the_time_at_which_it_was_seen_first() -> None:
    """Told by the age of the newest look, one that stands would never be old enough."""
    found = service_behind(wanted=4, fault="no answer")
    assert standing(found, {}, now=5) == {"service": 5}
    assert standing(found, {"service": 5, "promotion": 1}, now=9) == {"service": 5}


def test_begin_and_end_reach_those_who_want_alarms_alone() -> None:
    """A pager that never hears of the end stays on."""
    (condition,) = service_behind(wanted=4, fault="no answer")
    begun, ended = begins(condition), ends("service behind", condition.title)
    assert (begun.severity, ended.severity, begun.wakes, ended.wakes) == ("alarm", "over", True, True)
    assert ended.title == f"over: {begun.title}"
