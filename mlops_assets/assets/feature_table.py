"""`feature_table`: the newest features of every entity, for requests that name the entity alone."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import msgspec

from mlops_assets.adapters.feature_rows import newest_rows
from mlops_assets.adapters.feature_store import FeatureStore, FeatureStoreDown
from mlops_assets.adapters.window_records import DataWindow, RecordInvalid
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.features import LANDING, why_kept
from serving.feature_table import TableMeta

DAY_SECONDS = 86_400


@dg.asset(
    deps=[dg.AssetDep("data_window", partition_mapping=dg.LastPartitionMapping())],
    output_required=False,
    group_name="loop",
    owners=["team:data"],
    kinds={"duckdb", "sqlite"},
    retry_policy=dg.RetryPolicy(max_retries=2, delay=1),
)
def feature_table(
    context: dg.AssetExecutionContext,
    windows: dg.ResourceParam[WindowStore],
    features: dg.ResourceParam[FeatureStore],
) -> Iterator[dg.MaterializeResult[None]]:
    """The newest row of every entity of the newest window in use: what the service answers by `entity_key`.

    It follows each window by itself. A late window, or one in quarantine, changes nothing; an older window never takes
    the place of a newer one, unless that one was removed. Where the contract names no `entity_key` there is no table.
    """
    dataset = windows.dataset
    by_hand = "dagster/partition" not in context.run.tags
    try:
        current = windows.newest_in_use()
    except RecordInvalid as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    if dataset.entity_key is None or current is None:
        lacking = "the contract names no `entity_key`" if dataset.entity_key is None else "no window is in use yet"
        if by_hand:
            raise dg.Failure(f"there is no feature table to build: {lacking}", allow_retries=False)
        context.log.info(f"there is no feature table to build: {lacking}")
        return
    wanted = _meta(dataset, dataset.entity_key, current)
    try:
        with features.taken() as table:
            there = table.meta
            kept = None if there is None else _why_kept(there, wanted, windows, anew=by_hand)
            if kept and by_hand:
                raise dg.Failure(kept, allow_retries=False)
            if kept:
                context.log.info(kept)
                return
            with newest_rows(windows, current) as batches:
                written = table.replace(wanted, batches)
    except FeatureStoreDown as error:
        raise dg.Failure(str(error)) from error
    yield dg.MaterializeResult(metadata=_metadata(written, features.place))


def _meta(dataset: Dataset, entity_key: str, current: DataWindow) -> TableMeta:
    return TableMeta(
        dataset=dataset.name,
        window=current.window,
        data_version=current.data_version,
        entity_key=entity_key,
        max_age_seconds=dataset.serving.max_feature_age_days * DAY_SECONDS,
        dated_by=dataset.event_time or LANDING,
        features={name: feature.type for name, feature in dataset.features.items()},
        built_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _why_kept(there: TableMeta, wanted: TableMeta, windows: WindowStore, *, anew: bool) -> str | None:
    """Why the table that is there stays; `anew` builds the same one once more."""
    if there.dataset != wanted.dataset:
        return (
            f"the feature table is of the dataset {there.dataset}, and this one is {wanted.dataset}: name another "
            "database, or another schema by `?options=-csearch_path%3DNAME`, or remove the table by hand"
        )
    counted = {"built_at": wanted.built_at, "entities": 0, "oldest_as_of": None, "newest_as_of": None}
    if not anew and msgspec.structs.replace(there, **counted) == wanted:
        return f"the feature table is of window {wanted.window} already"
    removed = windows.stored(there.window, there.data_version) is not None and windows.current(there.window) is None
    return why_kept(there=there.window, wanted=wanted.window, there_was_taken_out_of_use=removed)


def _metadata(written: TableMeta, place: str) -> dict[str, dg.MetadataValue]:
    return {
        "window": dg.MetadataValue.text(written.window),
        "data_version": dg.MetadataValue.text(written.data_version),
        "dagster/row_count": dg.MetadataValue.int(written.entities),
        "entities": dg.MetadataValue.int(written.entities),
        "oldest_as_of": dg.MetadataValue.text(written.oldest_as_of or "-"),
        "newest_as_of": dg.MetadataValue.text(written.newest_as_of or "-"),
        "dated_by": dg.MetadataValue.text(written.dated_by),
        "max_feature_age_days": dg.MetadataValue.float(written.max_age_seconds / DAY_SECONDS),
        "place": dg.MetadataValue.text(place),
    }
