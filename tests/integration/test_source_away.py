"""A source that goes away between the sensor's look and the run: the window waits for it, and is not judged by it."""

import dagster as dg
import pytest

from tests.integration.conftest import Loop, failure_message

pytestmark = pytest.mark.integration


def tick(loop: Loop) -> dg.SensorResult | dg.SkipReason:
    """What `window_sensor` asks for."""
    sensor = loop.definitions.resolve_sensor_def("window_sensor")
    with dg.build_sensor_context(instance=loop.instance, definitions=loop.definitions) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


@pytest.mark.parametrize("left", ["nothing", "mount point"])
def test_a_window_whose_disk_goes_away_before_its_run_is_tried_again(loop: Loop, left: str) -> None:
    """In quarantine it would stay: what comes back looks as what was taken up."""
    loop.land("2024-01")
    assert isinstance(tick(loop), dg.SensorResult)
    landing = loop.settings.landing
    away = landing.rename(landing.with_name("away"))
    if left == "mount point":
        landing.mkdir()
    failed = loop.ingest("2024-01")
    assert not failed.success
    assert "SourceDown" in failure_message(failed)
    assert loop.windows.latest("2024-01") is None

    if left == "mount point":
        landing.rmdir()
    away.rename(landing)
    assert loop.ingest("2024-01").success
    assert loop.windows.current("2024-01") is not None


def test_a_landing_folder_that_is_not_there_fails_the_tick(loop: Loop) -> None:
    """An empty look would be green for ever."""
    loop.settings.landing.rmdir()
    with pytest.raises(Exception, match="landing is not there; mount or make it"):
        tick(loop)
