"""What assets reported to Dagster's event log, read again.

Anyone can report a materialization by hand in Dagster's page, and such a one holds no metadata.
"""

from typing import Any

import dagster as dg
from pydantic import ValidationError

from mlops_assets.domain.evidence import Evidence


def newest_report(instance: dg.DagsterInstance, asset: str, window: str) -> dg.EventLogRecord | None:
    """The newest materialization of a window's asset."""
    of_window = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[window])
    return next(iter(instance.fetch_materializations(of_window, limit=1).records), None)


def reported_value(record: dg.EventLogRecord, name: str) -> Any:  # noqa: ANN401 -- metadata is untyped
    """A value of a materialization's metadata, or None where it holds none of this name."""
    materialization = record.asset_materialization
    entry = materialization.metadata.get(name) if materialization else None
    return entry.value if entry else None


def evidence_of(candidate: dg.EventLogRecord) -> Evidence | None:
    """What the gate saw of a candidate; None where its materialization does not say so."""
    try:
        return Evidence.model_validate(reported_value(candidate, "evidence"))
    except ValidationError:
        return None
