"""Rules of the landing folder: which landed file is taken up next.

What a file is belongs to `mlops_assets.adapters.landing`.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

SETTLED_SECONDS = 10
"""A file that does not look complete is taken up when it was not written to for so long; its checks then say why."""


class Landed(Protocol):
    """What the rule looks at."""

    @property
    def window(self) -> str:
        """The window's name."""

    @property
    def fingerprint(self) -> str:
        """Changes when the file does."""

    @property
    def age_seconds(self) -> float:
        """Since the file was last written to."""

    @property
    def looks_complete(self) -> bool:
        """Whether it begins and ends as it should."""


File = TypeVar("File", bound=Landed)


def next_to_take(landed: Iterable[File], taken: Mapping[str, str]) -> File | None:
    """The oldest window that landed, or changed, since it was last taken up.

    Args:
        landed: The files.
        taken: Fingerprint by window, of what was taken up before.
    """
    ready = [
        file
        for file in landed
        if taken.get(file.window) != file.fingerprint and (file.looks_complete or file.age_seconds >= SETTLED_SECONDS)
    ]
    return min(ready, key=lambda file: file.window, default=None)
