"""The feature table in the graph: each clean window refreshes it without hands, and no older one takes its place."""

import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.definitions import build_definitions
from serving.feature_file import FeatureFile
from serving.feature_table import FILE, EntityUnknown, FeaturesStale, FoundFeatures
from serving.release import read_manifest
from tests.integration.conftest import CONTRACT, Loop, failure_message, new_loop

pytestmark = pytest.mark.integration

BY_CUSTOMER = CONTRACT.replace('split_by = "customer"', 'split_by = "customer"\nentity_key = "customer"')


@pytest.fixture
def by_customer(tmp_path: Path, empty_mlflow: Path) -> Iterator[Loop]:
    """A loop whose contract names an entity."""
    (tmp_path / "small.toml").write_text(BY_CUSTOMER)
    with new_loop(tmp_path, empty_mlflow, contract=tmp_path / "small.toml") as loop:
        yield loop


def served_window(loop: Loop) -> str | None:
    """The window that the table beside the releases is of."""
    path = loop.settings.releases / FILE
    return FeatureFile(path).meta.window if path.exists() else None


def by_hand(loop: Loop) -> dg.ExecuteInProcessResult:
    """Materializes `feature_table` and nothing else, as a button in Dagster's page does."""
    key = dg.AssetKey("feature_table")
    job = loop.definitions.resolve_implicit_job_def_def_for_assets([key])
    assert job is not None
    return job.execute_in_process(instance=loop.instance, asset_selection=[key], raise_on_error=False)


def built(loop: Loop) -> list[dict[str, object]]:
    """The metadata of each table that was built, oldest first."""
    records = loop.instance.fetch_materializations(dg.AssetKey("feature_table"), limit=100, ascending=True).records
    return [
        {name: value.value for name, value in record.asset_materialization.metadata.items()}
        for record in records
        if record.asset_materialization
    ]


def test_a_new_window_answers_for_its_entities_with_what_the_model_takes(by_customer: Loop) -> None:
    loop = by_customer
    loop.land("2024-01")
    assert loop.ingest("2024-01").success
    assert loop.train("2024-01").success
    manifest = read_manifest(loop.settings.releases / "1")

    def find(customer: str, *, days: float = 0) -> FoundFeatures:
        return FeatureFile(loop.settings.releases / FILE).find(customer, manifest, now=time.time() + days * 86_400)

    found = find("customer-1")
    stored = loop.windows.draw({"2024-01": found.data_version}, split=None, max_rows=10_000)
    newest = stored[stored["customer"] == "customer-1"].sort_values("visit").iloc[-1]
    assert found.features["price"] == pytest.approx(newest["price"])
    assert (found.features["visits"], found.features["shop"]) == (int(newest["visits"]), newest["shop"])
    assert 0 <= found.age_seconds < 120
    with pytest.raises(EntityUnknown):
        find("customer-9999")
    with pytest.raises(FeaturesStale):
        find("customer-1", days=30.1)
    (said,) = built(loop)
    assert (said["window"], said["entities"], said["dated_by"]) == ("2024-01", 400, "landing")


def test_the_newest_period_is_served_whichever_landed_last(by_customer: Loop) -> None:
    loop = by_customer
    seen = []
    for window in ("2024-02", "2024-01", "2024-03"):
        loop.land(window)
        assert loop.ingest(window).success
        seen.append(served_window(loop))
    assert seen == ["2024-02", "2024-02", "2024-03"]
    assert len(built(loop)) == 2, "a late window builds nothing"


def test_a_window_in_quarantine_leaves_the_table_and_its_correction_refreshes_it(by_customer: Loop) -> None:
    loop = by_customer
    loop.land("2024-01")
    loop.ingest("2024-01")
    bad = loop.land("2024-02")
    whole = bad.read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    assert loop.ingest("2024-02").success
    assert served_window(loop) == "2024-01"
    bad.write_bytes(whole)
    assert loop.ingest("2024-02").success
    assert served_window(loop) == "2024-02"


def test_a_table_that_is_newer_than_all_windows_in_use_stays(by_customer: Loop, tmp_path: Path) -> None:
    """Prevents that a state folder which is filled anew serves last year's features as the newest."""
    loop = by_customer
    loop.land("2024-02")
    loop.ingest("2024-02")
    kept = (loop.settings.releases / FILE).read_bytes()
    loop.windows.remove("2024-02")
    (loop.settings.windows / "2024-02").rename(tmp_path / "elsewhere")
    loop.land("2024-01")
    assert loop.ingest("2024-01").success, "nothing is broken that a retry would mend"
    assert (loop.settings.releases / FILE).read_bytes() == kept
    assert "is of window 2024-02, which is newer than 2024-01" in failure_message(by_hand(loop))


def test_a_window_that_was_removed_gives_its_place_back(by_customer: Loop) -> None:
    """Prevents that features of a window which a person took out of use go on answering."""
    loop = by_customer
    for window in ("2024-01", "2024-02"):
        loop.land(window)
        loop.ingest(window)
    loop.windows.remove("2024-02")
    assert by_hand(loop).success
    assert served_window(loop) == "2024-01"


def test_a_new_limit_reaches_the_table_with_the_next_run_and_a_damaged_table_is_mended_by_hand(
    by_customer: Loop,
) -> None:
    loop = by_customer
    loop.land("2024-01")
    loop.ingest("2024-01")
    contract = loop.settings.dataset
    contract.write_text(f"{contract.read_text()}\n[serving]\nmax_feature_age_days = 7\n")
    loop.definitions = build_definitions(loop.settings)
    assert loop.ingest("2024-01").success
    path = loop.settings.releases / FILE
    assert FeatureFile(path).meta.max_age_seconds == 7 * 86_400
    assert loop.ingest("2024-01").success
    assert len(built(loop)) == 2, "the same window again builds nothing"
    path.write_text("no database")
    assert by_hand(loop).success
    assert served_window(loop) == "2024-01"
    assert by_hand(loop).success
    assert len(built(loop)) == 4, "it may be damaged where its opening does not see it"


def test_without_an_entity_there_is_no_table_and_no_failure(loop: Loop) -> None:
    loop.land("2024-01")
    result = loop.ingest("2024-01")
    assert result.success
    assert not built(loop)
    assert not (loop.settings.releases / FILE).exists()
    assert "the contract names no `entity_key`" in failure_message(by_hand(loop))


def test_the_drift_report_does_not_wait_for_the_table(by_customer: Loop) -> None:
    """Prevents that the loop's answer to a window comes later by the time that a large table takes."""
    by_customer.land("2024-01")
    result = by_customer.ingest("2024-01")
    order = [
        str(event.asset_key and event.asset_key.to_user_string()) for event in result.get_asset_materialization_events()
    ]
    assert order.index("drift_report") < order.index("feature_table")
