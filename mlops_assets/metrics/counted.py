"""What has happened in the loop so far, counted: windows, rows, drift, decisions, verdicts.

The event log is read once, and then what came since: a scrape of a loop with years of windows costs what one with few
does. Series are by outcome and rule; windows and versions are values, never labels.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import dagster as dg
from prometheus_client.core import Metric

from mlops_assets.adapters.event_log import reported_value
from mlops_assets.adapters.judged import Judged, judged_since
from mlops_assets.adapters.ledger import Ledger
from mlops_assets.domain.drift import Kind
from mlops_assets.domain.evidence import Evidence
from mlops_assets.domain.gate import CHECKS, faults, verdict
from mlops_assets.metrics.families import counters, gauge, gauges

PAGE = 500
NO_DECISION = "says nothing"
"""Of a report that was made by hand, as the decisions of other versions of this software count too."""


@dataclass(frozen=True)
class _Window:
    is_fit: bool
    landed_at: float | None


class Counted:
    """The counts of one loop since its beginning."""

    def __init__(self, instance: dg.DagsterInstance, ledger: Ledger) -> None:
        self._instance = instance
        self._ledger = ledger
        self._positions: dict[str, int] = {}
        self._judged_at = 0.0
        self._windows: dict[str, _Window] = {}
        self._taken = Counter({"fit": 0, "quarantined": 0})
        self._rows = Counter({"clean": 0, "quarantined": 0})
        self._decisions = Counter(dict.fromkeys([*get_args(Kind), NO_DECISION], 0))
        self._verdicts = Counter(dict.fromkeys(["passed", "refused", "undecided", "not comparable"], 0))
        self._failed_checks = Counter(dict.fromkeys(CHECKS, 0))
        self._drift: dict[str, float | None] = {}
        self._realised_auc: float | None = None
        self._evidence: Evidence | None = None

    def families(self) -> list[Metric]:
        """All of them, as things are now."""
        self._follow("data_window", self._window)
        self._follow("drift_report", self._report)
        self._follow("realised_performance", self._realised)
        for judged in judged_since(self._instance, self._ledger, self._judged_at):
            self._judge(judged)
        return [*self._of_windows(), *self._of_production(), *self._of_drift(), *self._of_gate()]

    def _follow(self, asset: str, count: Callable[[str, dg.EventLogRecord], None]) -> None:
        while True:
            after = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), after_storage_id=self._positions.get(asset, 0))
            records = self._instance.fetch_materializations(after, limit=PAGE, ascending=True).records
            for record in records:
                count(str(record.partition_key), record)
                self._positions[asset] = record.storage_id
            if len(records) < PAGE:
                return

    def _window(self, window: str, record: dg.EventLogRecord) -> None:
        is_fit = not reported_value(record, "fault")
        self._taken["fit" if is_fit else "quarantined"] += 1
        self._windows[window] = _Window(is_fit, reported_value(record, "landed_at"))
        self._rows["clean"] += reported_value(record, "dagster/row_count") or 0
        self._rows["quarantined"] += reported_value(record, "quarantined") or 0

    def _report(self, _: str, record: dg.EventLogRecord) -> None:
        decision = str(reported_value(record, "decision"))
        self._decisions[decision if decision in self._decisions else NO_DECISION] += 1
        read = {name: reported_value(record, name) for name in ("drift_share", "drift_share_threshold")}
        self._drift = read | {"at": record.timestamp}

    def _realised(self, _: str, record: dg.EventLogRecord) -> None:
        self._realised_auc = reported_value(record, "realised_auc")

    def _judge(self, judged: Judged) -> None:
        self._judged_at = judged.at
        if judged.evidence is None:
            self._verdicts["not comparable" if judged.fault else "passed"] += 1
            return
        self._evidence = evidence = judged.evidence
        self._failed_checks.update(name for name, check in CHECKS.items() if not check(evidence).passed)
        refused = "undecided" if verdict(evidence) == "undecided" else "refused"
        self._verdicts[refused if faults(evidence) else "passed"] += 1

    def _of_windows(self) -> list[Metric]:
        fit = sum(window.is_fit for window in self._windows.values())
        in_state = {"fit": fit, "quarantined": len(self._windows) - fit}
        landed = [window.landed_at for window in self._windows.values() if window.landed_at is not None]
        return [
            *counters("mlops_windows_taken", "Times that a window was taken up.", "outcome", self._taken),
            *counters("mlops_window_rows", "Rows of windows that were taken up.", "outcome", self._rows),
            *gauges("mlops_windows", "Windows by what became of them last.", "state", in_state),
            *gauge(
                "mlops_newest_window_landed_timestamp_seconds",
                "When the window landed that landed last.",
                max(landed, default=None),
            ),
        ]

    def _of_production(self) -> list[Metric]:
        """How far behind the data the production model is."""
        production = self._ledger.production()
        record = self._ledger.evidence(production.evidence_sha256) if production else None
        newest = Evidence.model_validate_json(record).window if record else None
        learned = self._windows.get(newest) if newest else None
        later = [window for window, one in self._windows.items() if newest and one.is_fit and window > newest]
        return [
            *gauge(
                "mlops_production_newest_window_landed_timestamp_seconds",
                "When the newest window landed that production learned from.",
                learned.landed_at if learned else None,
            ),
            *gauge(
                "mlops_production_windows_behind",
                "Fit windows of later periods than production's newest.",
                len(later) if newest else None,
            ),
        ]

    def _of_drift(self) -> list[Metric]:
        return [
            *gauge(
                "mlops_drift_share", "Share of drifted columns, in the newest report.", self._drift.get("drift_share")
            ),
            *gauge(
                "mlops_drift_share_threshold",
                "What that share must exceed to count as drift.",
                self._drift.get("drift_share_threshold"),
            ),
            *gauge("mlops_drift_report_timestamp_seconds", "When the newest report was made.", self._drift.get("at")),
            *counters("mlops_drift_decisions", "Decisions of drift reports.", "decision", self._decisions),
            *gauge(
                "mlops_realised_auc", "AUC on a window's labels of what was served as it landed.", self._realised_auc
            ),
        ]

    def _of_gate(self) -> list[Metric]:
        seen = self._evidence
        auc = {"candidate": seen.candidate.auc} if seen else {}
        if seen and seen.production:
            auc["production"] = seen.production.auc
        return [
            *counters("mlops_gate_verdicts", "Candidates by the gate's verdict.", "verdict", self._verdicts),
            *counters(
                "mlops_gate_failed_checks", "Candidates that a check spoke against.", "check", self._failed_checks
            ),
            *gauges("mlops_compared_auc", "AUC of both models in the newest comparison.", "model", auc),
        ]
