import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from threading import Barrier, Event, Thread

import msgspec
import pytest
from hypothesis import settings

from mlops_assets.adapters.ledger import Ledger, ProductionMoved, PromotionHeld
from mlops_assets.adapters.promotion import NothingToRollBackTo, Promoter
from serving import release
from serving.release import Pointer, ReleaseInvalid
from tests.unit.mlops_assets.adapters.promotion_machine import MOMENTS, Crashed, Loop, Promotions, ledger_in
from tests.unit.mlops_assets.small_bundles import FolderRegistry


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    """Version 1 is production, of epoch 1; versions 2 and 3 are registered."""
    loop = Loop(tmp_path, ledger_in(tmp_path))
    for version in (1, 2, 3):
        loop.registry.add(version)
    loop.promoter.promote(loop.request(1))
    loop.agree()
    return loop


def test_a_promotion_moves_ledger_registry_and_pointer(loop: Loop) -> None:
    """The plain case, and the way back, which is the same way."""
    assert loop.serves == (1, 1)
    assert loop.promoter.promote(loop.request(2)).epoch == 2
    assert loop.serves == (2, 2)
    loop.agree()
    assert loop.promoter.promote(loop.request(1)).epoch == 3
    assert loop.serves == (1, 3)
    loop.agree()
    assert [outcome for _, outcome in loop.ledger.history()] == ["done"] * 3


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_a_crash_left_is_finished(loop: Loop, moment: str) -> None:
    """Wherever it happened, production ends as one model in all three places."""
    loop.crash(2, moment)
    finished = loop.promoter.reconcile()
    assert [one.promotion.model_version for one in finished] == ([] if moment == "after conclude" else [2])
    assert loop.serves == (2, 2)
    loop.agree()
    assert loop.promoter.reconcile() == []


@pytest.mark.parametrize("first", MOMENTS)
@pytest.mark.parametrize("second", ["before publish", "after move", "before conclude"])
def test_a_crash_while_finishing_is_finished_too(loop: Loop, first: str, second: str) -> None:
    """Each step is harmless to repeat as often as need be."""
    loop.crash(2, first)
    loop.crash_at = second
    if loop.ledger.unfinished():
        published = loop.releases.holds(2, manifest_sha256=loop.request(2).manifest_sha256)
        # A bundle that is published already is not published again, so there is nothing to crash in.
        with nullcontext() if published and second == "before publish" else pytest.raises(Crashed):
            loop.promoter.reconcile()
    loop.crash_at = None
    loop.promoter.reconcile()
    assert loop.serves == (2, 2)
    loop.agree()


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_next_promotion_first_finishes_what_a_crash_left(loop: Loop, moment: str) -> None:
    """Its own evidence is of the production before: it must be refused, and not undo the one it never saw."""
    asked = loop.request(3)
    loop.crash(2, moment)
    with pytest.raises(ProductionMoved):
        loop.promoter.promote(asked)
    assert loop.serves == (2, 2)
    loop.agree()


def test_a_request_against_another_production_changes_nothing(loop: Loop) -> None:
    """Stale evidence must not promote."""
    asked = loop.request(3)
    loop.promoter.promote(loop.request(2))
    with pytest.raises(ProductionMoved):
        loop.promoter.promote(asked)
    assert loop.serves == (2, 2)
    assert not (loop.releases.folder / "3").exists()
    loop.agree()


def test_a_bundle_that_does_not_match_is_void_and_changes_nothing(loop: Loop) -> None:
    """What the gate judged was another file."""
    asked = loop.request(2)
    loop.registry.spoil(2)
    with pytest.raises(ReleaseInvalid):
        loop.promoter.promote(asked)
    assert loop.serves == (1, 1)
    assert [(promotion.epoch, outcome) for promotion, outcome in loop.ledger.history()] == [(2, "void"), (1, "done")]
    assert not (loop.releases.folder / "2").exists()
    loop.agree()
    assert loop.promoter.promote(loop.request(3)).epoch == 3
    loop.agree()


def test_another_hash_for_the_version_that_is_served_does_not_take_it_away(loop: Loop) -> None:
    """The served bundle must not be deleted for a request that turns out to be void."""
    with pytest.raises(ReleaseInvalid):
        loop.promoter.promote(loop.request(1, sha="f" * 64))
    assert loop.serves == (1, 1)
    loop.agree()


@pytest.mark.parametrize("moment", ["before download", "after download", "before publish"])
def test_a_bundle_that_was_changed_after_the_crash_is_void(loop: Loop, moment: str) -> None:
    """Nothing was published yet: finishing it would serve what nobody judged."""
    loop.crash(2, moment)
    loop.registry.spoil(2)
    loop.promoter.reconcile()
    assert loop.serves == (1, 1)
    loop.agree()


@pytest.mark.parametrize("moment", ["after publish", "before move"])
def test_a_version_that_was_deleted_after_the_crash_is_given_up(loop: Loop, moment: str) -> None:
    """Its alias can never be moved: an intent that stays open would stop every later promotion, and the way back."""
    loop.crash(2, moment)
    shutil.rmtree(loop.registry.folder / "2")
    (given_up,) = loop.promoter.reconcile()
    assert str(given_up) == (
        "gave up the promotion of version 2, which a crash had left: version 2 is gone from MLflow"
    )
    assert loop.serves == (1, 1)
    loop.agree()
    loop.promoter.promote(loop.request(3))
    loop.agree()


def test_a_version_that_was_deleted_once_it_is_served_stays(loop: Loop) -> None:
    """The service answers with it already; the ledger says so."""
    loop.crash(2, "after point")
    shutil.rmtree(loop.registry.folder / "2")
    (finished,) = loop.promoter.reconcile()
    assert finished.void is None
    assert loop.serves == (2, 2)
    assert loop.ledger.unfinished() == []


def test_a_version_that_was_deleted_is_not_promoted(loop: Loop) -> None:
    """And leaves no intent."""
    asked = loop.request(2)
    shutil.rmtree(loop.registry.folder / "2")
    with pytest.raises(ReleaseInvalid, match="version 2 is gone from MLflow"):
        loop.promoter.promote(asked)
    assert len(loop.ledger.history()) == 1


def test_nobody_comes_between_the_steps_of_a_promotion(loop: Loop) -> None:
    """A reconciler beside it would take its open intent for one that a crash left."""
    moving, go_on, looked = Event(), Event(), Event()
    move = loop.registry.move_production

    def slow(version: int) -> None:
        moving.set()
        go_on.wait(10)
        move(version)

    loop.registry.move_production = slow  # type: ignore[method-assign]
    other = Promoter(Ledger(loop.ledger.url), FolderRegistry(loop.registry.folder), loop.releases)

    def look() -> None:
        assert other.put_right() == []
        looked.set()

    with ThreadPoolExecutor(2) as threads:
        promoting = threads.submit(loop.promoter.promote, loop.request(2))
        assert moving.wait(10)
        looking = threads.submit(look)
        assert not looked.wait(0.5)
        go_on.set()
        assert promoting.result().epoch == 2
        looking.result()
    loop.agree()


def test_a_pointer_that_cannot_be_read_stops_no_promotion(loop: Loop) -> None:
    """The ledger decides, and the pointer says what it says."""
    (loop.releases.folder / release.POINTER).write_bytes(b"{ half")
    loop.promoter.promote(loop.request(2))
    assert loop.serves == (2, 2)
    loop.agree()


def test_of_two_promotions_at_once_one_wins(loop: Loop) -> None:
    """Two runs, one state folder."""
    together, won = Barrier(2), []

    def race(version: int) -> None:
        promoter = Promoter(Ledger(loop.ledger_url), loop.registry, loop.releases)
        asked = loop.request(version)
        together.wait()
        try:
            promoter.promote(asked)
        except ProductionMoved:
            return
        won.append(version)

    threads = [Thread(target=race, args=(version,)) for version in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert loop.serves == (won[0], 2)
    loop.agree()


TestPromotions = Promotions.TestCase
TestPromotions.settings = settings(max_examples=500, stateful_step_count=12, deadline=None)


@pytest.mark.parametrize(("version", "to"), [(None, 2), (2, 2), (1, 1)])
def test_rolling_back_makes_an_earlier_version_production_under_a_new_epoch(
    loop: Loop, version: int | None, to: int
) -> None:
    """By the same steps as a promotion, so that the service follows it as one."""
    for number in (2, 3):
        loop.promoter.promote(loop.request(number))
    promotion = loop.promoter.roll_back(version, actor="ann", reason="it answers too low")
    assert (promotion.model_version, promotion.epoch, promotion.actor) == (to, 4, "ann")
    assert loop.serves == (to, 4)
    loop.agree()
    with pytest.raises(PromotionHeld):
        loop.promoter.promote(loop.request(3))
    assert loop.serves == (to, 4)


def test_rolling_back_again_goes_further_back(loop: Loop) -> None:
    """And not forth to what was left a minute ago."""
    for number in (2, 3):
        loop.promoter.promote(loop.request(number))
    assert [loop.promoter.roll_back(None, actor="ann", reason="no").model_version for _ in range(2)] == [2, 1]
    with pytest.raises(NothingToRollBackTo, match="no version before 1 was production; versions to go back to: 2, 3"):
        loop.promoter.roll_back(None, actor="ann", reason="no")
    assert loop.promoter.roll_back(3, actor="ann", reason="it was better").model_version == 3
    loop.agree()


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (2, "version 2 never was production; versions to go back to: none"),
        (1, "version 1 is production already"),
        (None, "no version before 1 was production"),
    ],
)
def test_what_never_was_production_cannot_be_gone_back_to(loop: Loop, version: int | None, said: str) -> None:
    """It would be a way round the gate."""
    before = loop.ledger.history()
    with pytest.raises(NothingToRollBackTo, match=said):
        loop.promoter.roll_back(version, actor="ann", reason="no")
    assert loop.ledger.history() == before
    assert loop.ledger.hold() is None
    assert loop.serves == (1, 1)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_crash_while_rolling_back_is_finished_and_the_hold_stays(loop: Loop, moment: str) -> None:
    """Whoever rolled back in an incident must not find the bad version in production after a restart."""
    loop.promoter.promote(loop.request(2))
    shutil.rmtree(loop.releases.folder / "1")  # so that the way back downloads and publishes too
    loop.crash_at = moment
    with pytest.raises(Crashed):
        loop.promoter.roll_back(1, actor="ann", reason="no")
    loop.crash_at = None
    loop.promoter.reconcile()
    loop.agree()
    assert loop.serves == (1, 3)
    assert loop.ledger.hold() is not None


def test_a_version_whose_bundle_is_gone_is_not_gone_back_to(loop: Loop) -> None:
    """Production stays as it is; that someone wanted to stop the loop stays too."""
    loop.promoter.promote(loop.request(2))
    shutil.rmtree(loop.releases.folder / "1")
    loop.registry.spoil(1)
    with pytest.raises(ReleaseInvalid):
        loop.promoter.roll_back(1, actor="ann", reason="no")
    loop.agree()
    assert loop.serves == (2, 2)
    assert loop.ledger.hold() is not None


def test_an_alias_that_someone_moved_is_put_back_and_told(loop: Loop) -> None:
    """MLflow keeps no history of it, and the service does not follow: two stories of what is in production."""
    loop.promoter.promote(loop.request(2))
    assert loop.promoter.put_right() == []
    loop.registry.move_by_hand(3)
    assert loop.serves == (2, 2)
    (said,) = loop.promoter.put_right()
    assert "named version 3 and was put back to 2" in said
    loop.agree()


@pytest.mark.parametrize("forged", ["a higher epoch", "another version", "no pointer", "half a pointer"])
def test_a_pointer_that_the_ledger_does_not_know_is_put_back(loop: Loop, forged: str) -> None:
    """The service follows the pointer, whoever wrote it; a higher epoch must not shield it."""
    loop.promoter.promote(loop.request(2))
    path = loop.releases.folder / release.POINTER
    pointer = loop.releases.pointer()
    assert pointer is not None
    if forged == "no pointer":
        path.unlink()
    elif forged == "half a pointer":
        path.write_bytes(b"{ half")
    else:
        loop.releases.point_to(
            msgspec.structs.replace(pointer, epoch=99)
            if forged == "a higher epoch"
            else msgspec.structs.replace(pointer, model_version=1)
        )
    (said,) = loop.promoter.put_right()
    assert said.endswith("and was put back to version 2, epoch 2, which the ledger has")
    loop.agree()
    assert loop.promoter.put_right() == []


def test_a_release_that_was_changed_is_taken_from_the_registry_again(loop: Loop) -> None:
    """The service keeps what it has loaded, and could not start again."""
    (loop.releases.folder / "1" / release.MODEL).write_bytes(b"another model")
    (said,) = loop.promoter.put_right()
    assert said == "the release of version 1 was not whole and was taken from MLflow again"
    loop.agree()


def test_a_release_that_cannot_be_mended_is_told(loop: Loop) -> None:
    """And nothing else is left undone for it."""
    (loop.releases.folder / "1" / release.MODEL).write_bytes(b"another model")
    loop.registry.spoil(1)
    loop.registry.move_by_hand(3)
    broken, moved = loop.promoter.put_right()
    assert "is not whole, and cannot be mended" in broken
    assert "named version 3" in moved
    assert loop.registry.production == 1


def test_before_the_first_promotion_an_alias_is_nobodys(tmp_path: Path) -> None:
    """There is nothing to put it back to."""
    loop = Loop(tmp_path, ledger_in(tmp_path))
    loop.registry.add(1)
    loop.registry.move_by_hand(1)
    assert loop.promoter.put_right() == []


def test_before_the_first_promotion_a_pointer_is_taken_away(tmp_path: Path) -> None:
    """A service that starts would answer with what nobody judged."""
    loop = Loop(tmp_path, ledger_in(tmp_path))
    sha = loop.registry.add(1)
    loop.releases.publish(loop.registry.folder / "1", model_version=1, manifest_sha256=sha)
    loop.releases.point_to(Pointer(model_version=1, epoch=1, manifest_sha256=sha, promoted_at="now"))
    (said,) = loop.promoter.put_right()
    assert "no promotion of the ledger made" in said
    assert loop.serves is None
    assert loop.promoter.put_right() == []


def test_a_version_that_was_deleted_is_not_gone_back_to(loop: Loop) -> None:
    """Its bundle is still here, and the alias could never be moved: an open intent would stop every later promotion."""
    loop.promoter.promote(loop.request(2))
    shutil.rmtree(loop.registry.folder / "1")
    with pytest.raises(ReleaseInvalid, match="version 1 is gone from MLflow"):
        loop.promoter.roll_back(1, actor="ann", reason="no")
    loop.agree()
    assert loop.ledger.hold() is None


def test_an_alias_is_not_put_back_to_a_version_that_was_deleted(loop: Loop) -> None:
    """MLflow would refuse, and the next promotion would fail with it."""
    shutil.rmtree(loop.registry.folder / "1")
    loop.registry.move_by_hand(3)
    assert loop.promoter.put_right() == ["version 1, which is production, is gone from MLflow"]
    loop.promoter.promote(loop.request(2))
    loop.agree()
