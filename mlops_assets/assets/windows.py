"""`data_window`: a landed window, validated, split and stored."""

import time

import dagster as dg

from mlops_assets.adapters.landing.landed_window import Landing
from mlops_assets.adapters.window_records import DataWindow, Intake
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.feature import Feature
from mlops_assets.domain.windows import WindowNameInvalid, WindowUnfit, missing_labels, window_name
from mlops_assets.partitions import window_partitions


@dg.asset(
    partitions_def=window_partitions,
    group_name="loop",
    owners=["team:data"],
    kinds={"duckdb", "parquet"},
    retry_policy=dg.RetryPolicy(max_retries=2, delay=1),
)
def data_window(
    context: dg.AssetExecutionContext,
    windows: dg.ResourceParam[WindowStore],
    landing: dg.ResourceParam[Landing],
) -> dg.MaterializeResult[None]:
    """One period of data: clean rows and quarantined rows, each row on one side of a split that lasts for ever.

    A window that cannot be read, or breaks the contract as a whole, is in quarantine: its checks are red and say why,
    nothing is measured or trained on it, and what was its good version before stays in use.
    """
    try:
        window = window_name(context.partition_key)
    except WindowNameInvalid as error:  # a partition's key can be typed in Dagster's page
        raise dg.Failure(str(error), allow_retries=False) from error
    try:
        with landing.fetch(window) as landed:
            intake, stored = windows.take(landed)
    except WindowUnfit as error:
        intake, stored = windows.refuse(window, str(error)), None
    if intake.fault:
        context.log.warning(f"window {window} is in quarantine: {intake.fault}")
    return dg.MaterializeResult(
        data_version=dg.DataVersion(intake.data_version), metadata=_metadata(windows.dataset, intake, stored)
    )


def _metadata(dataset: Dataset, intake: Intake, stored: DataWindow | None) -> dict[str, dg.MetadataValue]:
    metadata: dict[str, dg.MetadataValue] = {
        "status": dg.MetadataValue.text("quarantined" if intake.fault else "fit"),
        "data_version": dg.MetadataValue.text(intake.data_version),
        "landed_at": dg.MetadataValue.timestamp(intake.landed_at),
        "stored_at": dg.MetadataValue.timestamp(time.time()),
        "dagster/column_schema": _schema(dataset),
    }
    if intake.fault:
        metadata["fault"] = dg.MetadataValue.text(intake.fault)
    if intake.replaces:
        metadata["replaces"] = dg.MetadataValue.text(intake.replaces)
    if stored is None:
        return metadata
    counts = stored.counts
    metadata |= {
        "dagster/row_count": dg.MetadataValue.int(counts.clean),
        "rows": dg.MetadataValue.int(counts.rows),
        "quarantined": dg.MetadataValue.int(counts.quarantined),
        "quarantined_by_rule": dg.MetadataValue.table(
            [dg.TableRecord({"rule": rule, "rows": rows}) for rule, rows in counts.by_reason.items()],
            schema=dg.TableSchema([dg.TableColumn("rule"), dg.TableColumn("rows", "int")]),
        ),
        "labelled": dg.MetadataValue.int(counts.labelled),
        "train_rows": dg.MetadataValue.int(counts.clean - counts.validation),
        "validation_rows": dg.MetadataValue.int(counts.validation),
        "ignored_columns": dg.MetadataValue.json(list(stored.ignored_columns)),
        "rows_without_a_table": dg.MetadataValue.json(stored.absent),
        "unmatched_rows": dg.MetadataValue.json(stored.unmatched),
        "new_categories": dg.MetadataValue.json(stored.new_categories),
    }
    if waits := missing_labels(dataset, counts):
        metadata["waits_for"] = dg.MetadataValue.text(waits)
    return metadata


def _schema(dataset: Dataset) -> dg.MetadataValue:
    """The contract, as the asset's page shows it."""
    roles = {
        dataset.row_id: "row id",
        dataset.split_by: "split key",
        **dict.fromkeys(dataset.kept, "kept"),
        dataset.target: "target",
    }
    if dataset.row_id == dataset.split_by:
        roles[dataset.row_id] = "row id and split key"
    columns = [dg.TableColumn(name, role) for name, role in roles.items()]
    columns += [
        dg.TableColumn(
            name,
            feature.type,
            description=feature.described,
            constraints=dg.TableColumnConstraints(nullable=feature.nullable, other=_allowed(feature)),
        )
        for name, feature in dataset.features.items()
    ]
    return dg.TableSchemaMetadataValue(dg.TableSchema(columns))


def _allowed(feature: Feature) -> list[str]:
    if feature.range is not None:
        return [f"{feature.range[0]:g} to {feature.range[1]:g}"]
    return [f"{len(feature.categories)} categories"] if feature.categories else []
