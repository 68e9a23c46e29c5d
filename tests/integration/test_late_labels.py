"""Labels that land after their window: drift runs, training waits, and what waited goes on when they come."""

import json
import time

import pytest

from mlops_assets.cli.history import window_history
from mlops_assets.cli.status import promoted_versions
from mlops_assets.domain.landing import SETTLED_SECONDS
from mlops_assets.sensors.drift import unanswered_report
from tests.integration.conftest import Loop, failure_message
from tests.integration.test_sensors import clock_ahead, requested, tick

pytestmark = pytest.mark.integration


@pytest.fixture
def waiting(loop: Loop) -> Loop:
    """A loop with a production model, and a drifted window whose labels have not come."""
    loop.land("2024-01")
    loop.ingest("2024-01")
    loop.train("2024-01")
    loop.land("2024-02", shift=3, flipped=True, labelled=False)
    loop.ingest("2024-02")
    return loop


def test_drift_is_measured_without_labels_and_training_waits(waiting: Loop) -> None:
    report = waiting.reported("drift_report", "2024-02")
    history = window_history(waiting.instance, "2024-02", promoted_versions(waiting.ledger))

    assert report["drift_share"] > 0.3
    assert (report["decision"], report["trains"]) == ("waits for labels", "")
    assert history.waits_for == (
        "0 of 800 clean rows have a label, the contract asks for a share of 0.9: training waits until the others land"
    )
    assert unanswered_report(waiting.instance) is None, "a window that waits for labels keeps no other waiting"
    assert waiting.reported("realised_performance", "2024-02") == {}


def test_a_training_asked_for_by_hand_says_what_it_waits_for(waiting: Loop) -> None:
    refused = waiting.train("2024-02")
    assert not refused.success
    assert "0 of 800 clean rows have a label" in failure_message(refused)
    assert waiting.served_version() == 1


def test_some_labels_are_not_enough(waiting: Loop) -> None:
    """The first labels to come are seldom typical: who leaves at once says so at once."""
    waiting.land_labels("2024-02", rows=400)
    waiting.ingest("2024-02")
    report = waiting.reported("drift_report", "2024-02")
    assert report["decision"] == "waits for labels"
    assert "400 of 800 clean rows have a label" in report["reason"]
    assert waiting.reported("realised_performance", "2024-02") == {}


def test_labels_that_land_are_noticed_and_what_waited_goes_on(waiting: Loop) -> None:
    before = waiting.reported("data_window", "2024-02")
    taken = {landed.window: landed.fingerprint for landed in waiting.landing.landed(now=time.time())}
    waiting.land_labels("2024-02")
    with clock_ahead(seconds=SETTLED_SECONDS + 1):  # a CSV file cannot be seen to be whole
        assert requested(tick(waiting, "window_sensor", json.dumps(taken))) == ["2024-02"]
    waiting.ingest("2024-02")

    after, report = waiting.reported("data_window", "2024-02"), waiting.reported("drift_report", "2024-02")
    realised = waiting.reported("realised_performance", "2024-02")
    assert after["replaces"] == before["data_version"], "rows with labels are another version of the window"
    assert (report["decision"], report["trains"]) == ("trained", "2024-02")
    assert realised["production_version"] == 1
    assert realised["realised_auc"] < 0.5, "version 1 learned the opposite of what 2024-02 says"

    waiting.train("2024-02")
    history = window_history(waiting.instance, "2024-02", promoted_versions(waiting.ledger))
    assert history.verdict == "promoted"
    assert history.realised_auc == pytest.approx(realised["realised_auc"])


def test_the_realised_auc_is_that_of_the_model_that_was_production_then(waiting: Loop) -> None:
    """Judged by a later model, which may have learned from the window, it would say nothing of what was answered."""
    waiting.land("2024-03", shift=3, flipped=True)
    waiting.ingest("2024-03")
    waiting.train("2024-03")
    assert waiting.served_version() == 2
    waiting.land_labels("2024-02")
    waiting.ingest("2024-02")

    realised = waiting.reported("realised_performance", "2024-02")
    assert realised["production_version"] == 1
    assert realised["realised_auc"] < 0.5


def test_the_first_window_waits_for_its_labels_too(loop: Loop) -> None:
    loop.land("2024-01", labelled=False)
    loop.ingest("2024-01")
    assert loop.reported("drift_report", "2024-01")["decision"] == "waits for labels"
    loop.land_labels("2024-01")
    loop.ingest("2024-01")
    assert loop.reported("drift_report", "2024-01")["decision"] == "first"


def test_rows_that_the_model_has_learned_from_say_nothing_of_its_answers(loop: Loop) -> None:
    """They landed under a wrong name first, which was removed; an AUC on them would be too good to be true."""
    landed = loop.land("2024-01")
    loop.ingest("2024-01")
    loop.train("2024-01")
    loop.windows.remove("2024-01")
    landed.rename(landed.with_stem("2024-02"))
    loop.ingest("2024-02")

    assert loop.reported("drift_report", "2024-02")["production_version"] == 1
    assert loop.reported("realised_performance", "2024-02") == {}
