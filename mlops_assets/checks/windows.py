"""What must hold of a landed file before it is a data window.

The asset `data_window` emits these itself: a file that fails them is never materialized, so nothing is built on it.
"""

import dagster as dg

from mlops_assets.adapters.window_store import DataWindow

WINDOW_CAN_BE_READ = dg.AssetCheckSpec(
    "window_can_be_read",
    asset="data_window",
    description="The landed file is a whole Parquet file with the contract's columns in the contract's types.",
)
WINDOW_HOLDS_ITS_CONTRACT = dg.AssetCheckSpec(
    "window_holds_its_contract",
    asset="data_window",
    description="There are enough clean rows, and not too many in quarantine.",
)


def window_can_be_read(fault: str | None) -> dg.AssetCheckResult:
    """Judges whether the file could be read; `fault` says why not."""
    return dg.AssetCheckResult(
        passed=fault is None,
        check_name=WINDOW_CAN_BE_READ.name,
        asset_key="data_window",
        description=fault,
        metadata={"fault": fault} if fault else {},
    )


def window_holds_its_contract(stored: DataWindow, fault: str | None) -> dg.AssetCheckResult:
    """Judges the window as a whole; `fault` says why it is unfit."""
    counts = stored.counts
    by_reason = [dg.TableRecord({"rule": rule, "rows": rows}) for rule, rows in counts.by_reason.items()]
    metadata: dict[str, dg.MetadataValue] = {
        "rows": dg.MetadataValue.int(counts.rows),
        "clean": dg.MetadataValue.int(counts.clean),
        "quarantined": dg.MetadataValue.int(counts.quarantined),
    }
    if by_reason:
        metadata["quarantined_by_rule"] = dg.MetadataValue.table(by_reason)
    if fault:
        metadata["fault"] = dg.MetadataValue.text(fault)
    return dg.AssetCheckResult(
        passed=fault is None,
        check_name=WINDOW_HOLDS_ITS_CONTRACT.name,
        asset_key="data_window",
        description=fault,
        metadata=metadata,
    )
