"""What a window's history says of runs that came to no good end, and of those that were tried again."""

import pytest
from dagster import DagsterRunStatus
from dagster._core.test_utils import create_run_for_test

from mlops_assets.cli.history import window_history
from tests.integration.conftest import Loop

pytestmark = pytest.mark.integration


def test_a_window_whose_run_was_tried_again_from_where_it_stopped_is_no_failed_one(loop: Loop) -> None:
    """Killed after it had stored the window: the run that goes on from there does not store it again."""
    loop.land("2024-01")
    first = loop.ingest("2024-01").run_id
    assert window_history(loop.instance, "2024-01", ()).decision == "first"

    def ended(**of: str) -> str:
        run = create_run_for_test(
            loop.instance,
            job_name="window_job",
            tags={"dagster/partition": "2024-01"},
            status=DagsterRunStatus.SUCCESS,
            **of,
        )
        return str(run.run_id)

    second = ended(parent_run_id=first, root_run_id=first)
    assert window_history(loop.instance, "2024-01", ()).verdict is None
    ended(parent_run_id=second, root_run_id=first)
    assert window_history(loop.instance, "2024-01", ()).verdict is None
    assert window_history(loop.instance, "2024-01", ()).rows == 800
    ended()  # of its own, as when the window is requeued: what was stored before is not its
    assert window_history(loop.instance, "2024-01", ()).verdict == "failed"
