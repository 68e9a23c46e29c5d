import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster._utils.error import serializable_error_info_from_exc_info

from mlops_assets.adapters.approvals import Approvals
from mlops_assets.adapters.event_log import newest_report
from mlops_assets.adapters.ledger import Ledger
from mlops_assets.adapters.training_runs import ANSWERS_TAG
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.checks.candidate import GATE, gate_results, no_gate_results
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.explanation import Explanation, _demand_known, explanation_of
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import DatasetInvalid, read_dataset
from mlops_assets.domain.approval import Answer
from mlops_assets.domain.evidence import Evidence
from mlops_assets.partitions import window_partitions
from tests.unit.mlops_assets.landed_windows import landed_window
from tests.unit.mlops_assets.small_bundles import request_for
from tests.unit.mlops_assets.small_evidence import small_evidence
from tests.unit.mlops_assets.small_windows import land, land_small, small_dataset, small_frame

WINDOW = "2013-03"
EVIDENCE = small_evidence(
    candidate_auc=0.71,
    production_auc=0.705,
    window=WINDOW,
    data_version="cccc",
    training_windows={"2013-02": "bbbb", WINDOW: "cccc"},
    manifest_sha256="a" * 64,
)
REFUSAL = "candidate AUC 0.7100 is not greater than production's 0.7050 + min_gain 0.01"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance that knows the window's name and nothing of it."""
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("window", [WINDOW])
        yield instance


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A ledger with a first production model."""
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger.conclude(ledger.intend(request_for(1, "b" * 64)).epoch, "done")
    return ledger


def take(store: WindowStore, folder: Path, *, broken: int = 0, rows: int = 60) -> None:
    """Stores the window, with so many rows that break the contract."""
    frame = small_frame(rows)
    frame.loc[: broken - 1, "amount"] = 5000.5
    frame.loc[:0, "age"] = float("inf") if broken else frame["age"]
    store.take(landed_window(land(folder / "landing" / f"{WINDOW}.parquet", frame), window=WINDOW))


def report(instance: dg.DagsterInstance, asset: str, **metadata: Any) -> int:  # noqa: ANN401
    """What an asset reported of the window; gives its storage id."""
    instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=WINDOW, metadata=metadata))
    record = newest_report(instance, asset, WINDOW)
    assert record is not None
    return record.storage_id


def drift_report(instance: dg.DagsterInstance, *, trains: str = "", **metadata: Any) -> int:  # noqa: ANN401
    """A drift report as the graph writes it."""
    record = {"column": "amount", "verdict": "drifted", "score": "0.4000", "threshold": "0.1000", "importance": "0.1"}
    record["counts"] = "drifted"
    others = {
        "age": ("stable", "stable"),
        "plan": ("unusable", "left out"),
        "colour": ("unusable", "drifted"),
        "late": ("drifted", "beside the share"),
        "prediction": ("drifted", "beside the share"),
    }
    usual = {
        "decision": "trained" if trains else "no drift",
        "reason": "because",
        "trains": trains,
        "data_version": "cccc",
        "steps": dg.MetadataValue.json([{"rule": "drift share", "said": "0.6667 exceeds 0.3000", "outcome": "go"}]),
        "drift_share": 0.6667,
        "drift_share_threshold": 0.3,
        "production_version": 1,
        "production_epoch": 1,
        "target_drift": "all null",
        "calibration": dg.MetadataValue.json({"false_alarm_rate": 0.01, "current": {"rows": 60, "keys": 20}}),
        "columns": dg.MetadataValue.table(
            [
                dg.TableRecord(record),
                *(
                    dg.TableRecord({**record, "column": name, "verdict": verdict, "counts": counts})
                    for name, (verdict, counts) in others.items()
                ),
            ]
        ),
    }
    return report(instance, "drift_report", **{**usual, **metadata})


def trained(instance: dg.DagsterInstance, evidence: Evidence | None, **tags: str) -> None:
    """A run that trains a candidate and asks the gate, as one of the whole graph does."""

    @dg.asset(name="candidate_model", partitions_def=window_partitions, check_specs=GATE, output_required=False)
    def candidate() -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        if evidence is None:
            yield from no_gate_results("only one class has come")
            return
        yield dg.MaterializeResult(metadata={"evidence": dg.MetadataValue.json(evidence.model_dump())})
        yield from gate_results(evidence, {})

    @dg.asset(
        name="data_window", partitions_def=window_partitions, check_specs=[dg.AssetCheckSpec("c", asset="data_window")]
    )
    def data() -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        yield dg.MaterializeResult()
        yield dg.AssetCheckResult(check_name="c", passed=True)

    assert dg.materialize([data, candidate], partition_key=WINDOW, instance=instance, tags=tags).success


def explained(instance: dg.DagsterInstance, store: WindowStore, ledger: Ledger) -> Explanation:
    """The explanation; what it says can be printed as JSON, always."""
    read = explanation_of(instance, store, ledger, Approvals(ledger.url), WINDOW)
    json.dumps(read)
    return read


def test_a_window_that_landed_and_was_not_taken_up_says_so(
    instance: dg.DagsterInstance, store: WindowStore, ledger: Ledger
) -> None:
    """Nothing happened yet, and nothing is made up."""
    read = explained(instance, store, ledger)
    assert read["landed"]["state"] == "not taken up"
    assert [read[part] for part in ("drift", "decision", "training", "candidate", "outcome")] == [None] * 5


def test_a_window_whose_run_works_on_it_says_so(
    instance: dg.DagsterInstance, store: WindowStore, ledger: Ledger
) -> None:
    """So that nobody takes what is missing for what never comes."""
    tags = {"dagster/partition": WINDOW}
    run = dg.DagsterRun("window_job", run_id=str(uuid4()), status=dg.DagsterRunStatus.STARTED, tags=tags)
    instance.add_run(run)
    assert explained(instance, store, ledger)["running"] == "window_job"


def test_a_window_in_quarantine_says_why_and_for_which_rules(
    instance: dg.DagsterInstance, store: WindowStore, ledger: Ledger, tmp_path: Path
) -> None:
    """The rules that most rows broke come first."""
    take(store, tmp_path, broken=20)
    landed = explained(instance, store, ledger)["landed"]
    assert landed["state"] == "in quarantine"
    assert "20 of 60 rows break the contract" in landed["fault"]
    assert (landed["rows"], landed["clean"], landed["quarantined"]) == (60, 40, 20)
    assert list(landed["by_reason"].items()) == [("amount: out of range", 20), ("age: not finite", 1)]


def test_a_window_that_was_removed_still_says_what_it_was(
    instance: dg.DagsterInstance, store: WindowStore, ledger: Ledger, tmp_path: Path
) -> None:
    """What was measured and trained on it happened all the same."""
    take(store, tmp_path)
    current = store.current(WINDOW)
    assert current is not None
    report(instance, "data_window", data_version=current.data_version, rows=60)
    drift_report(instance, data_version=current.data_version)
    assert explained(instance, store, ledger)["drift"]["is_of_data_in_use"]
    store.remove(WINDOW)
    read = explained(instance, store, ledger)
    assert (read["landed"]["state"], read["landed"]["rows"]) == ("out of use", 60)
    assert read["decision"]["kind"] == "no drift"
    assert not read["drift"]["is_of_data_in_use"]


def test_the_columns_are_counted_as_the_share_counts_them(
    instance: dg.DagsterInstance, store: WindowStore, ledger: Ledger
) -> None:
    """What is left out, the target and the prediction are shown, and are no part of the share."""
    drift_report(instance)
    drift = explained(instance, store, ledger)["drift"]
    assert (drift["drifted_columns"], drift["judged_columns"]) == (2, 3)
    assert [column["column"] for column in drift["columns"]] == [
        "amount",
        "age",
        "plan",
        "colour",
        "late",
        "prediction",
    ]
    assert [drift["columns"][0][name] for name in ("score", "threshold", "importance")] == [0.4, 0.1, 0.1]
    assert drift["target_drift"] == "all null"
    assert drift["prediction_drift"] is None


def test_a_report_by_an_earlier_version_is_read_as_far_as_it_goes(
    instance: dg.DagsterInstance, store: WindowStore, ledger: Ledger
) -> None:
    """It has neither steps nor verdicts nor a calibration."""
    columns = [
        dg.TableRecord({"column": "amount", "drifted": True, "score": "-", "threshold": 0.1, "note": "all null"}),
        dg.TableRecord({"column": "age", "drifted": False, "score": "0.0400", "threshold": 0.1, "note": ""}),
    ]
    said = {"decision": "trained", "reason": "it drifted", "trains": WINDOW, "drift_share": 0.5}
    report(instance, "drift_report", **said, columns=dg.MetadataValue.table(columns))
    read = explained(instance, store, ledger)
    assert read["decision"]["steps"] == []
    assert read["drift"]["drift_share"] == 0.5
    assert read["drift"]["columns"][0]["reason"] == "all null"
    assert read["drift"]["columns"][1]["score"] == 0.04
    report(instance, "drift_report")
    assert explained(instance, store, ledger)["decision"]["kind"] == "says nothing"


def test_a_training_that_the_report_asks_for_is_its_own_and_not_one_before(
    instance: dg.DagsterInstance, store: WindowStore, ledger: Ledger
) -> None:
    """A window may be trained on several times."""
    first = drift_report(instance, trains=WINDOW)
    assert explained(instance, store, ledger)["training"] is None
    trained(instance, EVIDENCE, **{ANSWERS_TAG: str(first)})
    answered = explained(instance, store, ledger)
    assert answered["training"]["answers_this_report"]
    assert answered["training"]["started_by"] == "drift_sensor"
    assert answered["candidate"]["candidate"]["version"] == 2

    trained(instance, EVIDENCE.model_copy(update={"candidate": EVIDENCE.candidate.model_copy(update={"version": 3})}))
    assert explained(instance, store, ledger)["candidate"]["candidate"]["version"] == 2, "one by hand answers nothing"
    drift_report(instance, decision="answered")
    again = explained(instance, store, ledger)
    assert again["candidate"]["candidate"]["version"] == 3, "what was trained on it last"
    assert not again["training"]["answers_this_report"]


def test_a_refused_candidate_says_the_checks_and_their_numbers(
    instance: dg.DagsterInstance, store: WindowStore, ledger: Ledger
) -> None:
    """And the reason in a sentence."""
    trained(instance, EVIDENCE)
    read = explained(instance, store, ledger)
    assert read["training"]["started_by"] == "hand"
    checks = {check["name"]: check for check in read["checks"]}
    gain = checks.pop("candidate_beats_production")
    assert not gain["passed"]
    assert gain["numbers"]["candidate_auc"] == 0.71
    assert gain["numbers"]["min_gain"] == 0.01
    assert [check["passed"] for check in checks.values()] == [True] * (len(GATE) - 1)
    assert read["outcome"] == {
        "verdict": "refused",
        "why": [REFUSAL],
        "epoch": None,
        "at": None,
        "is_production": False,
    }


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "version 2 waits for approval until "),
        ("approved", "approved by ann: fine"),
        ("rejected", "rejected by ann: fine"),
    ],
)
def test_a_candidate_that_passed_says_what_it_waits_for(
    instance: dg.DagsterInstance, store: WindowStore, ledger: Ledger, answer: Answer | None, said: str
) -> None:
    """Nobody refused it, and it is not production."""
    good = small_evidence(window=WINDOW)
    trained(instance, good)
    approvals = Approvals(ledger.url)
    request = approvals.ask(
        model_version=2, evidence_sha256=good.sha256, expected_epoch=1, comparison="better", expires_hours=1
    )
    if answer is not None:
        approvals.answer(request.number, answer, actor="ann", reason="fine")
    outcome = explained(instance, store, ledger)["outcome"]
    assert outcome["verdict"] == "passed"
    assert outcome["why"][0].startswith(said)


def test_a_training_without_a_comparison_says_why_there_is_none(
    instance: dg.DagsterInstance, store: WindowStore, ledger: Ledger
) -> None:
    """The gate's checks do; there is no candidate to speak of."""
    trained(instance, None, **{ANSWERS_TAG: str(drift_report(instance, trains=WINDOW))})
    read = explained(instance, store, ledger)
    assert read["candidate"] is None
    assert [check["description"] for check in read["checks"]] == ["only one class has come"] * len(GATE)
    assert read["outcome"]["verdict"] == "refused"


def test_a_promoted_candidate_says_its_epoch_and_whether_it_still_is_production(
    instance: dg.DagsterInstance, store: WindowStore, ledger: Ledger
) -> None:
    """By the ledger, which decides it."""
    trained(instance, EVIDENCE)
    ledger.conclude(ledger.intend(request_for(2, "c" * 64, expected_epoch=1)).epoch, "void")
    assert explained(instance, store, ledger)["outcome"]["verdict"] == "refused"
    ledger.conclude(ledger.intend(request_for(2, "c" * 64, expected_epoch=1)).epoch, "done")
    outcome = explained(instance, store, ledger)["outcome"]
    assert (outcome["verdict"], outcome["epoch"], outcome["is_production"]) == ("promoted", 3, True)
    assert outcome["why"] == ["version 2 is better"]
    ledger.conclude(ledger.intend(request_for(3, "d" * 64, expected_epoch=3)).epoch, "done")
    assert not explained(instance, store, ledger)["outcome"]["is_production"]


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(dg.DagsterRunStatus.STARTED, "running"), (dg.DagsterRunStatus.FAILURE, "failed")],
)
def test_a_training_that_has_not_come_to_its_end_is_not_called_refused(
    instance: dg.DagsterInstance, store: WindowStore, ledger: Ledger, status: dg.DagsterRunStatus, verdict: str
) -> None:
    """Nobody has judged anything."""
    answers = {ANSWERS_TAG: str(drift_report(instance, trains=WINDOW)), "dagster/partition": WINDOW}
    instance.add_run(dg.DagsterRun("training_job", run_id=str(uuid4()), status=status, tags=answers))
    assert explained(instance, store, ledger)["outcome"]["verdict"] == verdict


def test_a_training_that_failed_says_what_failed(
    instance: dg.DagsterInstance, store: WindowStore, ledger: Ledger
) -> None:
    """In the words of the step."""

    @dg.asset(name="candidate_model", partitions_def=window_partitions)
    def candidate() -> None:
        raise dg.Failure("there is no space for the model")

    tags = {ANSWERS_TAG: str(drift_report(instance, trains=WINDOW))}
    dg.materialize([candidate], partition_key=WINDOW, instance=instance, tags=tags, raise_on_error=False)
    read = explained(instance, store, ledger)
    assert read["training"]["failure"] == "there is no space for the model"
    assert read["outcome"]["why"] == ["there is no space for the model"]


def test_an_unknown_window_is_an_error_that_names_the_known_ones(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """One that has only landed is known; a name that is nearly one is guessed at."""
    settings = Settings(home=tmp_path)
    store = WindowStore(settings.windows, small_dataset())
    land_small(settings.landing / "2013-04.parquet", 12)
    _demand_known(settings, instance, store, WINDOW)
    _demand_known(settings, instance, store, "2013-04")
    with pytest.raises(UserError, match=r"window 2013-3; did you mean 2013-03\? known are: 2013-03, 2013-04"):
        _demand_known(settings, instance, store, "2013-3")
    with pytest.raises(UserError, match="window spring; known are: 2013-03, 2013-04"):
        _demand_known(settings, instance, store, "spring")


def test_a_contract_that_is_wrong_is_why_a_run_failed(
    instance: dg.DagsterInstance, store: WindowStore, ledger: Ledger, tmp_path: Path
) -> None:
    """Edited while the loop runs, it stops each run before its first step; no worker died."""
    (tmp_path / "small.toml").write_text("[retraining]\ncooldwn_windows = 1\n")
    run = dg.DagsterRun(
        "window_job",
        run_id=str(uuid4()),
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/partition": WINDOW},
    )
    instance.add_run(run)
    try:
        try:
            read_dataset(tmp_path / "small.toml")
        except DatasetInvalid as error:
            raise RuntimeError("Could not load job definition") from error
    except RuntimeError:
        said = EngineEventData.engine_error(serializable_error_info_from_exc_info(sys.exc_info()))
    instance.report_engine_event("Could not load job definition", run, said)
    instance.report_run_failed(run)
    fault = explained(instance, store, ledger)["landed"]["fault"]
    assert f"{tmp_path / 'small.toml'}:2: retraining.cooldwn_windows: there is no such key; did you mean" in fault
    assert "worker died" not in fault
