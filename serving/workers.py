"""What each worker of the service serves, as a small file for each: told by itself, read by all of them for `/model`.

What is served is decided by `serving.watcher`.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from threading import Lock
from time import time

import msgspec

from serving.repeated import repeated
from serving.schemas import LogState, WorkerStatus
from serving.settings import Settings
from serving.state import Serving

BEAT_SECONDS = 0.5
"""How often a worker says that it lives, and what it serves where that changed."""
SILENT_SECONDS = 3
"""One that has said nothing for so long is gone."""


class Workers:
    """The workers that share one state folder, of which this process is one."""

    def __init__(
        self, settings: Settings, serving: Serving, worker: str, log_state: Callable[[], LogState] = LogState
    ) -> None:
        self._folder = settings.workers_folder
        self._path = self._folder / f"{worker}.json"
        self._serving = serving
        self._worker = worker
        self._log_state = log_state
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._parent = os.getppid() if settings.workers > 1 else None
        self._told: WorkerStatus | None = None
        self._lock = Lock()
        """A request for `/model` tells too."""

    @asynccontextmanager
    async def lifespan(self, _: object) -> AsyncIterator[None]:
        """Tells from the start on, and takes the file away at the end."""
        await asyncio.to_thread(self.living)  # which clears away those that were killed
        try:
            async with repeated(self.beat, seconds=BEAT_SECONDS):
                yield
        finally:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def tell(self) -> WorkerStatus:
        """Writes what is served now, or that it is unchanged; a full disk must not end the service."""
        slot = self._serving.slot
        status = WorkerStatus(
            worker=self._worker,
            pid=os.getpid(),
            started_at=self._started_at,
            model_version=slot.pointer.model_version if slot else None,
            epoch=slot.pointer.epoch if slot else None,
            refused=self._serving.refused,
            log=self._log_state(),
        )
        with self._lock, suppress(OSError):
            if status == self._told and self._path.exists():
                os.utime(self._path)
                return status
            self._folder.mkdir(parents=True, exist_ok=True)
            beside = self._path.with_suffix(".new")
            beside.write_bytes(msgspec.json.encode(status))
            beside.replace(self._path)
            self._told = status
        return status

    def living(self) -> list[WorkerStatus]:
        """What the workers said last, in order of their names, this one among them whether or not it could be written.

        One that died without a word goes after `SILENT_SECONDS`.
        """
        own = self.tell()
        found = {own.worker: own}
        for path in sorted(self._folder.glob("*.json")):
            with suppress(OSError, msgspec.DecodeError):
                if time() - path.stat().st_mtime > SILENT_SECONDS:
                    path.unlink()
                else:
                    other = msgspec.json.decode(path.read_bytes(), type=WorkerStatus)
                    found[other.worker] = other
        return [found[worker] for worker in sorted(found)]

    def beat(self) -> None:
        """Tells, and ends a worker that nobody is left to end."""
        self.tell()
        if self._parent is not None and os.getppid() != self._parent:
            os.kill(os.getpid(), signal.SIGTERM)
