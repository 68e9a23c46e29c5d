import shutil
import tempfile
from contextlib import nullcontext
from pathlib import Path
from threading import Barrier, Thread
from typing import Any, Literal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mlops_assets.adapters.ledger import Ledger, ProductionMoved, PromotionHeld
from mlops_assets.adapters.promotion import NothingToRollBackTo, Promoter
from mlops_assets.adapters.release_store import ReleaseStore
from serving import release
from serving.release import Pointer, ReleaseInvalid
from tests.unit.mlops_assets.small_bundles import FolderRegistry, request_for

STEPS = ("download", "publish", "move", "point", "conclude")
MOMENTS = [f"{when} {step}" for step in STEPS for when in ("before", "after")]


class Crashed(BaseException):
    """The process is gone: nothing handles this."""


class Loop:
    """A ledger, a registry and a release store on one folder, which crash at a chosen moment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.crash_at: str | None = None
        loop = self

        class CrashingRegistry(FolderRegistry):
            def download_bundle(self, version: int, folder: Path) -> Path:
                return Path(loop.step("download", super().download_bundle, version, folder))

            def move_production(self, version: int) -> None:
                loop.step("move", super().move_production, version)

        class CrashingReleases(ReleaseStore):
            def publish(self, bundle: Path, *, model_version: int, manifest_sha256: str) -> None:
                publish = super().publish
                loop.step(
                    "publish", lambda: publish(bundle, model_version=model_version, manifest_sha256=manifest_sha256)
                )

            def point_to(self, pointer: Pointer) -> None:
                loop.step("point", super().point_to, pointer)

        class CrashingLedger(Ledger):
            def conclude(self, epoch: int, outcome: Literal["done", "void"]) -> None:
                loop.step("conclude", super().conclude, epoch, outcome)

        self.registry = CrashingRegistry(folder / "registry")
        self.releases = CrashingReleases(folder / "releases")
        self.ledger = CrashingLedger(f"sqlite:///{folder / 'ledger.db'}")
        self.promoter = Promoter(self.ledger, self.registry, self.releases)
        self.registry.folder.mkdir()

    def step(self, name: str, act: Any, *args: Any) -> Any:  # noqa: ANN401 -- any step's own arguments and answer
        """Does a step, unless this is where it crashes."""
        if self.crash_at == f"before {name}":
            raise Crashed(name)
        answer = act(*args)
        if self.crash_at == f"after {name}":
            raise Crashed(name)
        return answer

    def request(self, version: int, *, sha: str | None = None) -> Any:  # noqa: ANN401 -- a Request
        """A request that expects what the ledger says now."""
        now = self.ledger.production()
        sha = sha or release.sha256_of(self.registry.folder / str(version) / release.MANIFEST)
        return request_for(version, sha, expected_epoch=now.epoch if now else None)

    def crash(self, version: int, moment: str) -> None:
        """Promotes a version and crashes."""
        asked = self.request(version)
        self.crash_at = moment
        try:
            with pytest.raises(Crashed):
                self.promoter.promote(asked)
        finally:
            self.crash_at = None

    @property
    def serves(self) -> tuple[int, int] | None:
        """Version and epoch that the pointer names."""
        pointer = self.releases.pointer()
        return (pointer.model_version, pointer.epoch) if pointer else None

    def agree(self) -> None:
        """Ledger, registry, pointer and the bundle that it names all say the same, and nothing is open."""
        assert self.ledger.unfinished() == []
        production = self.ledger.production()
        assert self.serves == ((production.model_version, production.epoch) if production else None)
        assert self.registry.production == (production.model_version if production else None)
        if production is not None:
            release.verify(
                self.releases.folder / str(production.model_version),
                manifest_sha256=production.manifest_sha256,
                model_version=production.model_version,
            )
        epochs = [promotion.epoch for promotion, _ in self.ledger.history()]
        assert epochs == list(range(len(epochs), 0, -1))


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    """Version 1 is production, of epoch 1; versions 2 and 3 are registered."""
    loop = Loop(tmp_path)
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
    assert [promotion.model_version for promotion in finished] == ([] if moment == "after conclude" else [2])
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


def test_a_pointer_that_cannot_be_read_voids_nothing_half_done(loop: Loop) -> None:
    """The alias has moved by then: the promotion stays open, and is finished once the pointer is mended."""
    pointer = loop.releases.folder / release.POINTER
    pointer.write_bytes(b"{ half")
    with pytest.raises(ReleaseInvalid, match=release.POINTER):
        loop.promoter.promote(loop.request(2))
    with pytest.raises(ReleaseInvalid, match=release.POINTER):
        loop.promoter.reconcile()
    assert [promotion.epoch for promotion in loop.ledger.unfinished()] == [2]
    pointer.unlink()
    loop.promoter.reconcile()
    assert loop.serves == (2, 2)
    loop.agree()


def test_of_two_promotions_at_once_one_wins(loop: Loop) -> None:
    """Two runs, one state folder."""
    together, won = Barrier(2), []

    def race(version: int) -> None:
        promoter = Promoter(Ledger(f"sqlite:///{loop.folder / 'ledger.db'}"), loop.registry, loop.releases)
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


class Promotions(RuleBasedStateMachine):
    """Promotions, roll backs, holds, crashes, moved aliases and spoiled bundles in any order.

    Ledger, registry and pointer never tell two stories.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.loop = Loop(self.folder)
        self.shas: dict[int, str] = {}
        self.epoch = 0
        self.spoiled: set[int] = set()

    def teardown(self) -> None:
        """Finishes, checks and cleans up."""
        self.loop.promoter.reconcile()
        self.loop.promoter.put_alias_back()
        self.loop.agree()
        shutil.rmtree(self.folder)

    @initialize()
    def first(self) -> None:
        """There is a candidate."""
        self.register()

    @rule()
    def register(self) -> None:
        """A new candidate."""
        version = len(self.shas) + 1
        self.shas[version] = self.loop.registry.add(version)

    @rule(data=st.data())
    def promote(self, data: st.DataObject) -> None:
        """A version becomes production, if it is what was judged."""
        version = data.draw(st.sampled_from(sorted(self.shas)))
        had = self.loop.serves
        self.loop.promoter.reconcile()
        try:
            promotion = self.loop.promoter.promote(self.loop.request(version, sha=self.shas[version]))
        except ReleaseInvalid:
            assert version in self.spoiled
            assert self.loop.serves == had or self.loop.serves is not None
        except PromotionHeld:
            assert self.loop.ledger.hold() is not None
        else:
            assert self.loop.ledger.hold() is None
            assert self.loop.serves == (version, promotion.epoch)
        self.loop.promoter.put_alias_back()
        self.loop.agree()

    @rule(data=st.data(), moment=st.sampled_from(MOMENTS))
    def crash(self, data: st.DataObject, moment: str) -> None:
        """A promotion that the process does not survive."""
        version = data.draw(st.sampled_from(sorted(self.shas)))
        asked = self.loop.request(version, sha=self.shas[version])
        self.loop.crash_at = moment
        try:
            self.loop.promoter.promote(asked)
        except (Crashed, ProductionMoved, PromotionHeld, ReleaseInvalid):
            pass
        else:
            if not moment.endswith(("download", "publish")):
                pytest.fail("it was to crash")
            assert self.loop.releases.holds(version, manifest_sha256=self.shas[version])
        finally:
            self.loop.crash_at = None

    @rule(data=st.data(), moment=st.none() | st.sampled_from(MOMENTS))
    def roll_back(self, data: st.DataObject, moment: str | None) -> None:
        """A person goes back to an earlier version, or the next older one; the process may not survive it."""
        version = data.draw(st.none() | st.sampled_from(sorted(self.shas)))
        self.loop.promoter.reconcile()
        promoted = {promotion.model_version for promotion, outcome in self.loop.ledger.history() if outcome == "done"}
        had = self.loop.serves
        self.loop.crash_at = moment
        try:
            promotion = self.loop.promoter.roll_back(version, actor="ann", reason="no")
        except NothingToRollBackTo:
            assert self.loop.serves == had
        except (Crashed, ReleaseInvalid):
            assert self.loop.ledger.hold() is not None
        else:
            assert promotion.model_version in promoted
            assert self.loop.serves == (promotion.model_version, promotion.epoch)
            assert self.loop.ledger.hold() is not None
        finally:
            self.loop.crash_at = None

    @rule()
    def lift(self) -> None:
        """Somebody lifts the hold, if there is one."""
        self.loop.ledger.set_hold(is_on=False, actor="ann", reason="solved")

    @precondition(lambda self: self.loop.serves is not None)
    @rule(data=st.data())
    def move_the_alias_by_hand(self, data: st.DataObject) -> None:
        """In MLflow's own page; the service must not follow, and the next look puts it back."""
        had = self.loop.serves
        self.loop.registry.move_by_hand(data.draw(st.sampled_from(sorted(self.shas))))
        assert self.loop.serves == had

    @rule()
    def reconcile(self) -> None:
        """The next start."""
        self.loop.promoter.reconcile()
        self.loop.promoter.put_alias_back()
        self.loop.agree()

    @precondition(lambda self: len(self.spoiled) < len(self.shas))
    @rule(data=st.data())
    def spoil(self, data: st.DataObject) -> None:
        """Somebody edits a bundle in the registry."""
        version = data.draw(st.sampled_from(sorted(self.shas.keys() - self.spoiled)))
        self.loop.registry.spoil(version)
        self.spoiled.add(version)

    @invariant()
    def the_pointer_never_goes_back_and_names_a_whole_bundle(self) -> None:
        """At every moment, between a crash and the next start too: the service reads it then."""
        served = self.loop.serves
        if served is None:
            assert self.epoch == 0
            return
        version, epoch = served
        assert epoch >= self.epoch
        self.epoch = epoch
        release.verify(
            self.loop.releases.folder / str(version), manifest_sha256=self.shas[version], model_version=version
        )


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
    assert loop.promoter.put_alias_back() is None
    loop.registry.move_by_hand(3)
    assert loop.serves == (2, 2)
    said = loop.promoter.put_alias_back()
    assert said is not None
    assert "named version 3 and was put back to 2" in said
    loop.agree()


def test_before_the_first_promotion_an_alias_is_nobodys(tmp_path: Path) -> None:
    """There is nothing to put it back to."""
    loop = Loop(tmp_path)
    loop.registry.add(1)
    loop.registry.move_by_hand(1)
    assert loop.promoter.put_alias_back() is None


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
    assert loop.promoter.put_alias_back() == "version 1, which is production, is gone from MLflow"
    loop.promoter.promote(loop.request(2))
    loop.agree()
