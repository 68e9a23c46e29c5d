"""A ledger, a registry and a release store that crash at a chosen moment, and the state machine over them."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
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


def ledger_in(folder: Path) -> str:
    """A ledger as a file."""
    return f"sqlite:///{folder / 'ledger.db'}"


class Crashed(BaseException):
    """The process is gone: nothing handles this."""


class Loop:
    """A ledger, a registry and a release store on one folder, which crash at a chosen moment."""

    def __init__(self, folder: Path, ledger_url: str) -> None:
        self.folder = folder
        self.ledger_url = ledger_url
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
        self.ledger = CrashingLedger(ledger_url)
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


class Promotions(RuleBasedStateMachine):
    """Promotions, roll backs, holds, crashes, moved aliases and spoiled bundles in any order.

    Ledger, registry and pointer never tell two stories.
    """

    def __init__(self, new_ledger: Callable[[Path], str] = ledger_in) -> None:
        """Names the place of each example's ledger: given the example's folder, the URL of an empty one."""
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.loop = Loop(self.folder, new_ledger(self.folder))
        self.shas: dict[int, str] = {}
        self.epoch = 0
        self.spoiled: set[int] = set()
        self.deleted: set[int] = set()

    def teardown(self) -> None:
        """Finishes, checks and cleans up."""
        self.loop.promoter.reconcile()
        self.loop.promoter.put_right()
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
            assert version in self.spoiled | self.deleted
            assert self.loop.serves == had or self.loop.serves is not None
        except PromotionHeld:
            assert self.loop.ledger.hold() is not None
        else:
            assert self.loop.ledger.hold() is None
            assert self.loop.serves == (version, promotion.epoch)
        self.loop.promoter.put_right()
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
        except Crashed:
            assert self.loop.ledger.hold() is not None
        except ReleaseInvalid:
            assert self.loop.ledger.hold() is not None or self.deleted
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

    @precondition(lambda self: self.loop.serves is not None)
    @rule(epoch=st.integers(1, 50), data=st.data())
    def forge_the_pointer(self, epoch: int, data: st.DataObject) -> None:
        """Somebody writes another release into it, or half of one, or deletes it; the next look puts it back."""
        path = self.loop.releases.folder / release.POINTER
        version = data.draw(st.none() | st.sampled_from(sorted(self.shas)))
        if version is None:
            path.write_bytes(data.draw(st.sampled_from([b"", b"{ half"])))
        else:
            forged = Pointer(model_version=version, epoch=epoch, manifest_sha256=self.shas[version], promoted_at="now")
            path.write_bytes(msgspec.json.encode(forged))
        self.loop.promoter.put_right()
        self.loop.agree()

    @precondition(lambda self: self.loop.serves is not None)
    @rule()
    def break_the_release(self) -> None:
        """Somebody edits what is served; it is mended where the registry still has it, and told where not."""
        self.loop.promoter.put_right()
        production = self.loop.ledger.production()
        assert production is not None
        model = self.loop.releases.folder / str(production.model_version) / release.MODEL
        whole = model.read_bytes()
        model.write_bytes(whole + b"?")
        said = self.loop.promoter.put_right()
        if production.model_version in self.spoiled:
            assert any("cannot be mended" in line for line in said)
            model.write_bytes(whole)
        self.loop.agree()

    @rule()
    def reconcile(self) -> None:
        """The next start."""
        self.loop.promoter.reconcile()
        self.loop.promoter.put_right()
        self.loop.agree()

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """Somebody deletes a version in MLflow that is not served; it may be one whose promotion a crash left."""
        served = self.loop.serves
        free = sorted(self.shas.keys() - self.deleted - ({served[0]} if served else set()))
        production = self.loop.ledger.production()
        free = [version for version in free if production is None or version != production.model_version]
        if free:
            version = data.draw(st.sampled_from(free))
            self.loop.registry.delete(version)
            self.deleted.add(version)

    @precondition(lambda self: self.shas.keys() - self.spoiled - self.deleted)
    @rule(data=st.data())
    def spoil(self, data: st.DataObject) -> None:
        """Somebody edits a bundle in the registry."""
        version = data.draw(st.sampled_from(sorted(self.shas.keys() - self.spoiled - self.deleted)))
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
