"""Follows the pointer: loads what it names, swaps to it, or refuses it and keeps what is served.

What makes a release fit to serve belongs to `serving.slot`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from litestar import Litestar

from serving.feature_source import FeatureSource
from serving.file_mark import Mark, mark_of
from serving.metrics import Metrics
from serving.rehearsal import rehearse
from serving.release import MODEL, POINTER, Pointer, ReleaseInvalid, read_pointer
from serving.repeated import repeated
from serving.schemas import Refused
from serving.settings import Settings
from serving.slot import Slot, load
from serving.state import Serving

logger = logging.getLogger(__name__)


class Watcher:
    """Keeps `Serving` at what the pointer names.

    A refused release is tried again when the pointer or a file of the bundle changes, not before.
    """

    def __init__(self, settings: Settings, serving: Serving, features: FeatureSource, metrics: Metrics) -> None:
        self._settings = settings
        self._features = features
        self._releases = settings.releases
        self._poll_seconds = settings.poll_seconds
        self._serving = serving
        self._metrics = metrics
        self._seen: dict[Path, Mark] = {}

    @asynccontextmanager
    async def lifespan(self, _: Litestar) -> AsyncIterator[None]:
        """Looks once before requests are accepted, and then until the app ends."""
        await asyncio.to_thread(self.look)
        if self._serving.slot is None:
            logger.warning("there is nothing to serve in %s yet", self._releases.absolute())
        try:
            async with repeated(self.look, seconds=self._poll_seconds):
                yield
        finally:
            self._features.close()

    def look(self) -> None:
        """Follows the features and the pointer, where they or the bundle that was refused changed; never raises."""
        try:
            self._features.look()
            if not self._seen or any(mark_of(path) != mark for path, mark in self._seen.items()):
                self._follow()
        except Exception:
            logger.exception("the look at %s failed", self._releases)

    def _follow(self) -> None:
        # Marks are taken before the reading: what changes meanwhile is seen at the next look.
        pointer_mark = {self._releases / POINTER: mark_of(self._releases / POINTER)}
        self._seen = dict(pointer_mark)
        pointer = None
        try:
            pointer = read_pointer(self._releases)
            if pointer is None:
                return
            self._seen |= _marks(self._releases / str(pointer.model_version))
            slot = self._load(pointer)
        except Exception as error:
            self._refuse(pointer, error)
            return
        self._seen = pointer_mark
        self._serving.slot = slot
        self._serving.refused = None
        self._metrics.count_swap()
        logger.info("serving version %s, epoch %s", pointer.model_version, pointer.epoch)

    def _load(self, pointer: Pointer) -> Slot:
        model = self._releases / str(pointer.model_version) / MODEL
        if model.is_file() and model.stat().st_size >= self._settings.rehearse_bytes:
            rehearse(self._releases, pointer, memory_bytes=self._settings.rehearse_memory_bytes)
        return load(self._releases, pointer, max_row_milliseconds=self._settings.max_row_milliseconds)

    def _refuse(self, pointer: Pointer | None, error: Exception) -> None:
        if isinstance(error, OSError):
            self._seen = {}  # the disk failed, not the release: no change of a file will tell when it is over
        version, epoch = (pointer.model_version, pointer.epoch) if pointer else (None, None)
        reason = str(error) if isinstance(error, ReleaseInvalid | OSError) else f"{type(error).__name__}: {error}"
        before = self._serving.refused
        if before and (before.model_version, before.epoch, before.reason) == (version, epoch, reason):
            return
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self._serving.refused = Refused(model_version=version, epoch=epoch, reason=reason, at=at)
        self._metrics.count_refusal()
        what = f"version {version}, epoch {epoch}" if pointer else "the pointer"
        logger.error("refused %s: %s", what, reason)


def _marks(bundle: Path) -> dict[Path, Mark]:
    files = list(bundle.iterdir()) if bundle.is_dir() else []
    return {path: mark_of(path) for path in (bundle, *files)}
