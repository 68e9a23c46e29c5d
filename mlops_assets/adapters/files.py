"""Files that appear whole or not at all: write beside, flush to the disk, rename into place."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces a file's content; a reader or a crash sees the old one or the new one, never a part."""
    beside = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    _sync_folder(path.parent)


@contextmanager
def file_in_one_piece(target: Path) -> Iterator[Path]:
    """Gives a path to write a file at, which becomes `target` at the end; a failure leaves what was there before.

    For files of any size: `write_atomically` holds the content in memory.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{uuid4().hex}.tmp")
    try:
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(target)
        _sync_folder(target.parent)
    finally:
        beside.unlink(missing_ok=True)


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
        for path in beside.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        _sync_folder(beside)
        if target.exists() and not is_whole(target):
            target.rename(aside)
        if not target.exists():
            beside.rename(target)
            _sync_folder(target.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
