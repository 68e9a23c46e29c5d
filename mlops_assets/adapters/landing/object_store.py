"""An object store where windows land: S3 and what speaks like it, Google's, Azure's, or any file system of fsspec.

Credentials and endpoint come from the environment, as the store's own client reads them (`AWS_ACCESS_KEY_ID`,
`AWS_ENDPOINT_URL`, ...). How objects are named belongs to `layout`.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mlops_assets.adapters.landing.checksum import MOST_BYTES, demand_checksum
from mlops_assets.adapters.landing.landed_window import FORMATS, LandedWindow, SourceDown, TableFile
from mlops_assets.adapters.landing.layout import Entry, FoundWindow, find_windows
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.landing import Landed
from mlops_assets.domain.location import masked, without_secrets

if TYPE_CHECKING:
    import fsspec

PIECE_BYTES = 8 * 2**20
S3_CLIENT = {"connect_timeout": 3, "read_timeout": 4, "retries": {"total_max_attempts": 2, "mode": "standard"}}
"""So that a store which is down is known to be within some 10 s: its own defaults take minutes."""
WHOLE_OBJECTS = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "memory"})
"""Where an upload appears at its end; elsewhere, such as by SFTP, a file grows, and settles as one in a folder does."""


class ObjectStoreLanding:
    """Windows in an object store."""

    look_every_seconds = 5.0

    def __init__(self, url: str, dataset: Dataset, spool: Path) -> None:
        self.url = url.rstrip("/")
        self.dataset = dataset
        self.spool = spool

    def landed(self, *, now: float) -> list[Landed]:
        """Every window of which something has landed, oldest period first.

        Raises:
            SourceDown: the store does not answer, or there is no such bucket.
        """
        whole = self.url.partition("://")[0] in WHOLE_OBJECTS
        windows, _ = find_windows(self._entries(), self.dataset.source)
        return [found.landed(now=now, is_whole=lambda _: whole) for found in windows.values()]

    def ignored(self) -> list[str]:
        """Names in the store that no window is made of.

        Raises:
            SourceDown: the store does not answer.
        """
        return find_windows(self._entries(), self.dataset.source)[1]

    @contextmanager
    def fetch(self, window: str) -> Iterator[LandedWindow]:
        """The files of a window, copied into a folder that goes at the end.

        Raises:
            SourceDown: the store does not answer, the window is not there as a whole, or changes meanwhile.
            WindowUnfit: the window is not what its checksum says.
        """
        windows, _ = find_windows(self._entries(), self.dataset.source)
        if window not in windows:
            raise SourceDown(f"{window} is not in {self._shown}; it was removed since it was seen there")
        found = windows[window]
        found.demand_whole()
        self.spool.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self.spool, prefix=f"{window}-") as folder:
            copies = {entry.name: self._copy(found, entry, Path(folder)) for entry in found.files}
            yield LandedWindow(
                window=window,
                tables={table: copies[entries[0].name] for table, entries in found.tables.items()},
                labels=copies[found.labels[0].name] if found.labels else None,
                landed_at=max(entry.changed for entry in found.files),
                ignored=tuple(found.others),
            )

    @cached_property
    def _store(self) -> "tuple[fsspec.AbstractFileSystem, str]":
        """The file system, and the landing's path in it."""
        import fsspec

        is_s3 = self.url.startswith(("s3://", "s3a://"))
        options: dict[str, Any] = {"config_kwargs": S3_CLIENT} if is_s3 else {}
        system, root = fsspec.url_to_fs(self.url, skip_instance_cache=True, use_listings_cache=False, **options)
        if is_s3:
            system.retries = 1  # s3fs tries again around the client, which does so itself
        return system, str(root)

    @property
    def _shown(self) -> str:
        return masked(self.url)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # each file system has errors of its own
            said = without_secrets(f"{type(error).__name__}: {error}", self.url)
            raise SourceDown(
                f"{self._shown} does not answer: {said}; look after the store, its address (AWS_ENDPOINT_URL) and the "
                "credentials in the environment"
            ) from error

    def _entries(self) -> list[Entry]:
        with self._asking():
            system, root = self._store
            try:
                # Of one depth where windows are single files: what lies deeper may be large, and is not ours.
                infos = system.find(root, detail=True) if self.dataset.source.tables else system.ls(root, detail=True)
            except FileNotFoundError as error:
                if error.__cause__ is not None:  # the store's own answer: there is no such bucket
                    raise
                return []
        listed = infos.values() if isinstance(infos, dict) else infos
        entries = [_entry(info, root) for info in listed]
        return [entry for entry in entries if entry.name and not entry.name.endswith("/")]

    def _copy(self, found: FoundWindow, entry: Entry, folder: Path) -> TableFile:
        suffix = Path(entry.name).suffix
        path = folder / f"{found.files.index(entry)}{suffix}"
        digest = hashlib.sha256()
        with path.open("wb") as copy:
            for piece in self._pieces(entry.name):
                digest.update(piece)
                copy.write(piece)
        if checksum := found.checksums.get(entry.name):
            stated = b"".join(self._pieces(checksum.name))[:MOST_BYTES]
            demand_checksum(entry.name, digest.hexdigest(), stated, checksum.name)
        return TableFile(path=path, name=entry.name, format=FORMATS[suffix], sha256=digest.hexdigest(), stamp=())

    def _pieces(self, name: str) -> Iterator[bytes]:
        """An object's bytes, all of one version of it."""
        before = self._version(name)
        try:
            with self._asking():
                system, root = self._store
                file = system.open(f"{root}/{name}", "rb", block_size=PIECE_BYTES)
            with file:
                while True:
                    with self._asking():
                        piece = file.read(PIECE_BYTES)
                    if not piece:
                        break
                    yield piece
        except SourceDown:
            # s3fs itself refuses to read on in an object that was replaced.
            self._demand_version(name, before)
            raise
        self._demand_version(name, before)

    def _demand_version(self, name: str, before: Entry | None) -> None:
        if before is None or self._version(name) != before:
            raise SourceDown(f"{name} was replaced while it was read; it is tried again")

    def _version(self, name: str) -> Entry | None:
        with self._asking():
            system, root = self._store
            try:
                return _entry(system.info(f"{root}/{name}"), root)
            except FileNotFoundError:
                return None


def _entry(info: Mapping[str, Any], root: str) -> Entry:
    times = (info.get(key) for key in ("LastModified", "last_modified", "updated", "mtime", "modified", "created"))
    written = next((time for time in times if time is not None), 0.0)
    mark = next((info[key] for key in ("ETag", "etag", "generation", "md5Hash") if info.get(key)), written)
    return Entry(
        name=str(info["name"]).removeprefix(root).removeprefix("/"),
        size=info.get("size") or 0,
        changed=_seconds(written),
        kind="file" if info["type"] == "file" else "folder" if info["type"] == "directory" else "other",
        mark=str(mark),
    )


def _seconds(time: object) -> float:
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    if isinstance(time, datetime):
        return time.timestamp()
    return float(time) if isinstance(time, int | float) else 0.0
