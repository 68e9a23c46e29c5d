"""The example `examples/streamflow`: six CSV tables a month, joined by the customer, from its contract alone."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.cli.history import window_history
from mlops_assets.cli.status import promoted_versions
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.domain.windows import TRAIN, VALIDATION
from serving.feature_file import FeatureFile
from serving.feature_table import FILE, FeaturesStale
from serving.release import read_manifest
from tests.integration.conftest import Loop, new_loop

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "examples" / "streamflow" / "dataset.toml"
MONTHS = ROOT.parent / "shared" / "data" / "streamflow"


@pytest.fixture(scope="module")
def two_months(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Iterator[Loop]:
    """The loop after both months."""
    if not MONTHS.is_dir():
        pytest.skip(f"the streamflow months are not at {MONTHS}; they are not part of the project")
    folder = tmp_path_factory.mktemp("streamflow")
    with new_loop(folder, empty_mlflow, contract=CONTRACT, source=str(MONTHS)) as loop:
        for window in ("month_000", "month_001"):
            assert loop.ingest(window).success
            assert loop.train(window).success
        yield loop


def test_month_000_bootstraps_and_month_001_drifts_in_one_of_14_features(two_months: Loop) -> None:
    promoted = promoted_versions(two_months.ledger)
    first, second = (window_history(two_months.instance, f"month_00{n}", promoted) for n in (0, 1))

    assert (first.rows, first.decision, first.verdict) == (7043, "first", "promoted")
    assert second.drift_share == pytest.approx(1 / 13)
    assert second.decision == "trained", "1 of 13 exceeds the threshold of 0.02; one column never varies"
    drifted = [row["column"] for row in _columns(two_months, "month_001") if row["verdict"] == "drifted"]
    assert [column for column in drifted if column not in ("churn_label", "prediction")] == ["rebuffer_events_7d"]


def test_the_gate_compares_on_customers_that_neither_model_trained_on(two_months: Loop) -> None:
    second = window_history(two_months.instance, "month_001", promoted_versions(two_months.ledger))
    windows = WindowStore(two_months.settings.windows, read_dataset(CONTRACT))
    versions = {part.window: part.data_version for part in windows.training_windows("month_001")}
    trained = set(windows.draw(versions, split=TRAIN, max_rows=100_000)["user_id"])
    judged = set(windows.draw({"month_001": versions["month_001"]}, split=VALIDATION, max_rows=100_000)["user_id"])

    assert set(versions) == {"month_000", "month_001"}
    assert not trained & judged
    assert len(trained) + len(judged) == 7043
    assert second.candidate_auc is not None
    assert second.production_auc is not None
    assert second.candidate_auc > second.production_auc + 0.05, "production knows nothing of month_001's churn"
    assert second.verdict == "promoted"
    assert second.realised_auc == pytest.approx(second.production_auc, abs=0.05)


def test_a_customer_is_answered_with_the_features_of_the_newest_month(two_months: Loop) -> None:
    windows = WindowStore(two_months.settings.windows, read_dataset(CONTRACT))
    newest = windows.current("month_001")
    assert newest is not None
    customers = windows.draw({"month_001": newest.data_version}, split=None, max_rows=100_000)
    table = FeatureFile(two_months.settings.releases / FILE)
    manifest = read_manifest(two_months.settings.releases / "2")
    landed_at = windows.rows_landed_at(newest)
    for _, customer in customers.head(200).iterrows():
        found = table.find(customer["user_id"], manifest, now=landed_at + 60)
        assert (found.window, found.data_version) == ("month_001", newest.data_version)
        assert found.age_seconds == pytest.approx(60, abs=0.01)
        for feature in manifest.features:
            stored, given = customer[feature.name], found.features[feature.name]
            assert (given is None and stored != stored) or given == stored or given == pytest.approx(stored, rel=1e-6)
    with pytest.raises(FeaturesStale, match="more than the 45 days that the contract allows"):
        table.find(customers["user_id"].iloc[0], manifest, now=landed_at + 46 * 86_400)


def _columns(loop: Loop, window: str) -> list[dict[str, object]]:
    of_window = dg.AssetRecordsFilter(asset_key=dg.AssetKey("drift_report"), asset_partitions=[window])
    (record,) = loop.instance.fetch_materializations(of_window, limit=1).records
    assert record.asset_materialization is not None
    table = record.asset_materialization.metadata["columns"]
    assert isinstance(table, dg.TableMetadataValue)
    return [dict(row.data) for row in table.records]
