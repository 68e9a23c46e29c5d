"""What must hold of a drift report: that no feature went silent.

The check never stops anything: a feature that cannot be judged any more counts as the contract says, and the rest of
the report stands. It shows as a warning whatever the contract says, for a feature that went silent is seldom meant.
"""

import warnings

import dagster as dg

from mlops_assets.adapters.event_log import newest_report, reported_value
from mlops_assets.partitions import window_partitions

with warnings.catch_warnings():
    # Without partitions a check shows its newest run alone, and an old warning would look green.
    warnings.simplefilter("ignore", dg.PreviewWarning)

    @dg.asset_check(
        asset="drift_report",
        partitions_def=window_partitions,
        description="There is enough data for a verdict, and each feature that could be judged before still can be.",
    )
    def no_feature_went_silent(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        """Reads the window's newest report."""
        found = _found(context.instance, context.partition_key)
        return dg.AssetCheckResult(
            passed=not found, severity=dg.AssetCheckSeverity.WARN, description="; ".join(found) or None
        )


def _found(instance: dg.DagsterInstance, window: str) -> list[str]:
    report = newest_report(instance, "drift_report", window)
    if report is None:
        return []
    if lacking := reported_value(report, "not_enough_data"):
        return [f"not enough data: {lacking}"]
    return silent_features(report)


def silent_features(report: dg.EventLogRecord) -> list[str]:
    """The features that can no longer be judged, each with its reason."""
    table = reported_value(report, "columns")
    records = [column.data for column in table.records] if isinstance(table, dg.TableMetadataValue) else []
    return [
        f"{record['column']}: {record['reason']}"
        for record in records
        if record.get("changed") and record["counts"] != "beside the share"
    ]
