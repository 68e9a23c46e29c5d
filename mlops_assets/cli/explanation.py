"""What happened to one window, and why, read from the stores, the ledger and Dagster's event log.

Here belongs reading. What came of its training stands in `training_outcome`, how it is shown in `explain`, a line for
each window in `history`.
"""

import time
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

import dagster as dg

from mlops_assets.adapters.approvals import Approvals
from mlops_assets.adapters.event_log import evidence_of, newest_report, reported_value
from mlops_assets.adapters.landing.choose import landing_at
from mlops_assets.adapters.landing.landed_window import SourceDown
from mlops_assets.adapters.ledger import Ledger
from mlops_assets.adapters.runs import UNFINISHED
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.checks.drift import silent_features
from mlops_assets.cli import dagster_databases
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.history import dagster_instance
from mlops_assets.cli.run_failure import failure_of
from mlops_assets.cli.state import demand_state
from mlops_assets.cli.training_outcome import described_training, gate_checks, outcome_of, training_of
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.domain.windows import missing_labels, window_name
from mlops_assets.jobs import window_job
from mlops_assets.sensors.drift import answer_of

Explanation = dict[str, Any]
MEASURED = (
    "drift_share",
    "drift_share_threshold",
    "not_enough_data",
    "target_drift",
    "prediction_drift",
    "calibration",
    "sampled_rows",
    "production_version",
    "production_epoch",
    "reference",
    "report",
)
"""What a drift report says in one value each. One that was made by an earlier version says less."""


def read_explanation(settings: Settings, window: str) -> Explanation:
    """Everything that `mlops explain --json` prints; a part is None where it did not happen (yet).

    Raises:
        UserError: there is no loop, or nothing is known of the window.
        WindowNameInvalid: no window can have this name.
    """
    demand_state(settings)
    if not dagster_databases.are_made(settings):
        raise UserError(f"there is no loop in {settings.state}; `mlops up` or `mlops demo` starts one")
    windows = WindowStore(settings.windows, read_dataset(settings.dataset))
    with dagster_instance(settings) as instance:
        _demand_known(settings, instance, windows, window_name(window))
        return explanation_of(instance, windows, Ledger(settings.ledger_url), Approvals(settings.ledger_url), window)


def explanation_of(
    instance: dg.DagsterInstance, windows: WindowStore, ledger: Ledger, approvals: Approvals, window: str
) -> Explanation:
    """The same of a window that is known."""
    report = newest_report(instance, "drift_report", window)
    run, candidate = training_of(instance, window, report)
    evidence = evidence_of(candidate) if candidate else None
    runs = instance.get_runs(dg.RunsFilter(tags={"dagster/partition": window}, statuses=UNFINISHED), limit=1)
    # A retry goes on from what the run before it made.
    judged_in = candidate.run_id if candidate else run.run_id if run else None
    return {
        "window": window,
        "running": runs[0].job_name if runs else None,
        "landed": _landed(instance, windows, window),
        "drift": _drift(report, windows) if report else None,
        "decision": _decision(report) if report else None,
        "training": described_training(instance, run, candidate, report) if run or candidate else None,
        "candidate": evidence.model_dump(mode="json") if evidence else None,
        "checks": gate_checks(instance, judged_in) if judged_in else [],
        "outcome": outcome_of(instance, ledger, approvals, run, evidence) if run or candidate else None,
    }


def _demand_known(settings: Settings, instance: dg.DagsterInstance, windows: WindowStore, window: str) -> None:
    known = {*instance.get_dynamic_partitions("window"), *windows.windows()}
    if window in known:
        return
    landing, fault = landing_at(settings.landing_location, windows.dataset, settings.spool), ""
    try:
        known |= {found.window for found in landing.landed(now=time.time())}
    except SourceDown as error:
        fault = f"; whether it has landed cannot be seen: {error}"
    if window in known:
        return
    close = get_close_matches(window, known, n=1)
    meant = f"did you mean {close[0]}? " if close else ""
    raise UserError(f"nothing is known of a window {window}; {meant}known are: {_some(sorted(known))}{fault}")


def _some(names: list[str], *, most: int = 12) -> str:
    """The newest names."""
    return f"{'..., ' if len(names) > most else ''}{', '.join(names[-most:]) or 'none'}"


def _landed(instance: dg.DagsterInstance, windows: WindowStore, window: str) -> Explanation:
    intake, data = windows.latest(window), newest_report(instance, "data_window", window)
    version = intake.data_version if intake else reported_value(data, "data_version") if data else None
    stored = windows.stored(window, version) if version and (intake is None or intake.can_be_read) else None
    landed: Explanation = {
        "state": "in use",
        "fault": intake.fault if intake else _fault_of_taking_up(instance, window),
        "data_version": version,
        "landed_at": _time(intake.landed_at) if intake else None,
        "rows": None,
        "waits_for": None,
    }
    if intake is None:
        landed["state"] = "not taken up" if data is None else "out of use"
    elif intake.fault:
        landed["state"] = "in quarantine"
    if stored is not None:
        counts = stored.counts
        landed |= {name: getattr(counts, name) for name in ("rows", "clean", "quarantined", "labelled")}
        landed["by_reason"] = dict(sorted(counts.by_reason.items(), key=lambda item: -item[1]))
        landed["waits_for"] = missing_labels(windows.dataset, counts)
    return landed


def _fault_of_taking_up(instance: dg.DagsterInstance, window: str) -> str | None:
    of_window = dg.RunsFilter(job_name=window_job.name, tags={"dagster/partition": window})
    runs = instance.get_runs(of_window, limit=1)
    return failure_of(instance, runs[0]) if runs else None


def _drift(report: dg.EventLogRecord, windows: WindowStore) -> Explanation:
    said = {name: value for name in MEASURED if (value := reported_value(report, name)) is not None}
    current, version = windows.current(str(report.partition_key)), reported_value(report, "data_version")
    columns = _columns(report)
    counted = [column for column in columns if column["counts"] in ("drifted", "stable")]
    return {
        **dict.fromkeys(MEASURED),
        **said,
        "settings": reported_value(report, "settings") or {},
        "silent_features": silent_features(report),
        "measured_at": _time(report.timestamp),
        "data_version": version,
        "is_of_data_in_use": current is not None and current.data_version == version,
        "columns": columns,
        "drifted_columns": sum(column["counts"] == "drifted" for column in counted),
        "judged_columns": len(counted),
    }


def _columns(report: dg.EventLogRecord) -> list[Explanation]:
    """The columns in the report's order; a report by an earlier version has a flag and a note instead of a verdict."""

    def number(value: object) -> float | None:
        return None if value in (None, "-") else float(str(value))

    table = reported_value(report, "columns")
    records = [record.data for record in table.records] if isinstance(table, dg.TableMetadataValue) else []
    return [
        {
            "column": record["column"],
            "verdict": record.get("verdict", "drifted" if record.get("drifted") else "stable"),
            "counts": record.get("counts"),
            "score": number(record.get("score")),
            "threshold": number(record.get("threshold")),
            "importance": number(record.get("importance")),
            "nulls": record.get("nulls"),
            "method": record.get("method"),
            "reason": record.get("reason", record.get("note", "")),
        }
        for record in records
    ]


def _decision(report: dg.EventLogRecord) -> Explanation:
    answer = answer_of(report)
    return {
        "kind": answer.decision,
        "reason": answer.reason,
        "trains": answer.trains,
        "steps": reported_value(report, "steps") or [],
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
