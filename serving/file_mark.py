"""Tells whether a file changed without reading it: what the service's watchers go by."""

from pathlib import Path

Mark = tuple[int, int, int, int] | None
"""Tells one state of a file from another; None where it cannot be seen."""


def mark_of(path: Path) -> Mark:
    """The file's state now."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino
