"""The retraining policy in the graph: what `drift_report` decides, what `drift_sensor` starts, what puts it off."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.adapters.training_runs import ANSWERS_TAG
from mlops_assets.cli.explanation import explanation_of
from mlops_assets.cli.history import window_history
from mlops_assets.cli.status import promoted_versions
from mlops_assets.definitions import build_definitions
from tests.integration.conftest import CONTRACT, Loop, failure_message, new_loop

pytestmark = pytest.mark.integration


class Follower:
    """A loop, and what its drift sensor does about each report."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self._cursor: str | None = None
        self.said = ""
        """Why the last tick started nothing."""

    def land(self, window: str, *, shift: float = 0) -> str:
        """Lands and ingests a window, runs what the sensor asks for, and gives the decision."""
        self.loop.land(window, shift=shift)
        return self.ingest(window)

    def ingest(self, window: str) -> str:
        """Takes up what has landed of a window."""
        taken = self.loop.ingest(window)
        assert taken.success, failure_message(taken)
        self.follow()
        return str(self.loop.reported("drift_report", window)["decision"])

    def measure_anew(self, window: str) -> str:
        """Runs what `drift_schedule` asks for."""
        measured = self.loop.run("drift_job", window)
        assert measured.success, failure_message(measured)
        self.follow()
        return str(self.loop.reported("drift_report", window)["decision"])

    def follow(self) -> list[dg.RunRequest]:
        """A tick of the sensor, and the trainings that it asks for."""
        sensor = self.loop.definitions.resolve_sensor_def("drift_sensor")
        context = dg.build_sensor_context(
            instance=self.loop.instance, cursor=self._cursor, definitions=self.loop.definitions
        )
        result: Any = sensor(context)
        assert isinstance(result, dg.SensorResult)
        self._cursor = result.cursor
        self.said = str(result.skip_reason.skip_message) if result.skip_reason else ""
        requests = list(result.run_requests or [])
        for request in requests:
            trained = self.loop.definitions.resolve_job_def("training_job").execute_in_process(
                partition_key=request.partition_key, instance=self.loop.instance, tags=request.tags
            )
            assert trained.success
        return requests

    def trainings(self) -> list[str]:
        """The windows that the loop trained on, in this order."""
        runs = self.loop.instance.get_runs(dg.RunsFilter(job_name="training_job"))
        return [run.tags["dagster/partition"] for run in reversed(runs) if ANSWERS_TAG in run.tags]


def contract(folder: Path, *, retraining: str, **lines: str) -> Path:
    """The small contract with a policy, and with other lines."""
    text = CONTRACT
    for name, line in lines.items():
        text = text.replace(next(old for old in text.splitlines() if old.startswith(f"{name} =")), line)
    path = folder / "contract.toml"
    path.write_text(text + f"[retraining]\n{retraining}\n")
    return path


def test_drift_must_show_in_enough_of_the_last_windows(tmp_path: Path, empty_mlflow: Path) -> None:
    """One odd month starts nothing; the training that the second starts carries the numbers."""
    policy = contract(tmp_path, retraining="drifted_windows = 2\nof_last = 2")
    with new_loop(tmp_path, empty_mlflow, contract=policy) as loop:
        follower = Follower(loop)
        assert follower.land("2024-01") == "first"
        assert follower.land("2024-02", shift=3) == "not yet"
        assert follower.trainings() == ["2024-01"]
        assert "1 of the last 1 windows measured against this production drifted" in follower.said
        assert follower.land("2024-03", shift=3) == "trained"
        assert follower.trainings() == ["2024-01", "2024-03"]
        (run,) = loop.instance.get_runs(dg.RunsFilter(job_name="training_job"), limit=1)
        share = loop.reported("drift_report", "2024-03")["drift_share"]
        assert run.tags["mlops/drift_share"] == f"{share:.4f}"
        assert "price" in run.tags["mlops/drifted_columns"]
        assert run.tags["mlops/reason"].startswith(f"drift_share {share:.4f} exceeds")
        steps = {step["rule"]: step for step in loop.reported("drift_report", "2024-03")["steps"]}
        assert steps["last windows"]["said"].startswith("2 of the last 2 windows")
        assert {step["outcome"] for step in steps.values()} == {"go"}


def test_drift_right_after_a_training_starts_no_other(tmp_path: Path, empty_mlflow: Path) -> None:
    """Counted in windows, from the one that was trained on."""
    policy = contract(tmp_path, retraining="cooldown_windows = 1")
    with new_loop(tmp_path, empty_mlflow, contract=policy) as loop:
        follower = Follower(loop)
        decisions = [follower.land(f"2024-0{month}", shift=3 * month) for month in (1, 2, 3, 4)]
        assert decisions == ["first", "cooling down", "trained", "cooling down"]
        assert follower.trainings() == ["2024-01", "2024-03"]


def test_what_the_budget_puts_off_starts_when_it_frees(tmp_path: Path, empty_mlflow: Path) -> None:
    """And is measured anew then, as the schedule does."""
    policy = contract(tmp_path, retraining="budget_trainings = 1\nbudget_days = 1")
    with new_loop(tmp_path, empty_mlflow, contract=policy) as loop:
        follower = Follower(loop)
        assert follower.land("2024-01") == "first"
        assert follower.land("2024-02", shift=3) == "over budget"
        assert follower.measure_anew("2024-02") == "over budget"
        assert "the budget is 1; it frees at " in follower.said
        policy.write_text(policy.read_text().replace("budget_days = 1", "budget_days = 0.000001"))
        loop.definitions = build_definitions(loop.settings)
        assert follower.measure_anew("2024-02") == "trained"
        assert follower.trainings() == ["2024-01", "2024-02"]


def test_reports_that_were_made_side_by_side_share_one_budget(tmp_path: Path, empty_mlflow: Path) -> None:
    """A backfill's reports count the same trainings; the sensor starts no more of them than there are places."""
    policy = contract(tmp_path, retraining="budget_trainings = 2\nbudget_days = 1")
    with new_loop(tmp_path, empty_mlflow, contract=policy) as loop:
        for number, decision in enumerate(("trained", "late", "trained", "first", "no drift"), start=1):
            window = f"2024-0{number}"
            said = {"decision": decision, "reason": "asked", "trains": "" if decision == "no drift" else window}
            loop.instance.report_runless_asset_event(
                dg.AssetMaterialization("drift_report", partition=window, metadata=said)
            )
        sensor = loop.definitions.resolve_sensor_def("drift_sensor")
        result: Any = sensor(dg.build_sensor_context(instance=loop.instance, definitions=loop.definitions))
        assert [request.partition_key for request in result.run_requests] == ["2024-01", "2024-02", "2024-04"]


def test_a_drift_that_a_candidate_lost_to_is_tried_again_when_more_labels_came(
    tmp_path: Path, empty_mlflow: Path
) -> None:
    """And not before, however often it is measured; what came of it is still to be seen."""
    policy = contract(tmp_path, retraining="", min_gain="min_gain = 0.9")
    with new_loop(tmp_path, empty_mlflow, contract=policy) as loop:
        follower = Follower(loop)
        follower.land("2024-01")
        loop.land("2024-02", shift=3, labelled=False)
        assert follower.ingest("2024-02") == "waits for labels"
        loop.land_labels("2024-02", rows=760)
        assert follower.ingest("2024-02") == "trained"
        assert [follower.measure_anew("2024-02") for _ in range(2)] == ["answered", "answered"]
        assert follower.trainings() == ["2024-01", "2024-02"]
        assert window_history(loop.instance, "2024-02", promoted_versions(loop.ledger)).verdict == "refused"

        told = explanation_of(loop.instance, loop.windows, loop.ledger, "2024-02")
        json.dumps(told)
        assert told["decision"]["steps"][-1]["rule"] == "answered"
        assert told["decision"]["steps"][-1]["outcome"] == "stop"
        assert told["drift"]["drifted_columns"] / told["drift"]["judged_columns"] == pytest.approx(
            told["drift"]["drift_share"]
        )
        assert [check["passed"] for check in told["checks"]] == [False, True]
        assert told["outcome"]["verdict"] == "refused"
        assert told["outcome"]["why"][0].endswith("min_gain 0.9")
        first = explanation_of(loop.instance, loop.windows, loop.ledger, "2024-01")
        assert (first["outcome"]["verdict"], first["outcome"]["is_production"]) == ("promoted", True)

        loop.land_labels("2024-02")
        assert follower.ingest("2024-02") == "trained", "more labels are more data"
        assert follower.trainings() == ["2024-01", "2024-02", "2024-02"]
