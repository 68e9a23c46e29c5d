"""`prediction_log`: what the service answered, and what came true of it, as Parquet."""

from datetime import UTC, datetime

import dagster as dg

from mlops_assets.adapters.prediction_log import Gathered, GatheredLog


@dg.asset(
    deps=["prediction_service"],
    group_name="loop",
    owners=["team:ml"],
    kinds={"parquet"},
    retry_policy=dg.RetryPolicy(max_retries=2, delay=1),
)
def prediction_log(context: dg.AssetExecutionContext, log: dg.ResourceParam[GatheredLog]) -> dg.MaterializeResult[None]:
    """Every answered row and every label, gathered from the service's sealed segments exactly once.

    A segment that is not what its name says, or that holds a line which is no record, is set aside: the check is red
    until someone has dealt with it, and nothing of it is counted.
    """
    gathered = log.gather(now=datetime.now(UTC))
    for segment, reason in gathered.set_aside.items():
        context.log.warning(f"segment {segment} is set aside: {reason}")
    return dg.MaterializeResult(metadata=_metadata(log, gathered))


def _metadata(log: GatheredLog, gathered: Gathered) -> dict[str, dg.MetadataValue]:
    metadata: dict[str, dg.MetadataValue] = {
        "segments": dg.MetadataValue.int(len(gathered.segments)),
        "rows": dg.MetadataValue.int(gathered.predictions),
        "labels": dg.MetadataValue.int(gathered.labels),
        "kept_segments": dg.MetadataValue.int(len(log.gathered())),
        "removed_segments": dg.MetadataValue.int(gathered.removed),
        "broken_segments": dg.MetadataValue.json(log.broken()),
    }
    if gathered.first and gathered.last:
        metadata["first"] = dg.MetadataValue.timestamp(gathered.first)
        metadata["last"] = dg.MetadataValue.timestamp(gathered.last)
    return metadata
