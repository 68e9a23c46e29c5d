"""`drift_report`: a window measured against the data that the production model learned from."""

import math
from collections.abc import Iterator
from dataclasses import asdict

import dagster as dg

from mlops_assets.adapters.drift_history import situation_of
from mlops_assets.adapters.drift_measurement import PREDICTION, DriftMeasurement, measure_drift
from mlops_assets.adapters.pictures import distributions
from mlops_assets.adapters.release_store import Release, ReleaseStore
from mlops_assets.adapters.window_records import DataWindow
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.domain.drift import decide
from mlops_assets.domain.drift_columns import ColumnDrift, ranked
from mlops_assets.domain.windows import TRAIN
from mlops_assets.partitions import window_partitions
from mlops_assets.resources import ReportsResource


@dg.asset(
    partitions_def=window_partitions,
    deps=["data_window"],
    output_required=False,
    group_name="loop",
    owners=["team:ml"],
    kinds={"evidently"},
    retry_policy=dg.RetryPolicy(max_retries=2, delay=1),
)
def drift_report(
    context: dg.AssetExecutionContext,
    windows: dg.ResourceParam[WindowStore],
    releases: dg.ResourceParam[ReleaseStore],
    reports: ReportsResource,
) -> Iterator[dg.MaterializeResult[None]]:
    """How far the window moved from what the production model learned from, column by column.

    `drift_share` is the observed share of drifted columns; where it exceeds the threshold, `drift_sensor` trains a
    candidate. Without a production model there is nothing to compare with, and the window trains the first one. A
    window in quarantine has no report.
    """
    window = context.partition_key
    latest, current = windows.latest(window), windows.current(window)
    if latest is not None and latest.fault:
        context.log.warning(f"window {window} is in quarantine, its drift is not measured: {latest.fault}")
        return
    if current is None:
        raise dg.Failure(f"there is no data window {window}: materialize data_window first", allow_retries=False)
    production = releases.production()
    found = None if production is None else _measure(windows, releases, reports, production, current)
    measured, picture = found or (None, None)
    situation = situation_of(context.instance, windows, production, current, measured)
    decision = decide(situation)
    metadata: dict[str, dg.MetadataValue] = {
        "decision": dg.MetadataValue.text(decision.kind),
        "reason": dg.MetadataValue.text(decision.reason),
        "trains": dg.MetadataValue.text(decision.trains or ""),
        "steps": dg.MetadataValue.json([asdict(step) for step in decision.steps]),
        "data_version": dg.MetadataValue.text(current.data_version),
        "settings": dg.MetadataValue.json(windows.dataset.drift.model_dump(mode="json")),
        "would_learn": dg.MetadataValue.json(asdict(situation.would_learn)),
        "judged_by": dg.MetadataValue.json(dict(situation.judged_by)),
    }
    tags = {"mlops/decision": decision.kind.replace(" ", "_")}
    if production is not None:
        metadata |= {
            "production_version": dg.MetadataValue.int(production.pointer.model_version),
            "production_epoch": dg.MetadataValue.int(production.pointer.epoch),
            "production_manifest_sha256": dg.MetadataValue.text(production.pointer.manifest_sha256),
            "reference": dg.MetadataValue.json(production.learned),
        }
    if measured is not None:
        metadata |= _as_metadata(measured, drift_share_threshold=windows.dataset.drift.drift_share_threshold)
        metadata["report"] = dg.MetadataValue.url(reports.link(window))
        if measured.share is not None:
            tags["mlops/drift_share"] = f"{measured.share:.4f}"
    if picture:
        metadata["distributions"] = dg.MetadataValue.md(picture)
    yield dg.MaterializeResult(metadata=metadata, tags=tags)


def _measure(
    windows: WindowStore, releases: ReleaseStore, reports: ReportsResource, production: Release, current: DataWindow
) -> tuple[DriftMeasurement, str | None] | None:
    """The window beside what production learned from, and a picture of the columns that drifted, if any.

    None where the contract changed since, so that nothing is alike.
    """
    stored = [windows.stored(window, version) for window, version in production.learned.items()]
    if any(part is None or part.shape != windows.dataset.shape for part in stored):
        return None
    rows = windows.dataset.drift.sample_rows
    reference = windows.draw(production.learned, split=TRAIN, max_rows=rows)
    sample = windows.draw({current.window: current.data_version}, split=None, max_rows=rows)
    measured = measure_drift(
        windows.dataset,
        reference=reference.assign(**{PREDICTION: production.model.score(reference)}),
        current=sample.assign(**{PREDICTION: production.model.score(sample)}),
        html=reports.page(current.window),
        title=f"{current.window} beside what version {production.pointer.model_version} learned from: "
        f"{', '.join(sorted(production.learned))}",
        calibrations=releases.calibrations(production.pointer.model_version),
        importance=production.manifest.importance,
    )
    drifted = {column.column: _caption(column) for column in ranked(measured.columns) if column.counts_as_drifted}
    picture = distributions(reference, sample, drifted, categorical=windows.dataset.categorical) if drifted else None
    return measured, picture


def _caption(column: ColumnDrift) -> str:
    if column.score is None or column.threshold is None:
        return column.verdict
    return f"{column.score:.3g} over {column.threshold:.3g}"


def _as_metadata(measured: DriftMeasurement, *, drift_share_threshold: float) -> dict[str, dg.MetadataValue]:
    metadata: dict[str, dg.MetadataValue] = {
        "drift_share_threshold": dg.MetadataValue.float(drift_share_threshold),
        "sampled_rows": dg.MetadataValue.json(measured.sampled_rows),
    }
    if measured.share is not None:
        metadata["drift_share"] = dg.MetadataValue.float(measured.share)
    if measured.not_enough_data is not None:
        metadata["not_enough_data"] = dg.MetadataValue.text(measured.not_enough_data)
    others = {"target_drift": measured.target, "prediction_drift": measured.prediction}
    metadata |= {name: _number(column) for name, column in others.items() if column is not None}
    if measured.columns:
        columns = [*ranked(measured.columns), *(column for column in others.values() if column is not None)]
        metadata["columns"] = dg.MetadataValue.table([_record(column, measured) for column in columns])
    if (calibration := measured.calibration) is not None:
        metadata["calibration"] = dg.MetadataValue.json(
            {
                "false_alarm_rate": calibration.false_alarm_rate,
                "resamples": calibration.resamples,
                "reference": asdict(calibration.reference),
                "current": asdict(calibration.current),
                "factor": round(calibration.factor, 4),
                "noise": {name: round(noise, 4) for name, noise in calibration.noise.items()},
            }
        )
    return metadata


def _record(column: ColumnDrift, measured: DriftMeasurement) -> dg.TableRecord:
    def number(value: float | None) -> str:
        return "-" if value is None or not math.isfinite(value) else f"{value:.4f}"

    return dg.TableRecord(
        {
            "column": column.column,
            "verdict": column.verdict,
            "counts": column.counts if column in measured.columns else "beside the share",
            "changed": column.changed,
            "score": number(column.score),
            "threshold": number(column.threshold),
            "importance": number(column.importance),
            "impact": number(column.impact),
            "nulls": "{:.1%} → {:.1%}".format(*column.nulls),
            "method": column.method,
            "reason": column.reason,
        }
    )


def _number(column: ColumnDrift) -> dg.MetadataValue:
    return dg.MetadataValue.text(column.reason) if column.score is None else dg.MetadataValue.float(column.score)
