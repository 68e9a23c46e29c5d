"""A release of a real model on the small contract: what the tests of scoring start from."""

import numpy as np
import pandas as pd

from mlops_assets.adapters.release_store import Lineage, ReleaseStore, write_bundle
from mlops_assets.domain.candidate import export_onnx, train
from mlops_assets.domain.dataset import Dataset
from serving.release import Pointer
from tests.unit.mlops_assets.small_windows import as_drawn, small_contract, small_dataset, small_frame


def scored_dataset() -> Dataset:
    """The small contract with a boolean and a column that is kept for the record alone."""
    features = {**small_contract()["features"], "member": {"type": "boolean", "nullable": True}}  # type: ignore[dict-item]
    return small_dataset(features=features, entity_key="machine")


def scored_frame(rows: int, *, seed: int = 0) -> pd.DataFrame:
    """Rows that hold it, as they land."""
    chance = np.random.default_rng(seed)
    member = pd.Series(chance.random(rows) < 0.5, dtype="boolean").mask(chance.random(rows) < 0.2)
    machine = [f"machine {row % 7}" for row in range(rows)]
    return small_frame(rows, seed=seed).drop(columns="late").assign(member=member, machine=machine)


def encodable(frame: pd.DataFrame) -> pd.DataFrame:
    """Such rows as the window store would draw them."""
    return as_drawn(frame).assign(member=frame["member"].astype("Float32").to_numpy(np.float32, na_value=np.nan))


def release_small(releases: ReleaseStore, dataset: Dataset, *, version: int = 1) -> Pointer:
    """Trains on 600 rows and releases the model, as a promotion does."""
    frame = small_frame(600)
    if "member" in dataset.features:
        frame = encodable(scored_frame(600).assign(late=frame["late"]))
    bundle = releases.folder / str(version)
    bundle.mkdir(parents=True)
    digest = write_bundle(
        bundle,
        model=export_onnx(train(dataset, as_drawn(frame))),
        cases=[],
        dataset=dataset,
        lineage=Lineage(dataset.name, version, {"2013-01": "a"}, ("2013-01", "a"), "run", "run"),
        metrics={},
        importance={},
        card="",
    )
    pointer = Pointer(epoch=1, model_version=version, manifest_sha256=digest, promoted_at="2013-02-01T00:00:00Z")
    releases.point_to(pointer)
    return pointer


def scores_of(releases: ReleaseStore, frame: pd.DataFrame) -> list[float]:
    """What the released model says of rows that were drawn."""
    production = releases.production()
    assert production is not None
    return list(production.model.score(frame))
