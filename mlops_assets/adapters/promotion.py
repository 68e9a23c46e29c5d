"""Promotion, exactly once: the steps that make a version production, each harmless to repeat.

    intent in the ledger -> bundle published -> alias and tags moved -> pointer replaced -> outcome in the ledger

A crash between two steps leaves an intent without an outcome; `reconcile` finishes it. Whether a version may be
promoted at all belongs to `mlops_assets.domain.gate`.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from mlops_assets.adapters.ledger import Ledger, Promotion, Request
from mlops_assets.adapters.release_store import ReleaseStore
from serving.release import Pointer, ReleaseInvalid

BY_HAND = "by hand"
"""In the place of a run's id, where no run promoted."""


class NothingToRollBackTo(Exception):
    """There is no such earlier production; nothing changed."""


class Registry(Protocol):
    """What a promotion needs of the model registry."""

    def download_bundle(self, version: int, folder: Path) -> Path:
        """Copies a version's release bundle below `folder` and says where."""

    def move_production(self, version: int) -> None:
        """Sets the alias `production` and the versions' status tags."""

    def production_version(self) -> int | None:
        """The version that has the alias `production`."""

    def says_production(self, version: int) -> bool:
        """Whether alias and status tags say that this version, and no other, is production."""

    def holds(self, version: int) -> bool:
        """Whether the version is there."""


@dataclass(frozen=True)
class Finished:
    """What became of a promotion that a crash had left."""

    promotion: Promotion
    void: str | None
    """Why it was given up; None where it was finished."""

    def __str__(self) -> str:
        """In a sentence."""
        version = self.promotion.model_version
        if self.void is None:
            return f"finished the promotion of version {version}, which a crash had left"
        return f"gave up the promotion of version {version}, which a crash had left: {self.void}"


class Promoter:
    """Makes versions production; one at a time on one state folder."""

    def __init__(self, ledger: Ledger, registry: Registry, releases: ReleaseStore) -> None:
        self.ledger = ledger
        self._registry = registry
        self._releases = releases

    def promote(self, request: Request) -> Promotion:
        """Makes a version production.

        Raises:
            ProductionMoved: production is not what the request expects; nothing changed.
            ReleaseInvalid: the registry's bundle is not the one of the evidence; nothing changed.
        """
        with self._alone():
            self._finish_what_a_crash_left()
            self._demand_version(request.model_version)
            promotion = self.ledger.intend(request)
            self._publish(promotion)
            self._move(promotion)
        return promotion

    def roll_back(self, version: int | None, *, actor: str, reason: str) -> Promotion:
        """Makes an older version production again, and puts promotions on hold.

        Args:
            version: One that was production before; where none is named, the newest that is older than production's.
            actor: Who asks for it.
            reason: Why.

        Raises:
            NothingToRollBackTo: the version never was production, or is production now.
            ReleaseInvalid: its bundle is gone, or is not the one that was production; nothing changed.
        """
        with self._alone():
            self._finish_what_a_crash_left()
            production = self.ledger.production()
            earlier = _earlier(self.ledger, production, version)
            self._demand_version(earlier.model_version)
            promotion = self.ledger.intend(
                Request(
                    model_version=earlier.model_version,
                    expected_epoch=production.epoch if production else None,
                    actor=actor,
                    reason=reason,
                    manifest_sha256=earlier.manifest_sha256,
                    evidence_sha256=earlier.evidence_sha256,
                    dagster_run_id=BY_HAND,
                ),
                rolls_back=True,
            )
            self._publish(promotion)
            self._move(promotion)
        return promotion

    def reconcile(self) -> list[Finished]:
        """Finishes the promotions that a crash left, or gives them up; says which."""
        with self._alone():
            return self._finish_what_a_crash_left()

    def put_right(self) -> list[str]:
        """Makes release, alias and pointer what the ledger says of production; tells what it had to change.

        Nobody judged what was moved by hand, and no ledger has it: `mlops rollback` is the way.
        """
        with self._alone():
            finished = [str(one) for one in self._finish_what_a_crash_left()]
            production = self.ledger.production()
            if production is None:
                return finished + self._withdraw_pointer()
            return finished + [
                said
                for said in (
                    self._put_release_back(production),
                    self._put_alias_back(production),
                    self._put_pointer_back(production),
                )
                if said is not None
            ]

    def _withdraw_pointer(self) -> list[str]:
        """Before the first promotion there is nothing to serve, whatever someone wrote."""
        if not self._releases.withdraw_pointer():
            return []
        return ["the pointer named a release that no promotion of the ledger made, and was taken away"]

    def _put_release_back(self, production: Promotion) -> str | None:
        version, sha256 = production.model_version, production.manifest_sha256
        if self._releases.holds(version, manifest_sha256=sha256):
            return None
        try:
            self._download_and_publish(production)
        except ReleaseInvalid as error:
            return f"the release of version {version}, which is production, is not whole, and cannot be mended: {error}"
        return f"the release of version {version} was not whole and was taken from MLflow again"

    def _put_alias_back(self, production: Promotion) -> str | None:
        version = production.model_version
        if self._registry.says_production(version):
            return None
        if not self._registry.holds(version):
            return f"version {version}, which is production, is gone from MLflow"
        named = self._registry.production_version()
        self._registry.move_production(version)
        if named == version:
            return f"the tags `status` in MLflow said something else of production than version {version}: put back"
        return (
            f"the alias `production` in MLflow named version {named or 'none'} and was put back to {version}, which "
            "the ledger has; `mlops rollback` goes back to an older version"
        )

    def _put_pointer_back(self, production: Promotion) -> str | None:
        wanted = pointer_of(production)
        try:
            found = self._releases.pointer()
        except ReleaseInvalid:
            found = None
        if found == wanted:
            return None
        self._releases.point_to(wanted)
        named = f"version {found.model_version}, epoch {found.epoch}" if found else "nothing that can be read"
        return (
            f"the pointer named {named} and was put back to version {wanted.model_version}, epoch {wanted.epoch}, "
            "which the ledger has"
        )

    def _demand_version(self, version: int) -> None:
        """Its bundle may be kept here, and then only the alias could not be moved: the intent would stay open."""
        if not self._registry.holds(version):
            raise ReleaseInvalid(f"version {version} is gone from MLflow")

    def _finish_what_a_crash_left(self) -> list[Finished]:
        return [Finished(promotion, self._finish(promotion)) for promotion in self.ledger.unfinished()]

    def _finish(self, promotion: Promotion) -> str | None:
        """Does the steps that are missing; says why it gave up where it cannot, and nothing had moved."""
        try:
            self._publish(promotion)
        except ReleaseInvalid as error:
            return str(error)
        if self._registry.holds(promotion.model_version):
            self._move(promotion)
            return None
        if self._points_to(promotion):  # the alias of a version that was deleted since
            self.ledger.conclude(promotion.epoch, "done")
            return None
        self.ledger.conclude(promotion.epoch, "void")
        return f"version {promotion.model_version} is gone from MLflow"

    def _points_to(self, promotion: Promotion) -> bool:
        try:
            return self._releases.pointer() == pointer_of(promotion)
        except ReleaseInvalid:
            return False

    def _publish(self, promotion: Promotion) -> None:
        """Up to here nothing has moved: a bundle that is gone, or not the judged one, makes the promotion void."""
        if self._releases.holds(promotion.model_version, manifest_sha256=promotion.manifest_sha256):
            return
        try:
            self._download_and_publish(promotion)
        except ReleaseInvalid:
            self.ledger.conclude(promotion.epoch, "void")
            raise

    def _download_and_publish(self, promotion: Promotion) -> None:
        with TemporaryDirectory() as folder:
            bundle = self._registry.download_bundle(promotion.model_version, Path(folder))
            self._releases.publish(
                bundle, model_version=promotion.model_version, manifest_sha256=promotion.manifest_sha256
            )

    def _move(self, promotion: Promotion) -> None:
        self._registry.move_production(promotion.model_version)
        self._releases.point_to(pointer_of(promotion))
        self.ledger.conclude(promotion.epoch, "done")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The kernel frees the lock when its holder dies, so a crash never leaves it taken."""
        self._releases.folder.mkdir(parents=True, exist_ok=True)
        with (self._releases.folder / ".promotion.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def pointer_of(promotion: Promotion) -> Pointer:
    """What the service is to follow after a promotion."""
    return Pointer(
        model_version=promotion.model_version,
        epoch=promotion.epoch,
        manifest_sha256=promotion.manifest_sha256,
        promoted_at=promotion.at,
        promoted_by=promotion.actor,
    )


def _earlier(ledger: Ledger, production: Promotion | None, version: int | None) -> Promotion:
    """The newest promotion of the version, or of the newest one that is older than production's."""
    promoted = {
        promotion.model_version: promotion for promotion, outcome in reversed(ledger.history()) if outcome == "done"
    }
    now = production.model_version if production else 0
    if version is not None and version == now:
        raise NothingToRollBackTo(f"version {version} is production already")
    wanted = version if version is not None else max((known for known in promoted if known < now), default=None)
    if wanted in promoted:
        return promoted[wanted]
    known = ", ".join(str(known) for known in sorted(promoted) if known != now) or "none"
    said = f"version {wanted} never was production" if wanted is not None else f"no version before {now} was production"
    raise NothingToRollBackTo(f"{said}; versions to go back to: {known}")
