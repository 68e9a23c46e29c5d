"""`data_window`: a landed file, validated, split and stored."""

import time
from collections.abc import Iterator

import dagster as dg
import pandas as pd

from mlops_assets.adapters.landing import Landing
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.checks.windows import (
    WINDOW_CAN_BE_READ,
    WINDOW_HOLDS_ITS_CONTRACT,
    window_can_be_read,
    window_holds_its_contract,
)
from mlops_assets.domain.windows import WindowUnfit, unfit_for
from mlops_assets.partitions import window_partitions


@dg.asset(
    partitions_def=window_partitions,
    check_specs=[WINDOW_CAN_BE_READ, WINDOW_HOLDS_ITS_CONTRACT],
    output_required=False,
    group_name="loop",
    owners=["team:data"],
    kinds={"duckdb", "parquet"},
    retry_policy=dg.RetryPolicy(max_retries=2, delay=1),
)
def data_window(
    context: dg.AssetExecutionContext,
    windows: dg.ResourceParam[WindowStore],
    landing: dg.ResourceParam[Landing],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """One period of data: clean rows and quarantined rows, each row on one side of a split that lasts for ever.

    A file that cannot be read, or a window that breaks the contract as a whole, shows a red check and is not
    materialized; the file stays where it landed.
    """
    landed = landing.path_of(context.partition_key)
    try:
        stored = windows.ingest(context.partition_key, landed)
    except WindowUnfit as error:
        context.log.warning(f"{landed.name} is not taken: {error}")
        yield window_can_be_read(str(error))
        yield dg.AssetCheckResult(
            passed=False,
            check_name=WINDOW_HOLDS_ITS_CONTRACT.name,
            asset_key="data_window",
            description="nothing to judge: the window could not be read",
        )
        return
    fault = unfit_for(windows.dataset, stored.counts)
    yield window_can_be_read(None)
    yield window_holds_its_contract(stored, fault)
    if fault is not None:
        context.log.warning(f"{landed.name} is not taken: {fault}")
        return
    windows.make_current(stored)
    counts = stored.counts
    yield dg.MaterializeResult(
        data_version=dg.DataVersion(stored.data_version),
        metadata={
            "dagster/row_count": counts.clean,
            "rows": counts.rows,
            "quarantined": counts.quarantined,
            "train_rows": counts.clean - counts.validation,
            "validation_rows": counts.validation,
            "data_version": stored.data_version,
            "landed_at": dg.MetadataValue.timestamp(landed.stat().st_mtime),
            "stored_at": dg.MetadataValue.timestamp(time.time()),
            "ignored_columns": dg.MetadataValue.json(list(stored.ignored_columns)),
            "preview": _table(windows.preview(stored)),
        },
    )


def _table(frame: pd.DataFrame) -> dg.MetadataValue:
    return dg.MetadataValue.table(
        [dg.TableRecord({str(name): str(value) for name, value in row.items()}) for row in frame.to_dict("records")]
    )
