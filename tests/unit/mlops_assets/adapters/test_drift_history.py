from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.adapters.drift_history import situation_of
from mlops_assets.adapters.drift_measurement import DriftMeasurement
from mlops_assets.adapters.release_store import Release, ServedModel, features_of
from mlops_assets.adapters.training_runs import ANSWERS_TAG, LANE
from mlops_assets.adapters.window_records import DataWindow
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.domain.candidate import export_onnx, train
from mlops_assets.domain.drift import Learned, NotEnoughData, Situation
from serving import release
from serving.release import Pointer
from tests.unit.mlops_assets.adapters.test_training_runs import add_run
from tests.unit.mlops_assets.landed_windows import landed_window
from tests.unit.mlops_assets.small_bundles import small_bundle
from tests.unit.mlops_assets.small_windows import as_drawn, land_small, small_dataset, small_frame

MONTHS = [f"2013-{month:02d}" for month in range(1, 9)]
EPOCH = 4
BASE: dict[str, Any] = {"decision": "no drift", "settings": small_dataset().drift.model_dump(mode="json")}

pytestmark = pytest.mark.filterwarnings("ignore:Field onnx:DeprecationWarning")  # of skl2onnx in onnx


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance that has reported nothing."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Production of 2013-02, which learned from that and 2013-01."""
    folder = tmp_path_factory.mktemp("bundles") / "1"
    sha = small_bundle(folder, 1)
    dataset = small_dataset()
    exported = export_onnx(train(dataset, as_drawn(small_frame(60))))
    return Release(
        Pointer(model_version=1, epoch=EPOCH, manifest_sha256=sha, promoted_at="2013-03-01T00:00:00+00:00"),
        release.verify(folder, manifest_sha256=sha, model_version=1),
        ServedModel(exported, features_of(dataset)),
    )


@pytest.fixture
def stored(tmp_path: Path) -> dict[str, DataWindow]:
    """Eight months in the store, by name."""
    store = _store(tmp_path)
    for number, month in enumerate(MONTHS):
        landed = land_small(tmp_path / "landing" / f"{month}.parquet", 12, seed=number)
        store.take(landed_window(landed, window=month))
    return {month: window for month in MONTHS if (window := store.current(month)) is not None}


def _store(folder: Path, **retraining: object) -> WindowStore:
    return WindowStore(folder / "windows", small_dataset(retraining=retraining))


def report(instance: dg.DagsterInstance, window: str, *, epoch: int = EPOCH, **metadata: Any) -> None:  # noqa: ANN401
    """A drift report of a window."""
    event = dg.AssetMaterialization(
        "drift_report", partition=window, metadata={**BASE, "production_epoch": epoch, **metadata}
    )
    instance.report_runless_asset_event(event)


def situation(
    instance: dg.DagsterInstance,
    folder: Path,
    production: Release | None,
    window: str = "2013-08",
    measured: DriftMeasurement | None = None,
    **retraining: object,
) -> Situation:
    """The situation of a window in a store whose contract names this policy."""
    store = _store(folder, **retraining)
    current = store.current(window)
    assert current is not None
    return situation_of(instance, store, production, current, measured)


def measurement(share: float | None, lacking: str | None = None) -> DriftMeasurement:
    """A measurement, as far as the decision looks at it."""
    return DriftMeasurement(share, lacking, sampled_rows={}, columns=[])


@pytest.mark.usefixtures("stored")
def test_what_was_measured_is_a_share_or_too_little_or_nothing(
    instance: dg.DagsterInstance, tmp_path: Path, production: Release
) -> None:
    """Three cases that the decision tells apart."""
    drifted = situation(instance, tmp_path, production, measured=measurement(0.4))
    too_little = situation(instance, tmp_path, production, measured=measurement(None, "9 rows"))
    assert drifted.measured == 0.4
    assert too_little.measured == NotEnoughData("9 rows")
    assert situation(instance, tmp_path, production).measured is None


@pytest.mark.usefixtures("stored")
def test_the_earlier_shares_are_the_newest_that_were_measured_against_this_production(
    instance: dg.DagsterInstance, tmp_path: Path, production: Release
) -> None:
    """Too little data, another production, another report since, production's own period and later windows: none is."""
    report(instance, "2013-01", drift_share=0.01)
    report(instance, "2013-02", drift_share=0.02)
    report(instance, "2013-03", drift_share=0.03)
    report(instance, "2013-04", drift_share=0.99)
    report(instance, "2013-04", drift_share=0.04)
    report(instance, "2013-05", drift_share=0.05, epoch=EPOCH - 1)
    report(instance, "2013-06", not_enough_data="9 rows", drift_share=0.06)
    report(instance, "2013-08", drift_share=0.08)
    seen = situation(instance, tmp_path, production, window="2013-07", drifted_windows=1, of_last=9)
    assert seen.earlier == {"2013-03": 0.03, "2013-04": 0.04}
    bounded = situation(instance, tmp_path, production, window="2013-07", drifted_windows=1, of_last=2)
    assert bounded.earlier == {"2013-04": 0.04}
    assert situation(instance, tmp_path, production, window="2013-07").earlier == {}, "the window itself is enough"
    assert situation(instance, tmp_path, None, window="2013-07", of_last=9).earlier == {}


@pytest.mark.usefixtures("stored")
def test_a_window_that_was_taken_out_of_use_counts_no_more(
    instance: dg.DagsterInstance, tmp_path: Path, production: Release
) -> None:
    """Neither its drift nor its place among the windows since a training; nor does one that only broke since."""
    report(instance, "2013-06", drift_share=0.06)
    report(instance, "2013-07", drift_share=0.07)
    add_run(instance, window="2013-05", tags={**LANE, ANSWERS_TAG: "7"})
    _store(tmp_path).remove("2013-07")
    _store(tmp_path).refuse("2013-07", "its file is broken")
    seen = situation(instance, tmp_path, production, of_last=2, cooldown_windows=3)
    assert seen.earlier == {"2013-06": 0.06}
    assert seen.windows_since_training == 1


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("window", "cooldown", "since"),
    [
        ("2013-05", 3, None),  # its own training is not one before it
        ("2013-06", 3, 0),
        ("2013-07", 3, 1),
        ("2013-08", 3, 2),
        ("2013-08", 2, None),
        ("2013-06", 0, None),
    ],
)
def test_windows_since_a_training_are_counted_by_period(
    instance: dg.DagsterInstance, tmp_path: Path, production: Release, window: str, cooldown: int, since: int | None
) -> None:
    """As far back as the cooldown looks, from the newest training on."""
    for trained in ("2013-01", "2013-05"):
        add_run(instance, window=trained, tags={**LANE, ANSWERS_TAG: "7"})
    seen = situation(instance, tmp_path, production, window=window, cooldown_windows=cooldown)
    assert seen.windows_since_training == since


@pytest.mark.usefixtures("stored")
def test_trainings_are_counted_where_a_budget_is_named(
    instance: dg.DagsterInstance, tmp_path: Path, production: Release
) -> None:
    """By the run storage."""
    add_run(instance, tags={**LANE, ANSWERS_TAG: "7"})
    assert len(situation(instance, tmp_path, production, budget_trainings=1).trainings) == 1
    assert situation(instance, tmp_path, production).trainings == []


def test_a_candidate_would_learn_up_to_the_newer_of_the_window_and_productions(
    instance: dg.DagsterInstance, tmp_path: Path, production: Release, stored: dict[str, DataWindow]
) -> None:
    """A late window completes production's own."""
    late = situation(instance, tmp_path, production, window="2013-01")
    versions = {month: window.data_version for month, window in stored.items()}
    assert late.would_learn == Learned("2013-02", {month: versions[month] for month in ("2013-01", "2013-02")})
    assert late.production == Learned("2013-02", {"2013-01": "aaaa", "2013-02": "bbbb"})
    newer = situation(instance, tmp_path, production, window="2013-08")
    assert newer.would_learn == Learned("2013-08", {month: versions[month] for month in ("2013-07", "2013-08")})
