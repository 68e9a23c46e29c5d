"""The gate in the graph: what passes, what is refused, and the ways round it."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import msgspec
import pytest

from mlops_assets.adapters.model_registry import ModelRegistry
from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.checks.candidate import GATE
from mlops_assets.cli.explanation import explanation_of
from mlops_assets.cli.ledger import roll_back
from mlops_assets.cli.state import MARK
from mlops_assets.definitions import build_definitions
from mlops_assets.domain.evidence import Evidence
from mlops_assets.domain.gate import CHECKS
from mlops_assets.sensors.production import production_sensor
from serving.release import Pointer, ReleaseInvalid
from tests.integration.conftest import CONTRACT, Loop, failure_message

pytestmark = pytest.mark.integration

BEATS = dg.AssetCheckKey(dg.AssetKey("candidate_model"), "candidate_beats_production")


def materialized(result: dg.ExecuteInProcessResult) -> set[str]:
    """Names of the assets that a run materialized."""
    return {event.asset_key.to_user_string() for event in result.get_asset_materialization_events() if event.asset_key}


def verdicts(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    """Verdict by check."""
    return {evaluation.check_name: evaluation.passed for evaluation in result.get_asset_check_evaluations()}


def promoted_first(loop: Loop) -> None:
    """Takes a first window all the way."""
    loop.land("2024-01")
    assert loop.ingest("2024-01").success
    assert loop.train("2024-01").success


def refused_second(loop: Loop) -> dg.ExecuteInProcessResult:
    """Takes a second window that has nothing new to learn from, so that its candidate is no better."""
    loop.land("2024-02")
    loop.ingest("2024-02")
    return loop.train("2024-02")


def test_the_first_candidate_passes_and_is_released(loop: Loop) -> None:
    promoted_first(loop)

    production = loop.ledger.production()
    assert production is not None
    assert (production.model_version, production.epoch, production.expected_epoch) == (1, 1, None)
    assert loop.served_version() == 1
    (version,) = loop.registry.versions()
    assert version.status == "production"
    assert set(version.aliases) == {"candidate", "production"}


def test_a_better_candidate_replaces_production(loop: Loop) -> None:
    promoted_first(loop)
    loop.land("2024-02", shift=3, flipped=True)
    report = loop.ingest("2024-02")
    result = loop.train("2024-02")

    (drift,) = [e for e in report.get_asset_materialization_events() if e.asset_key == dg.AssetKey("drift_report")]
    assert drift.materialization.metadata["decision"].value == "trained"
    assert verdicts(result) == dict.fromkeys(CHECKS, True)
    assert materialized(result) == {"candidate_model", "production_model"}
    assert loop.served_version() == 2
    assert {version.version: version.status for version in loop.registry.versions()} == {1: "archived", 2: "production"}


def test_a_refusal_is_a_red_check_and_not_a_failed_run(loop: Loop) -> None:
    promoted_first(loop)
    result = refused_second(loop)

    assert result.success
    assert verdicts(result)["candidate_beats_production"] is False
    assert materialized(result) == {"candidate_model"}
    assert loop.served_version() == 1
    assert {version.version: version.status for version in loop.registry.versions()} == {1: "production", 2: "rejected"}
    assert len(loop.ledger.history()) == 1


def test_a_refused_candidate_is_not_promoted_by_materializing_production_alone(loop: Loop) -> None:
    promoted_first(loop)
    refused_second(loop)
    result = loop.promote_by_hand()

    assert not result.success
    assert "version 2 is not promoted" in failure_message(result)
    assert "is not greater than production's" in failure_message(result)
    assert loop.served_version() == 1


def test_the_checks_cannot_be_left_out_of_a_run(loop: Loop) -> None:
    """They are the candidate's own: Dagster refuses a selection without them."""
    alone = dg.define_asset_job("alone", selection=dg.AssetSelection.assets("candidate_model").without_checks())
    definitions = dg.Definitions.merge(loop.definitions, dg.Definitions(jobs=[alone]))
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="alone"):
        definitions.resolve_job_def("alone")


def test_a_candidate_whose_checks_never_ran_is_not_promoted(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its run died with the evidence written; a verdict on another candidate says nothing of it."""
    promoted_first(loop)
    loop.land("2024-02", shift=3, flipped=True)
    loop.ingest("2024-02")
    monkeypatch.setattr("mlops_assets.assets.candidate.gate_results", crashed)
    assert not loop.train("2024-02").success
    assert loop.registry.evidence(2)
    result = loop.promote_by_hand()

    assert not result.success
    assert "the check candidate_beats_production judged other evidence" in failure_message(result)
    assert loop.served_version() == 1


def test_a_check_downgraded_to_a_warning_does_not_count(loop: Loop) -> None:
    promoted_first(loop)
    refused_second(loop)
    evidence = loop.registry.evidence(2)
    loop.instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=BEATS.asset_key,
            check_name=BEATS.name,
            passed=True,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"evidence_sha256": evidence.sha256},
        )
    )
    result = loop.promote_by_hand()

    assert "was downgraded to WARN" in failure_message(result)
    assert loop.served_version() == 1


def test_evidence_that_was_edited_is_not_believed(loop: Loop) -> None:
    promoted_first(loop)
    refused_second(loop)
    evidence = loop.registry.evidence(2)
    better = evidence.model_copy(update={"candidate": evidence.candidate.model_copy(update={"auc": 0.999})})
    _overwrite_evidence(loop, better)
    result = loop.promote_by_hand()

    assert "is not the one that the gate wrote" in failure_message(result)
    assert loop.served_version() == 1


def test_evidence_whose_tag_was_edited_with_it_is_not_believed(loop: Loop) -> None:
    """In MLflow both can be written by the same hand, and fit each other; the ledger knows what was seen."""
    promoted_first(loop)
    refused_second(loop)
    evidence = loop.registry.evidence(2)
    better = evidence.model_copy(update={"candidate": evidence.candidate.model_copy(update={"auc": 0.999})})
    _overwrite_evidence(loop, better)
    loop.registry._client().set_model_version_tag("small", "2", "evidence_sha256", better.sha256)
    for spec in GATE:
        loop.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=spec.asset_key, check_name=spec.name, passed=True, metadata={"evidence_sha256": better.sha256}
            )
        )
    assert "the ledger does not know its evidence" in failure_message(loop.promote_by_hand())
    assert loop.served_version() == 1


def test_evidence_against_an_older_production_is_stale(loop: Loop) -> None:
    """A candidate that beat version 1 must not replace version 2 without having been compared with it."""
    promoted_first(loop)
    loop.land("2024-02", shift=3, flipped=True)
    loop.ingest("2024-02")
    loop.train("2024-02")
    client = loop.registry._client()
    stale = loop.registry.evidence(2).model_copy(
        update={"candidate": loop.registry.evidence(2).candidate.model_copy(update={"version": 1})}
    )
    client.set_registered_model_alias("small", "candidate", "1")
    client.set_model_version_tag("small", "1", "evidence_sha256", stale.sha256)
    _overwrite_evidence(loop, stale)
    result = loop.promote_by_hand()

    assert "stale: it was compared with version 1 of epoch 1" in failure_message(result)
    assert loop.served_version() == 2


def test_a_hold_refuses_what_the_gate_let_through(loop: Loop) -> None:
    """In the loop as by hand; when it is lifted, the same candidate may be promoted on its evidence."""
    promoted_first(loop)
    loop.ledger.set_hold(is_on=True, actor="ann", reason="incident 7")
    loop.land("2024-02", shift=3, flipped=True)
    loop.ingest("2024-02")
    result = loop.train("2024-02")
    assert result.success
    assert verdicts(result)["candidate_beats_production"]
    assert loop.served_version() == 1
    assert "on hold since" in failure_message(loop.promote_by_hand())
    told = explanation_of(loop.instance, loop.windows, loop.ledger, loop.approvals, "2024-02")
    assert "by ann: incident 7" in told["outcome"]["why"][0]

    loop.ledger.set_hold(is_on=False, actor="ann", reason="solved")
    assert loop.promote_by_hand().success
    assert loop.served_version() == 2


def test_an_alias_that_someone_moved_in_mlflow_is_put_back(loop: Loop) -> None:
    """Nobody judged that move, and the service does not follow it. A run of production_model does it too."""
    promoted_first(loop)
    refused_second(loop)
    assert watched(loop) == "ledger, release, alias and pointer agree"
    for by in ("sensor", "run"):
        loop.registry._client().set_registered_model_alias("small", "production", "2")
        assert loop.registry.production_version() == 2
        said = watched(loop) if by == "sensor" else failure_message(loop.promote_by_hand())
        assert "version 2" in said
        assert loop.registry.production_version() == 1
        assert loop.served_version() == 1
    assert [loop.registry.holds(version) for version in (1, 2, 3)] == [True, True, False]


def test_a_pointer_that_someone_forged_is_put_back(loop: Loop) -> None:
    """To a version that no gate let through, under an epoch that no promotion of the ledger reaches soon."""
    promoted_first(loop)
    refused_second(loop)
    with TemporaryDirectory() as folder:
        bundle = loop.registry.download_bundle(2, Path(folder))
        sha256 = loop.registry.evidence(2).manifest_sha256
        loop.releases.publish(bundle, model_version=2, manifest_sha256=sha256)
    loop.releases.point_to(Pointer(model_version=2, epoch=99, manifest_sha256=sha256, promoted_at="now"))
    assert watched(loop) == (
        "the pointer named version 2, epoch 99 and was put back to version 1, epoch 1, which the ledger has"
    )
    assert loop.served_version() == 1


def test_what_a_crash_left_is_finished_without_a_run(loop: Loop) -> None:
    """The next promotion may be weeks away."""
    promoted_first(loop)
    loop.land("2024-02", shift=3, flipped=True)
    loop.ingest("2024-02")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ReleaseStore, "point_to", crashed)
        assert not loop.train("2024-02").success
    assert loop.served_version() == 1
    assert watched(loop) == "finished the promotion of version 2, which a crash had left"
    assert loop.served_version() == 2
    assert loop.ledger.unfinished() == []


def crashed(*_: object) -> None:
    """The process is gone."""
    raise SystemExit(1)


def ticked(loop: Loop, cursor: str | None = None) -> dg.SensorResult:
    """A tick of `production_sensor`."""
    found = production_sensor(loop.settings)(dg.build_sensor_context(instance=loop.instance, cursor=cursor))
    assert isinstance(found, dg.SensorResult)
    return found


def watched(loop: Loop) -> str:
    """What a tick of `production_sensor` says."""
    found = ticked(loop)
    if isinstance(found.skip_reason, dg.SkipReason):
        return str(found.skip_reason.skip_message)
    (observed,) = found.asset_events
    assert isinstance(observed, dg.AssetObservation)
    return str(observed.description)


def test_what_cannot_be_mended_is_told_once(loop: Loop) -> None:
    """Not every five seconds, for ever."""
    promoted_first(loop)
    loop.registry._client().delete_model_version("small", "1")
    first = ticked(loop)
    assert len(first.asset_events) == 1
    assert ticked(loop, first.cursor).asset_events == []


def test_tags_that_tell_another_story_are_put_right(loop: Loop) -> None:
    """MLflow's page shows them beside the alias."""
    promoted_first(loop)
    refused_second(loop)
    loop.registry.set_status(2, "production")
    assert "the tags `status` in MLflow said something else" in watched(loop)
    assert {version.version: version.status for version in loop.registry.versions()} == {1: "production", 2: "archived"}


def test_a_pointer_with_the_ledgers_own_epoch_makes_no_candidate_look_better(loop: Loop) -> None:
    """Compared with an old model of another period, any would be; the ledger says what it is compared with."""
    promoted_first(loop)
    loop.land("2024-02", shift=3, flipped=True)
    loop.ingest("2024-02")
    loop.train("2024-02")
    first = loop.ledger.history()[-1][0]
    pointer = loop.releases.pointer()
    assert pointer is not None
    assert pointer.epoch == 2
    loop.releases.point_to(msgspec.structs.replace(pointer, model_version=1, manifest_sha256=first.manifest_sha256))
    result = loop.train("2024-02")
    assert verdicts(result)["candidate_beats_production"] is False
    compared = loop.registry.evidence(3).production
    assert compared is not None
    assert compared.version == 2
    assert loop.served_version() == 2, "and the run has put the pointer right"


def test_a_candidate_that_was_judged_by_other_limits_is_not_promoted(loop: Loop) -> None:
    """Loosened for a training, and tightened again before somebody promotes by hand."""
    promoted_first(loop)
    loop.ledger.set_hold(is_on=True, actor="ann", reason="incident 7")
    contract = loop.settings.dataset
    strict = contract.read_text()
    contract.write_text(strict.replace("min_gain = 0.01", 'min_gain = 0.0\nrule = "plain"'))
    loop.land("2024-02", shift=3, flipped=True)
    loop.ingest("2024-02")
    loop.train("2024-02")
    loop.ledger.set_hold(is_on=False, actor="ann", reason="solved")
    contract.write_text(strict)
    assert "judged by other limits than the contract's `[gate]` has now" in failure_message(loop.promote_by_hand())
    assert loop.served_version() == 1


def test_a_roll_back_is_shown_on_the_assets_page(loop: Loop) -> None:
    """No run made it: the page would go on showing the version that is served no more."""
    promoted_first(loop)
    loop.land("2024-02", shift=3, flipped=True)
    loop.ingest("2024-02")
    loop.train("2024-02")
    (loop.settings.state / MARK).write_text("small")
    before = ticked(loop)
    roll_back(loop.settings, None, reason="it answers too low", by="ann")
    after = ticked(loop, before.cursor)
    (shown,) = after.asset_events
    assert isinstance(shown, dg.AssetMaterialization)
    assert shown.metadata["rolled_back_by"].value == "ann"
    assert shown.metadata["reason"].value == "it answers too low"
    assert ticked(loop, after.cursor).asset_events == []


def test_evidence_from_before_a_roll_back_is_stale(loop: Loop) -> None:
    """The candidate beat what is production no more."""
    promoted_first(loop)
    loop.land("2024-02", shift=3, flipped=True)
    loop.ingest("2024-02")
    loop.train("2024-02")
    settings = loop.settings
    (settings.state / MARK).write_text("small")
    assert "version 1 is production again, epoch 3" in roll_back(settings, None, reason="it answers too low", by="ann")
    assert loop.served_version() == 1
    assert {version.version: version.status for version in loop.registry.versions()} == {1: "production", 2: "archived"}
    loop.ledger.set_hold(is_on=False, actor="ann", reason="solved")
    assert "stale: it was compared with version 1 of epoch 1" in failure_message(loop.promote_by_hand())


def test_a_gain_that_may_be_chance_is_undecided(loop: Loop) -> None:
    """The plain rule would promote it: it is above min_gain on this month's rows."""
    loop.settings.dataset.write_text(CONTRACT.replace("min_gain = 0.01", "min_gain = 0.0"))
    loop.definitions = build_definitions(loop.settings)
    loop.land("2024-01")
    assert loop.ingest("2024-01").success
    assert loop.train("2024-01").success
    found = {}
    for month in range(2, 8):
        window = f"2024-0{month}"
        loop.land(window)
        assert loop.ingest(window).success
        result = loop.train(window)
        (check,) = [one for one in result.get_asset_check_evaluations() if one.check_name == BEATS.name]
        found[str(check.metadata["verdict"].value)] = check
        assert loop.served_version() == 1, "the months are alike, and so are the models"
    undecided = found["undecided"]
    assert not undecided.passed
    numbers: dict[str, Any] = {name: value.value for name, value in undecided.metadata.items()}
    assert numbers["gain"] > 0 >= numbers["gain_low"]
    assert numbers["rows_to_decide"] > 0
    assert "more labelled rows in the window would decide" in str(undecided.description)


def test_production_alone_says_what_is_missing_before_the_first_candidate(loop: Loop) -> None:
    result = loop.promote_by_hand()
    assert "there is no candidate: materialize candidate_model first" in failure_message(result)


def test_production_alone_after_a_promotion_changes_nothing(loop: Loop) -> None:
    promoted_first(loop)
    result = loop.promote_by_hand()
    assert result.success
    assert len(loop.ledger.history()) == 1


def test_the_gate_has_every_check_at_severity_error(loop: Loop) -> None:
    promoted_first(loop)
    found = loop.instance.event_log_storage.get_latest_asset_check_execution_by_key([spec.key for spec in GATE])
    evaluations = [record.evaluation for record in found.values()]
    assert len(evaluations) == len(GATE)
    assert all(e is not None and e.severity == dg.AssetCheckSeverity.ERROR for e in evaluations)


def _overwrite_evidence(loop: Loop, evidence: Evidence) -> None:
    client = loop.registry._client()
    run_id = client.get_model_version("small", str(evidence.candidate.version)).run_id
    assert run_id is not None
    client.log_text(run_id, evidence.to_json(), "evidence.json")


def test_a_run_promotes_its_own_candidate_and_not_a_newer_one(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another window's candidate may have been registered, and got the alias, when a run comes to its promotion."""
    promoted_first(loop)
    loop.land("2024-02", shift=3, flipped=True)
    loop.ingest("2024-02")
    monkeypatch.setattr(ModelRegistry, "candidate_version", lambda _: 1)  # the alias names another version
    assert loop.train("2024-02").success
    assert loop.served_version() == 2


def test_a_bundle_that_is_gone_voids_its_promotion_and_no_other(loop: Loop, tmp_path: Path) -> None:
    """An intent that can never be carried out would stop every later promotion."""
    promoted_first(loop)
    loop.land("2024-02", shift=3, flipped=True)
    loop.ingest("2024-02")
    loop.registry._client().delete_model_version("small", "1")
    with pytest.raises(ReleaseInvalid, match="is gone from MLflow"):
        loop.registry.download_bundle(1, tmp_path)
    assert loop.train("2024-02").success
    assert loop.served_version() == 2
