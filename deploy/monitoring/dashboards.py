"""Writes the Grafana dashboards beside it: `python deploy/monitoring/dashboards.py`. Here is what they show."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "grafana" / "dashboards"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
WIDTH, HEIGHT = 8, 8
"""Of a panel, on Grafana's grid of 24 columns."""


@dataclass(frozen=True)
class Panel:
    """A panel, and what it asks Prometheus for: legend by expression."""

    title: str
    asks: dict[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    says: str = ""


SERVICE = [
    Panel("Epoch released and served", {"serving_pointer_epoch": "released", "serving_epoch": "worker {{pid}}"}),
    Panel("Workers", {"count(serving_epoch)": "live", "sum(serving_expected_workers)": "expected"}, kind="stat"),
    Panel("Pointer replaced", {"time() - serving_pointer_timestamp_seconds": "ago"}, "s", "stat"),
    Panel(
        "Answers by status", {"sum by (status) (rate(serving_requests_total[$__rate_interval]))": "{{status}}"}, "reqps"
    ),
    Panel(
        "Answers by route", {"sum by (route) (rate(serving_requests_total[$__rate_interval]))": "{{route}}"}, "reqps"
    ),
    Panel("Rows", {"sum(rate(serving_rows_total[$__rate_interval]))": "rows"}, "rowsps"),
    Panel(
        "Decoding and prediction of a request",
        {
            f"histogram_quantile({share}, sum by (le) (rate(serving_prediction_seconds_bucket[5m])))": name
            for share, name in ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))
        },
        "s",
    ),
    Panel(
        "Age of the oldest record that waits",
        {
            "max(serving_log_unsynced_seconds)": "for the disk",
            "max(serving_log_unsealed_seconds)": "to be sealed",
        },
        "s",
    ),
    Panel(
        "Rows without a record, log failing",
        {
            "sum(increase(serving_unrecorded_rows_total[$__rate_interval]))": "rows",
            "max(serving_log_failing)": "failing",
        },
    ),
    Panel(
        "Swaps and refusals",
        {
            "sum(increase(serving_swaps_total[$__rate_interval]))": "swaps",
            "sum(increase(serving_refused_releases_total[$__rate_interval]))": "refused",
            "max(serving_refuses)": "refuses now",
        },
    ),
    Panel("Model version served", {"serving_model_version": "worker {{pid}}"}),
]

LOOP = [
    Panel(
        "Epoch wanted and served",
        {
            "mlops_ledger_epoch": "ledger",
            "mlops_pointer_epoch": "pointer",
            "mlops_service_epoch": "worker {{pid}}",
        },
    ),
    Panel("Windows", {"mlops_windows": "{{state}}", "mlops_windows_waiting": "waiting"}, kind="stat"),
    Panel(
        "Staleness",
        {
            "time() - mlops_newest_window_landed_timestamp_seconds": "newest window",
            "time() - mlops_production_newest_window_landed_timestamp_seconds": "production's newest window",
            "time() - mlops_production_timestamp_seconds": "production",
        },
        "s",
        "stat",
        "How long ago they landed, or it was decided.",
    ),
    Panel("Drift", {"mlops_drift_share": "drift_share", "mlops_drift_share_threshold": "threshold"}, "percentunit"),
    Panel(
        "Decisions",
        {"sum by (decision) (increase(mlops_drift_decisions_total[$__range])) > 0": "{{decision}}"},
        kind="stat",
    ),
    Panel(
        "Verdicts of the gate",
        {"sum by (verdict) (increase(mlops_gate_verdicts_total[$__range]))": "{{verdict}}"},
        kind="stat",
    ),
    Panel("Compared on the same rows", {"mlops_compared_auc": "{{model}}", "mlops_realised_auc": "realised"}),
    Panel(
        "Checks that spoke against a candidate",
        {"sum by (check) (increase(mlops_gate_failed_checks_total[$__range]))": "{{check}}"},
        kind="stat",
    ),
    Panel(
        "Windows taken up, promotions",
        {
            "sum by (outcome) (increase(mlops_windows_taken_total[$__rate_interval]))": "windows {{outcome}}",
            "sum by (outcome) (increase(mlops_promotions_total[$__rate_interval]))": "promotions {{outcome}}",
        },
    ),
    Panel(
        "Rows taken up", {"sum by (outcome) (increase(mlops_window_rows_total[$__range]))": "{{outcome}}"}, kind="stat"
    ),
    Panel("Windows that production is behind", {"mlops_production_windows_behind": "behind"}, kind="stat"),
    Panel(
        "Waits for a person",
        {"mlops_approvals_waiting": "approvals", "mlops_promotions_on_hold": "on hold"},
        kind="stat",
    ),
    Panel(
        "Runs",
        {
            'mlops_runs{status=~"queued|starting|started|failure"}': "{{status}}",
            "mlops_runs_given_up": "given up: {{job}}",
        },
    ),
    Panel(
        "What waits",
        {
            "mlops_oldest_unfinished_run_seconds": "run",
            "mlops_oldest_waiting_window_seconds": "window",
            "mlops_unfinished_promotion_seconds": "promotion",
        },
        "s",
    ),
    Panel("Since a sensor's last tick", {"time() - mlops_sensor_last_tick_timestamp_seconds": "{{sensor}}"}, "s"),
    Panel("Since a daemon's heartbeat", {"time() - mlops_daemon_heartbeat_timestamp_seconds": "{{daemon}}"}, "s"),
    Panel(
        "Failing",
        {
            "mlops_sensor_failing": "{{sensor}}",
            "mlops_notification_tries": "{{receiver}}",
            "1 - mlops_source_up": "reading {{source}}",
        },
    ),
    Panel(
        "Prediction log to be gathered",
        {
            "mlops_log_oldest_waiting_seconds": "age of the oldest, s",
            "mlops_log_segments_waiting": "segments",
            "mlops_log_broken_segments": "broken",
        },
    ),
]


def dashboard(uid: str, title: str, panels: list[Panel]) -> dict[str, Any]:
    """A dashboard in Grafana's JSON."""
    return {
        "uid": uid,
        "title": title,
        "tags": ["mlops"],
        "schemaVersion": 39,
        "editable": False,
        "timezone": "utc",
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    across = 24 // WIDTH
    return {
        "id": number + 1,
        "title": panel.title,
        "description": panel.says,
        "type": panel.kind,
        "datasource": SOURCE,
        "gridPos": {"x": number % across * WIDTH, "y": number // across * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
            for place, (expression, legend) in enumerate(panel.asks.items())
        ],
    }


def main(folder: Path) -> None:
    """Writes them into a folder."""
    for uid, title, panels in (("mlops-loop", "MLOps loop", LOOP), ("mlops-service", "Prediction service", SERVICE)):
        content = json.dumps(dashboard(uid, title, panels), indent=2)
        (folder / f"{uid.removeprefix('mlops-')}.json").write_text(f"{content}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
