"""`realised_performance`: how good the answers on a window were, known when its labels have come."""

from collections.abc import Iterator

import dagster as dg

from mlops_assets.adapters.release_store import ReleaseStore, missing_inputs
from mlops_assets.adapters.window_records import DataWindow, RecordInvalid
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.domain.evaluation import NotComparable, evaluate
from mlops_assets.domain.windows import missing_labels
from mlops_assets.partitions import window_partitions
from serving.release import Manifest, ReleaseInvalid


@dg.asset(
    partitions_def=window_partitions,
    deps=["data_window", "drift_report"],
    output_required=False,
    group_name="loop",
    owners=["team:ml"],
    kinds={"onnx"},
    retry_policy=dg.RetryPolicy(max_retries=2, delay=1),
)
def realised_performance(
    context: dg.AssetExecutionContext,
    windows: dg.ResourceParam[WindowStore],
    releases: dg.ResourceParam[ReleaseStore],
) -> Iterator[dg.MaterializeResult[None]]:
    """The AUC, on the window's labelled rows, of the model that was production when the window first landed.

    That model has seen none of the window's rows, so all of them count and not the validation side alone; where it
    has, as when they landed before under another name that was removed since, nothing is said. Without enough labels,
    or without a production model then, there is nothing to say yet.
    """
    window = context.partition_key
    latest, current = windows.latest(window), windows.current(window)
    if current is None or (latest is not None and latest.fault):
        context.log.info(f"window {window} is not in use")
        return
    if waits := missing_labels(windows.dataset, current.counts):
        context.log.info(waits)
        return
    then = _production_then(context.instance, window)
    if then is None:
        context.log.info(f"there was no production model when window {window} landed")
        return
    version, manifest_sha256 = then
    try:
        manifest, model = releases.model(version, manifest_sha256=manifest_sha256)
        seen = _seen_as(windows, manifest, current)
    except (ReleaseInvalid, RecordInvalid) as error:
        context.log.warning(f"window {window}: {error}")
        return
    if seen is not None:
        context.log.warning(f"version {version} learned from the rows of window {window} when they landed as {seen}")
        return
    rows = windows.draw(
        {window: current.data_version}, split=None, max_rows=windows.dataset.training.max_rows, labelled=True
    )
    try:
        if lacking := missing_inputs(model, windows.dataset):
            raise NotComparable(f"version {version} needs {', '.join(lacking)}, which the contract no longer has so")
        metrics = evaluate(rows[windows.dataset.target].to_numpy(bool), model.score(rows))
    except NotComparable as error:
        context.log.warning(f"window {window}: {error}")
        return
    yield dg.MaterializeResult(
        metadata={
            "realised_auc": metrics.auc,
            "log_loss": metrics.log_loss,
            "brier": metrics.brier,
            "rows": len(rows),
            "production_version": version,
            "data_version": current.data_version,
        }
    )


def _seen_as(windows: WindowStore, manifest: Manifest, current: DataWindow) -> str | None:
    """The training window of a model that is of the same rows as this window, with or without their labels."""
    for part in manifest.training_windows:
        stored = windows.stored(part.window, part.data_version)
        if stored is not None and stored.rows_sha256 == current.rows_sha256:
            return part.window
    return None


def _production_then(instance: dg.DagsterInstance, window: str) -> tuple[int, str] | None:
    """Version and manifest's hash of the model that was production at the window's first drift report."""
    of_window = dg.AssetRecordsFilter(asset_key=dg.AssetKey("drift_report"), asset_partitions=[window])
    records = instance.fetch_materializations(of_window, limit=1, ascending=True).records
    materialization = records[0].asset_materialization if records else None
    if materialization is None or "production_version" not in materialization.metadata:
        return None
    metadata = materialization.metadata
    return int(str(metadata["production_version"].value)), str(metadata["production_manifest_sha256"].value)
