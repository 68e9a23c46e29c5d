"""Small feature tables, written as the graph writes them."""

from pathlib import Path

import msgspec

from mlops_assets.adapters.feature_store import FileFeatureStore
from serving.feature_table import FILE, TableMeta
from serving.release import Feature, Manifest, Row, TrainingWindow

FEATURES = (
    Feature(name="price", type="float", nullable=True),
    Feature(name="visits", type="integer", nullable=False),
    Feature(name="shop", type="category", nullable=True, categories=("north", "south")),
    Feature(name="member", type="boolean", nullable=False),
)
ROW: Row = {"price": 39.02, "visits": 3, "shop": None, "member": True}
AS_OF = 1_700_000_000
"""2023-11-14T22:13:20Z."""
DAY = 86_400
META = TableMeta(
    dataset="small",
    window="2023-11",
    data_version="abc",
    entity_key="customer",
    max_age_seconds=30 * DAY,
    dated_by="landing",
    features={feature.name: feature.type for feature in FEATURES},
    built_at="2023-11-15T00:00:00+00:00",
)


def manifest(**changes: object) -> Manifest:
    """Of a model that takes exactly the table's features."""
    window = TrainingWindow("2023-11", "abc")
    known = Manifest(
        model_name="small",
        model_version=1,
        features=FEATURES,
        target="bought",
        entity_key="customer",
        metrics={},
        training_windows=(window,),
        validation_window=window,
        dagster_run_id="run",
        mlflow_run_id="run",
        files={},
    )
    return msgspec.structs.replace(known, **changes)


def write_table(
    releases: Path, entities: dict[str, Row] | None = None, *, as_of: float = AS_OF, **changes: object
) -> Path:
    """The file beside the releases, with these entities; one that is called `c1` where none are given."""
    rows = sorted((entities or {"c1": ROW}).items(), key=lambda pair: pair[0].encode())
    batch = [(entity, round(as_of * 1e6), msgspec.json.encode(row).decode()) for entity, row in rows]
    with FileFeatureStore(releases).taken() as table:
        table.replace(msgspec.structs.replace(META, **changes), [batch])
    return releases / FILE
