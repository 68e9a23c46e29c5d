"""Promotion, exactly once: the steps that make a version production, each harmless to repeat.

    intent in the ledger -> bundle published -> alias and tags moved -> pointer replaced -> outcome in the ledger

A crash between two steps leaves an intent without an outcome; `reconcile` finishes it. Whether a version may be
promoted at all belongs to `mlops_assets.domain.gate`.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from mlops_assets.adapters.ledger import Ledger, Promotion, Request
from mlops_assets.adapters.release_store import ReleaseStore
from serving.release import Pointer, ReleaseInvalid


class Registry(Protocol):
    """What a promotion needs of the model registry."""

    def download_bundle(self, version: int, folder: Path) -> Path:
        """Copies a version's release bundle below `folder` and says where."""

    def move_production(self, version: int) -> None:
        """Sets the alias `production` and the versions' status tags."""


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
            promotion = self.ledger.intend(request)
            self._publish(promotion)
            self._move(promotion)
        return promotion

    def reconcile(self) -> list[Promotion]:
        """Finishes the promotions that a crash left, and says which."""
        with self._alone():
            return self._finish_what_a_crash_left()

    def _finish_what_a_crash_left(self) -> list[Promotion]:
        unfinished = self.ledger.unfinished()
        for promotion in unfinished:
            try:
                self._publish(promotion)
            except ReleaseInvalid:
                continue
            self._move(promotion)
        return unfinished

    def _publish(self, promotion: Promotion) -> None:
        """Up to here nothing has moved: a bundle that is gone, or not the judged one, makes the promotion void."""
        if self._releases.holds(promotion.model_version, manifest_sha256=promotion.manifest_sha256):
            return
        try:
            with TemporaryDirectory() as folder:
                bundle = self._registry.download_bundle(promotion.model_version, Path(folder))
                self._releases.publish(
                    bundle, model_version=promotion.model_version, manifest_sha256=promotion.manifest_sha256
                )
        except ReleaseInvalid:
            self.ledger.conclude(promotion.epoch, "void")
            raise

    def _move(self, promotion: Promotion) -> None:
        self._registry.move_production(promotion.model_version)
        self._releases.point_to(
            Pointer(
                model_version=promotion.model_version,
                epoch=promotion.epoch,
                manifest_sha256=promotion.manifest_sha256,
                promoted_at=promotion.at,
            )
        )
        self.ledger.conclude(promotion.epoch, "done")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The kernel frees the lock when its holder dies, so a crash never leaves it taken."""
        self._releases.folder.mkdir(parents=True, exist_ok=True)
        with (self._releases.folder / ".promotion.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
