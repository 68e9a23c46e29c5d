"""Fails orphaned runs once Dagster's daemon can try them again: `python -m mlops_assets.cli.orphans RUN_ID...`.

The daemon tries a failed run again at once, and where the code location does not answer it just then, never. So this
waits until a sensor's tick has ended well, which needs the code location as a retry does.
"""

import sys
import time

import dagster as dg

from mlops_assets.cli.history import dagster_instance
from mlops_assets.cli.options import settings_of
from mlops_assets.cli.recovery import fail_runs
from mlops_assets.config import Settings

WAIT_SECONDS = 120
"""After which they are failed all the same: a person sees them then, and their windows wait no longer."""


def main() -> None:
    """Waits, then fails the runs."""
    settings = settings_of()
    wait_for_daemon(settings, since=time.time(), seconds=WAIT_SECONDS)
    for line in fail_runs(settings, sys.argv[1:]):
        sys.stdout.write(line + "\n")


def wait_for_daemon(settings: Settings, *, since: float, seconds: float) -> bool:
    """Waits until a sensor's tick that began after a moment has ended well, and says whether one has."""
    until = time.monotonic() + seconds
    with dagster_instance(settings) as instance:
        while time.monotonic() < until:
            if _has_ticked(instance, since):
                return True
            time.sleep(1)
    return False


def _has_ticked(instance: dg.DagsterInstance, since: float) -> bool:
    from dagster._core.scheduler.instigation import TickStatus

    well = (TickStatus.SUCCESS, TickStatus.SKIPPED)
    return any(
        tick.timestamp > since and tick.status in well
        for state in instance.all_instigator_state()
        for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=2)
    )


if __name__ == "__main__":
    main()
