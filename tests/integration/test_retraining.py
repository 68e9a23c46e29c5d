"""The retraining policy in the graph: what `drift_report` decides, what `drift_sensor` starts, what puts it off."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import pandas as pd
import pytest

from mlops_assets.adapters.training_runs import ANSWERS_TAG
from mlops_assets.adapters.window_store import CLEAN
from mlops_assets.cli.explanation import explanation_of
from mlops_assets.cli.history import window_history
from mlops_assets.cli.status import promoted_versions
from mlops_assets.definitions import build_definitions
from mlops_assets.sensors.drift import unanswered_report
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

    def follow(self) -> list[tuple[str, str]]:
        """Ticks of the sensor, each with the runs that it asks for, until it asks for none; gives job and window."""
        done: list[tuple[str, str]] = []
        while requests := self.tick():
            for request in requests:
                assert self.start(request).success
                done.append((str(request.job_name), str(request.partition_key)))
        return done

    def start(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """Runs what the sensor asks for."""
        return self.loop.definitions.resolve_job_def(str(request.job_name)).execute_in_process(
            partition_key=request.partition_key,
            instance=self.loop.instance,
            tags=request.tags,
            raise_on_error=False,
        )

    def tick(self) -> list[dg.RunRequest]:
        """What the sensor asks for."""
        sensor = self.loop.definitions.resolve_sensor_def("drift_sensor")
        context = dg.build_sensor_context(
            instance=self.loop.instance, cursor=self._cursor, definitions=self.loop.definitions
        )
        result: Any = sensor(context)
        if isinstance(result, dg.SkipReason):
            self.said = ""
            return []
        assert result.cursor is not None
        self._cursor = result.cursor
        self.said = str(result.skip_reason.skip_message) if result.skip_reason else ""
        return list(result.run_requests or [])

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
        assert follower.land("2024-02", shift=3) == "trained", "a first model is in no budget"
        assert follower.land("2024-03", shift=6) == "over budget"
        assert follower.measure_anew("2024-03") == "over budget"
        assert "in 1 days: 1 of 1; a place frees at " in follower.said
        policy.write_text(policy.read_text().replace("budget_days = 1", "budget_days = 0.000001"))
        loop.definitions = build_definitions(loop.settings)
        assert follower.measure_anew("2024-03") == "trained"
        assert follower.trainings() == ["2024-01", "2024-02", "2024-03"]


@pytest.mark.parametrize(
    ("policy", "decisions"),
    [
        ("", ["trained", "trained"]),
        ("budget_trainings = 1\nbudget_days = 1", ["trained", "over budget"]),
        ("cooldown_windows = 1", ["trained", "cooling down"]),
    ],
)
def test_reports_of_a_backfill_are_answered_one_after_the_other(
    tmp_path: Path, empty_mlflow: Path, policy: str, decisions: list[str]
) -> None:
    """Made side by side, each knows nothing of the trainings that the others ask for."""
    with new_loop(tmp_path, empty_mlflow, contract=contract(tmp_path, retraining=policy)) as loop:
        follower = Follower(loop)
        follower.land("2024-01")
        if "cooldown" in policy:
            follower.land("2024-02")
        for month, shift in ((3, 3.0), (4, 6.0)):
            loop.land(f"2024-0{month}", shift=shift)
            assert loop.ingest(f"2024-0{month}").success
        asked = [loop.reported("drift_report", window)["decision"] for window in ("2024-03", "2024-04")]
        assert asked == ["trained", "trained"]

        done = follower.follow()
        assert done[:2] == [("training_job", "2024-03"), ("drift_job", "2024-04")]
        assert [loop.reported("drift_report", f"2024-0{month}")["decision"] for month in (3, 4)] == decisions
        assert loop.served_version() == (3 if decisions[1] == "trained" else 2)
        assert loop.reported("drift_report", "2024-04")["production_version"] == 2, "it is measured against the new one"


def test_a_report_waits_while_a_training_is_under_way(tmp_path: Path, empty_mlflow: Path) -> None:
    """What it decided is out of date when that has ended: the same training would start twice."""
    with new_loop(tmp_path, empty_mlflow) as loop:
        follower = Follower(loop)
        follower.land("2024-01")
        loop.land("2024-02", shift=3)
        assert loop.ingest("2024-02").success
        (request,) = follower.tick()
        assert request.job_name == "training_job"
        run = loop.instance.create_run_for_job(
            loop.definitions.resolve_job_def("training_job"),
            tags={**request.tags, "dagster/partition": "2024-02"},
            status=dg.DagsterRunStatus.STARTED,
        )
        assert loop.run("drift_job", "2024-02").success
        assert loop.reported("drift_report", "2024-02")["decision"] == "trained", "no candidate of it is there yet"
        sensor = loop.definitions.resolve_sensor_def("drift_sensor")
        cursor = str(int(request.tags[ANSWERS_TAG]))
        context = dg.build_sensor_context(instance=loop.instance, cursor=cursor, definitions=loop.definitions)
        waiting: Any = sensor(context)
        assert isinstance(waiting, dg.SkipReason)
        assert waiting.skip_message == ("the drift report of 2024-02 waits: training_job of 2024-02 is STARTED"), (
            waiting.skip_message
        )
        loop.instance.report_run_canceled(run)
        assert [asked.job_name for asked in follower.tick()] == ["drift_job"]


def test_each_report_of_a_backfill_is_made_anew_once(tmp_path: Path, empty_mlflow: Path) -> None:
    """Twelve windows would take sixty-six measurements if each training had all that follow it made anew."""
    with new_loop(tmp_path, empty_mlflow) as loop:
        follower = Follower(loop)
        follower.land("2024-01")
        windows = [f"2024-0{month}" for month in (2, 3, 4, 5)]
        for shift, window in enumerate(windows, start=1):
            loop.land(window, shift=3 * shift)
            assert loop.ingest(window).success
        first, *others = windows
        assert follower.follow() == [
            ("training_job", first),
            *((job, window) for window in others for job in ("drift_job", "training_job")),
        ]
        assert follower.trainings() == ["2024-01", *windows]


def test_a_report_that_cannot_be_made_anew_is_tried_three_times(tmp_path: Path, empty_mlflow: Path) -> None:
    """A full disk must not lose it, nor a window that is gone stop the loop."""
    with new_loop(tmp_path, empty_mlflow) as loop:
        follower = Follower(loop)
        follower.land("2024-01")
        for month, shift in ((2, 3.0), (3, 6.0)):
            loop.land(f"2024-0{month}", shift=shift)
            assert loop.ingest(f"2024-0{month}").success
        (training,) = follower.tick()
        assert follower.start(training).success
        stored = loop.windows.current("2024-03")
        assert stored is not None
        rows = loop.settings.windows / "2024-03" / stored.data_version / CLEAN
        away = rows.rename(rows.with_suffix(".away"))
        keys = []
        for _ in range(3):
            assert unanswered_report(loop.instance) == "2024-03", "no other window is taken up meanwhile"
            (request,) = follower.tick()
            assert (request.job_name, request.partition_key) == ("drift_job", "2024-03")
            keys.append(request.run_key)
            assert not follower.start(request).success
        assert len(set(keys)) == 3, "Dagster passes over a key that one of its runs has"
        assert follower.tick() == []
        assert "3 runs of drift_job did not measure it anew" in follower.said
        assert follower.tick() == []
        assert follower.said == "", "it is settled"
        away.rename(rows)
        assert follower.measure_anew("2024-03") == "trained"


def test_a_training_from_an_assets_page_overtakes_reports_too(tmp_path: Path, empty_mlflow: Path) -> None:
    """It runs in no job of ours."""
    with new_loop(tmp_path, empty_mlflow) as loop:
        follower = Follower(loop)
        follower.land("2024-01")
        for month, shift in ((2, 3.0), (3, 6.0)):
            loop.land(f"2024-0{month}", shift=shift)
            assert loop.ingest(f"2024-0{month}").success
        job = loop.definitions.resolve_implicit_job_def_def_for_assets([dg.AssetKey("candidate_model")])
        assert job is not None
        assert job.execute_in_process(
            instance=loop.instance, partition_key="2024-02", asset_selection=[dg.AssetKey("candidate_model")]
        ).success
        assert follower.follow()[:1] == [("drift_job", "2024-03")], "that of 2024-02 is answered by it"


def test_a_report_of_another_production_is_made_anew(tmp_path: Path, empty_mlflow: Path) -> None:
    """It was rolled back, or promoted by hand: the distances are to what nobody serves any more."""
    with new_loop(tmp_path, empty_mlflow) as loop:
        follower = Follower(loop)
        follower.land("2024-01")
        loop.land("2024-02", shift=3)
        assert loop.ingest("2024-02").success
        pointer = loop.releases.pointer()
        assert pointer is not None
        loop.releases.point_to(msgspec.structs.replace(pointer, epoch=pointer.epoch + 1))
        assert [(asked.job_name, asked.partition_key) for asked in follower.tick()] == [("drift_job", "2024-02")]


def test_a_training_that_found_nothing_to_compare_is_not_started_again(tmp_path: Path, empty_mlflow: Path) -> None:
    """It leaves no candidate, and would be repeated each day by the schedule."""
    with new_loop(tmp_path, empty_mlflow) as loop:
        follower = Follower(loop)
        path = loop.land("2024-01")
        pd.read_parquet(path).assign(bought=False).to_parquet(path)
        assert follower.ingest("2024-01") == "first"
        assert loop.reported("candidate_model", "2024-01") == {}, "rows of one outcome give no model"
        assert follower.measure_anew("2024-01") == "answered"
        assert follower.trainings() == ["2024-01"]
        loop.land("2024-01")
        assert follower.ingest("2024-01") == "first", "other rows are another try"
        assert follower.trainings() == ["2024-01", "2024-01"]
        assert loop.served_version() == 1


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

        told = explanation_of(loop.instance, loop.windows, loop.ledger, loop.approvals, "2024-02")
        json.dumps(told)
        assert told["decision"]["steps"][-1]["rule"] == "answered"
        assert told["decision"]["steps"][-1]["outcome"] == "stop"
        assert told["drift"]["drifted_columns"] / told["drift"]["judged_columns"] == pytest.approx(
            told["drift"]["drift_share"]
        )
        assert [check["name"] for check in told["checks"] if not check["passed"]] == ["candidate_beats_production"]
        assert told["outcome"]["verdict"] == "refused"
        assert told["outcome"]["why"][0].endswith("min_gain 0.9")
        first = explanation_of(loop.instance, loop.windows, loop.ledger, loop.approvals, "2024-01")
        assert (first["outcome"]["verdict"], first["outcome"]["is_production"]) == ("promoted", True)

        loop.land_labels("2024-02")
        assert follower.ingest("2024-02") == "trained", "more labels are more data"
        assert follower.trainings() == ["2024-01", "2024-02", "2024-02"]
