"""Files that appear whole or not at all: write beside, flush to the disk, rename into place."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces a file's content; a reader or a crash sees the old one or the new one, never a part."""
    with file_in_one_piece(path) as beside:
        beside.write_bytes(content)


@contextmanager
def file_in_one_piece(target: Path) -> Iterator[Path]:
    """Gives a path to write a file at, which replaces `target` at the end; a failure leaves nothing."""
    beside = target.with_name(f".{target.name}.{uuid4().hex}.tmp")
    try:
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(target.parent)


@contextmanager
def folder_in_one_piece(target: Path, *, is_whole: Callable[[Path], bool] = Path.exists) -> Iterator[Path]:
    """Gives an empty folder to fill, which becomes `target` at the end; a failure leaves nothing.

    Args:
        target: Where it is there already and whole it stays as it is: folders are named by what they hold.
        is_whole: Says so; a folder that is not is replaced.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    beside, aside = (target.with_name(f".{target.name}.{uuid4().hex}.tmp") for _ in range(2))
    beside.mkdir()
    try:
        yield beside
        for path in beside.rglob("*"):
            sync_folder(path)  # a file as well: what is opened to be read can be flushed
        sync_folder(beside)
        if target.exists() and not is_whole(target):
            target.rename(aside)
        if not target.exists():
            beside.rename(target)
            sync_folder(target.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        if aside.is_file():
            aside.unlink()
        shutil.rmtree(aside, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Has the names in a folder on the disk, as `fsync` has a file's bytes there."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
