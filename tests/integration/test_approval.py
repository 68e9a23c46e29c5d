"""Approval by a person: what waits for it, the two ways to give it, and the ways round it."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.adapters.model_registry import EvidenceMissing, ModelRegistry
from mlops_assets.cli.approval import answer
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.history import window_history
from mlops_assets.cli.ledger import roll_back
from mlops_assets.cli.state import MARK
from mlops_assets.cli.status import promoted_versions
from mlops_assets.sensors.approval import approval_sensor
from tests.integration.conftest import CONTRACT, Loop, failure_message, new_loop

pytestmark = pytest.mark.integration


@pytest.fixture
def loop(tmp_path: Path, empty_mlflow: Path) -> Iterator[Loop]:
    """A loop whose first model is production, and whose second passed the gate and waits for approval."""
    contract = tmp_path / "small.toml"
    contract.write_text(CONTRACT)
    with new_loop(tmp_path, empty_mlflow, contract=contract) as loop:
        (loop.settings.state / MARK).write_text("small")
        loop.land("2024-01")
        loop.ingest("2024-01")
        assert loop.train("2024-01").success
        contract.write_text(CONTRACT + '[promotion]\nmode = "approval"\n')
        candidate(loop, "2024-02", flipped=True)
        yield loop


def candidate(loop: Loop, window: str, *, flipped: bool, shift: float = 3) -> dg.ExecuteInProcessResult:
    """Takes a window through training and gate."""
    loop.land(window, shift=shift, flipped=flipped)
    loop.ingest(window)
    result = loop.train(window)
    assert result.success
    return result


class Sensor:
    """`approval_sensor` with its cursor, from tick to tick."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.cursor: str | None = None

    def tick(self) -> tuple[list[dg.RunRequest], str | None]:
        """The runs that it asks for, and why it asks for none."""
        context = dg.build_sensor_context(instance=self.loop.instance, cursor=self.cursor)
        found = approval_sensor(self.loop.settings)(context)
        if isinstance(found, dg.SkipReason):
            return [], found.skip_message
        assert isinstance(found, dg.SensorResult)
        self.cursor = found.cursor
        skipped = found.skip_reason
        return list(found.run_requests or []), skipped.skip_message if isinstance(skipped, dg.SkipReason) else None

    def goes_on(self) -> dg.ExecuteInProcessResult:
        """The run that it asks for, run."""
        (request,), _ = self.tick()
        return self.loop.definitions.resolve_job_def("promotion_job").execute_in_process(
            instance=self.loop.instance, tags=request.tags, raise_on_error=False
        )


@pytest.fixture
def sensor(loop: Loop) -> Sensor:
    """The sensor, which has seen nothing yet."""
    return Sensor(loop)


def test_a_candidate_that_passed_waits_and_no_run_does(loop: Loop, sensor: Sensor) -> None:
    """The run is over; who may let it through, and until when, is told."""
    assert loop.served_version() == 1
    pending = loop.approvals.pending()
    assert pending is not None
    assert (pending.model_version, pending.evidence_sha256) == (2, loop.registry.evidence(2).sha256)
    assert loop.registry.tags(2)["approval"] == "pending"
    assert sensor.tick() == ([], "no request for approval was answered")
    assert "version 2 waits for approval until" in failure_message(loop.promote_by_hand())
    assert loop.approvals.pending() == pending, "asking by hand is no other request"
    told = window_history(loop.instance, "2024-02", promoted_versions(loop.ledger))
    assert told.verdict == "passed"
    assert told.handled


def test_what_is_approved_on_the_command_line_is_promoted(loop: Loop, sensor: Sensor) -> None:
    """Who approved it stands in the ledger, in MLflow and on the asset's page."""
    said = answer(loop.settings, 2, "approved", reason="looks right", by="ann")
    assert said.startswith("version 2 is approved, and the loop promotes it: candidate AUC")
    result = sensor.goes_on()
    assert result.success
    assert loop.served_version() == 2
    production = loop.ledger.production()
    assert production is not None
    assert production.actor == "dagster:production_model, approved by ann"
    assert production.reason.endswith("approved: looks right")
    tags = loop.registry.tags(2)
    assert (tags["approval"], tags["approval_by"], tags["approval_reason"]) == ("approved", "ann", "looks right")
    (shown,) = result.get_asset_materialization_events()
    assert shown.materialization.metadata["approved_by"].value == "ann"
    assert shown.materialization.metadata["approved_because"].value == "looks right"
    assert "it is production" in str(sensor.tick()[1])
    assert sensor.tick() == ([], "no request for approval was answered"), "once"


@pytest.mark.parametrize("tag", ["approved", " Approved "])
def test_what_is_approved_in_mlflow_is_promoted(loop: Loop, sensor: Sensor, tag: str) -> None:
    """By a tag that a person sets in its page, with a name where one is given."""
    client = loop.registry._client()
    client.set_model_version_tag("small", "2", "approval_by", "bob")
    client.set_model_version_tag("small", "2", "approval", tag)
    assert sensor.goes_on().success
    production = loop.ledger.production()
    assert production is not None
    assert production.actor == "dagster:production_model, approved by bob"
    assert loop.served_version() == 2


@pytest.mark.parametrize("way", ["command", "tag"])
def test_what_is_rejected_stays_out(loop: Loop, sensor: Sensor, way: str) -> None:
    """And is not asked for again on the same evidence."""
    if way == "command":
        answer(loop.settings, 2, "rejected", reason="not in December", by="ann")
    else:
        loop.registry._client().set_model_version_tag("small", "2", "approval", "rejected")
    runs, said = sensor.tick()
    assert runs == []
    assert said is not None
    assert said.startswith("version 2: rejected by")
    assert loop.registry.tags(2)["approval"] == "rejected"
    assert "rejected it" in failure_message(loop.promote_by_hand())
    assert loop.approvals.pending() is None
    assert loop.served_version() == 1


def test_a_tag_that_is_no_answer_is_none(loop: Loop, sensor: Sensor) -> None:
    """A slip of the pen promotes nothing."""
    loop.registry._client().set_model_version_tag("small", "2", "approval", "approve")
    assert sensor.tick()[0] == []
    assert loop.approvals.pending() is not None


def test_an_approval_of_before_is_not_replayed(loop: Loop, sensor: Sensor) -> None:
    """It was for a place that another production has now, and for one time."""
    answer(loop.settings, 2, "approved", reason="fine", by="ann")
    assert sensor.goes_on().success
    roll_back(loop.settings, None, reason="too low", by="ann")
    loop.ledger.set_hold(is_on=False, actor="ann", reason="solved")
    loop.registry._client().set_model_version_tag("small", "2", "approval", "approved")
    assert sensor.tick()[0] == []
    assert Sensor(loop).tick()[0] == [], "with a lost cursor too"
    assert "stale" in failure_message(loop.promote_by_hand())
    assert loop.served_version() == 1


def test_a_version_that_nobody_asks_for_cannot_be_approved(loop: Loop, sensor: Sensor) -> None:
    """Neither by its tag nor on the command line: not the one of before, and not one that is not there."""
    candidate(loop, "2024-03", flipped=True)
    loop.registry._client().set_model_version_tag("small", "2", "approval", "approved")
    assert sensor.tick()[0] == []
    with pytest.raises(UserError, match="version 2 is answered already: void by the loop"):
        answer(loop.settings, 2, "approved", reason="-", by="ann")
    with pytest.raises(UserError, match="nobody asks for version 9: version 3 waits for approval"):
        answer(loop.settings, 9, "approved", reason="-", by="ann")
    assert loop.served_version() == 1


def test_a_newer_candidate_that_passed_voids_the_request(loop: Loop, sensor: Sensor) -> None:
    """The person was asked about what is the best no more."""
    candidate(loop, "2024-03", flipped=True)
    pending = loop.approvals.pending()
    assert pending is not None
    assert pending.model_version == 3
    with pytest.raises(UserError, match=r"void by the loop at .*: version 3 was asked for after it"):
        answer(loop.settings, 2, "approved", reason="late", by="ann")
    assert sensor.tick()[0] == []
    assert loop.registry.tags(2)["approval"] == "void"
    assert loop.registry.tags(3)["approval"] == "pending"


def test_a_production_that_moved_voids_the_request(loop: Loop, sensor: Sensor) -> None:
    """The comparison was with another."""
    answer(loop.settings, 2, "approved", reason="fine", by="ann")
    assert sensor.goes_on().success
    candidate(loop, "2024-03", flipped=False)
    pending = loop.approvals.pending()
    assert pending is not None
    roll_back(loop.settings, None, reason="too low", by="ann")
    loop.ledger.set_hold(is_on=False, actor="ann", reason="solved")
    loop.registry._client().set_model_version_tag("small", str(pending.model_version), "approval", "approved")
    runs, said = sensor.tick()
    assert runs == []
    assert "void by the loop: production moved" in str(said)
    assert loop.registry.tags(pending.model_version)["approval"] == "void"
    assert loop.served_version() == 1


def test_a_newer_candidate_waits_for_what_was_approved(loop: Loop, sensor: Sensor) -> None:
    """The approval may have been given while nothing ran; it must not be lost to the next window."""
    answer(loop.settings, 2, "approved", reason="fine", by="ann")
    candidate(loop, "2024-03", flipped=True)
    assert loop.approvals.newest(3) is None
    assert sensor.goes_on().success
    assert loop.served_version() == 2


def test_a_run_that_failed_to_promote_what_was_approved_is_started_again(loop: Loop, sensor: Sensor) -> None:
    """A store may be down for a minute; a person has decided, and will not do it twice. Three times, and no more."""
    answer(loop.settings, 2, "approved", reason="fine", by="ann")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelRegistry, "evidence", store_is_down)
        assert not sensor.goes_on().success
        assert not sensor.goes_on().success
    assert sensor.goes_on().success
    assert loop.served_version() == 2


def store_is_down(*_: object) -> None:
    """As MLflow's adapter says it."""
    raise EvidenceMissing("the evidence of version 2 cannot be read: 503")


def test_a_late_tag_does_not_answer_the_request_that_follows(loop: Loop, sensor: Sensor) -> None:
    """The first has expired and nobody has voided it yet."""
    contract = loop.settings.dataset
    contract.write_text(contract.read_text() + "expires_hours = 1e-6\n")
    candidate(loop, "2024-03", flipped=True)
    contract.write_text(contract.read_text().replace("1e-6", "72"))
    loop.registry._client().set_model_version_tag("small", "3", "approval", "approved")
    assert "waits for approval until" in failure_message(loop.promote_by_hand())
    assert sensor.tick()[0] == []
    assert loop.approvals.pending() is not None


def test_a_request_that_expired_is_void(loop: Loop, sensor: Sensor) -> None:
    """Whoever approves weeks later approves something else."""
    contract = loop.settings.dataset
    contract.write_text(contract.read_text() + "expires_hours = 1e-6\n")
    candidate(loop, "2024-03", flipped=True)
    with pytest.raises(UserError, match="holds no more: nobody answered until"):
        answer(loop.settings, 3, "approved", reason="late", by="ann")
    assert sensor.tick()[0] == []
    assert loop.served_version() == 1


def test_a_tag_of_an_earlier_request_does_not_answer_a_later_one(loop: Loop, sensor: Sensor) -> None:
    """Set after the first was void, it would promote the moment somebody asks again."""
    pending = loop.approvals.pending()
    assert pending is not None
    loop.approvals.answer(pending.number, "void", actor="the loop", reason="nobody answered")
    sensor.tick()
    loop.registry._client().set_model_version_tag("small", "2", "approval", "approved")
    assert "waits for approval until" in failure_message(loop.promote_by_hand())
    assert sensor.tick()[0] == []
    again = loop.approvals.pending()
    assert again is not None
    assert again.number > pending.number


def test_a_candidate_that_was_deleted_voids_its_request(loop: Loop, sensor: Sensor) -> None:
    """The sensor must not fail at every look until the request expires."""
    loop.registry._client().delete_model_version("small", "2")
    runs, said = sensor.tick()
    assert runs == []
    assert "the evidence of version 2 is not the one that was asked about" in str(said)
    assert loop.approvals.pending() is None


def test_a_run_by_hand_is_of_the_newest_candidate_and_not_of_what_was_approved_once(loop: Loop, sensor: Sensor) -> None:
    """Whoever clicks on materialize wants to know of the last one."""
    answer(loop.settings, 2, "approved", reason="fine", by="ann")
    assert sensor.goes_on().success
    candidate(loop, "2024-03", flipped=True)
    assert "version 3 is not promoted" in failure_message(loop.promote_by_hand())


def test_evidence_that_changed_after_the_approval_is_not_promoted(loop: Loop, sensor: Sensor) -> None:
    """The approval was of that evidence."""
    answer(loop.settings, 2, "approved", reason="fine", by="ann")
    loop.registry._client().set_model_version_tag("small", "2", "evidence_sha256", "f" * 64)
    assert "is not the one that the gate wrote" in failure_message(sensor.goes_on())
    assert loop.served_version() == 1


def test_a_hold_stops_what_was_approved_until_it_is_lifted(loop: Loop, sensor: Sensor) -> None:
    """And then it goes on by itself."""
    loop.ledger.set_hold(is_on=True, actor="ann", reason="incident 7")
    answer(loop.settings, 2, "approved", reason="fine", by="ann")
    runs, said = sensor.tick()
    assert runs == []
    assert "incident 7" in str(said)
    loop.ledger.set_hold(is_on=False, actor="ann", reason="solved")
    assert sensor.goes_on().success
    assert loop.served_version() == 2


def test_a_refused_candidate_asks_nobody(loop: Loop) -> None:
    """A person is asked about what passed the gate, and cannot let through what did not."""
    answer(loop.settings, 2, "rejected", reason="no", by="ann")
    candidate(loop, "2024-03", flipped=False, shift=0)
    assert loop.approvals.newest(3) is None
    with pytest.raises(UserError, match="nobody asks for version 3: no version waits for approval"):
        answer(loop.settings, 3, "approved", reason="-", by="ann")


def test_an_answer_needs_a_reason(loop: Loop) -> None:
    """The ledger would end with nothing after the colon."""
    with pytest.raises(UserError, match="--reason is empty"):
        answer(loop.settings, 2, "approved", reason=" ", by="ann")
    assert loop.approvals.pending() is not None


def test_who_answers_must_have_a_name_that_fits(loop: Loop) -> None:
    """The ledger has a place for a name, and not for a letter."""
    for by in (" ", "a" * 101):
        with pytest.raises(UserError, match="--by is a name of up to 100 characters"):
            answer(loop.settings, 2, "approved", reason="-", by=by)
    assert loop.approvals.pending() is not None
