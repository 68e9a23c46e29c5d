"""What must hold of the prediction log: that all of it could be gathered."""

import dagster as dg

from mlops_assets.adapters.prediction_log import BROKEN, GatheredLog


@dg.asset_check(asset="prediction_log", description="No segment of the service's log had to be set aside.")
def prediction_log_is_whole(log: dg.ResourceParam[GatheredLog]) -> dg.AssetCheckResult:
    """Red until someone has looked at what was set aside, and moved it elsewhere."""
    broken = log.broken()
    said = f"{len(broken)} segments are set aside in {log.log / BROKEN}; the first: {next(iter(broken.values()), '')}"
    return dg.AssetCheckResult(
        passed=not broken,
        description=said if broken else None,
        metadata={"broken_segments": dg.MetadataValue.json(broken)},
    )
