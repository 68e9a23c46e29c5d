"""`scored_window`: the production model's scores of all rows of a window, when somebody asks for them."""

import shutil

import dagster as dg

from mlops_assets.adapters.batch_scoring import score_file
from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.adapters.row_engines import Engines
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.domain.windows import WindowUnfit
from mlops_assets.partitions import window_partitions
from mlops_assets.resources import ScoredWindowsResource
from serving.release import ReleaseInvalid


@dg.asset(
    partitions_def=window_partitions,
    deps=["data_window", "production_model"],
    group_name="loop",
    owners=["team:ml"],
    kinds={"onnx", "parquet"},
)
def scored_window(
    context: dg.AssetExecutionContext,
    windows: dg.ResourceParam[WindowStore],
    releases: dg.ResourceParam[ReleaseStore],
    engines: dg.ResourceParam[Engines],
    scored: ScoredWindowsResource,
) -> dg.MaterializeResult[None]:
    """A probability for each clean row of a window, as Parquet, in memory that does not follow the window's size.

    No job of the loop makes it: materialize it, or start `scoring_job`, for the windows that are wanted.
    """
    window = context.partition_key
    current, pointer = windows.current(window), releases.pointer()
    if current is None:
        raise dg.Failure(f"there is no data window {window}: materialize data_window first", allow_retries=False)
    if pointer is None:
        raise dg.Failure("there is no production model yet: nothing was promoted", allow_retries=False)
    path = scored.file(window, data_version=current.data_version, model_version=pointer.model_version)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and engines.name == "duckdb":
        shutil.rmtree(path)  # what Spark wrote, which no file takes the place of
    try:
        manifest, exported = releases.exported(pointer.model_version, manifest_sha256=pointer.manifest_sha256)
        found = score_file(windows.clean_rows(current), path, manifest=manifest, exported=exported, engines=engines)
    except (ReleaseInvalid, WindowUnfit) as error:
        raise dg.Failure(f"window {window} is not scored: {error}", allow_retries=False) from error
    metadata: dict[str, dg.MetadataValue] = {
        "dagster/row_count": dg.MetadataValue.int(found.rows),
        "rows": dg.MetadataValue.int(found.rows),
        "refused": dg.MetadataValue.int(found.refused),
        "model_version": dg.MetadataValue.int(pointer.model_version),
        "epoch": dg.MetadataValue.int(pointer.epoch),
        "data_version": dg.MetadataValue.text(current.data_version),
        "seconds": dg.MetadataValue.float(round(found.seconds, 3)),
        "path": dg.MetadataValue.path(path),
    }
    if found.mean_probability is not None:
        metadata["mean_probability"] = dg.MetadataValue.float(found.mean_probability)
    if found.refused:
        metadata["refused_by_rule"] = dg.MetadataValue.json(found.by_reason)
    version = f"{current.data_version}-{pointer.model_version}"
    return dg.MaterializeResult(data_version=dg.DataVersion(version), metadata=metadata)
