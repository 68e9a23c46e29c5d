"""Rules of landing: which landed window is taken up next.

What is there belongs to `mlops_assets.adapters.landing`.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SETTLED_SECONDS = 10
"""What cannot be seen to be complete is taken up when it was not written to for so long; its checks then judge it."""

RETRY_AFTER_SECONDS = (60, 300, 1500)
"""How long after its first, second and third failed run a window is taken up again; then someone must requeue it."""


@dataclass(frozen=True)
class Landed:
    """A window of which something has landed, as it was when it was looked at."""

    window: str
    fingerprint: str
    """Changes when anything that landed of it does; cheap enough for a sensor."""
    age_seconds: float
    """Since it was last written to."""
    looks_complete: bool
    """Whether it can be seen to be whole, as a Parquet file is by its end; a CSV file cannot."""
    waits_for: str | None = None
    """What has not come yet, such as `the table usage`; it is not taken up before."""

    @property
    def is_ready(self) -> bool:
        """Whether it can be taken up."""
        return self.waits_for is None and (self.looks_complete or self.age_seconds >= SETTLED_SECONDS)


def next_to_take(landed: Iterable[Landed], taken: Mapping[str, str]) -> Landed | None:
    """The oldest window that landed, or changed, since it was last taken up.

    Args:
        landed: What is there.
        taken: Fingerprint by window, of what was taken up before.
    """
    ready = [window for window in landed if taken.get(window.window) != window.fingerprint and window.is_ready]
    return min(ready, key=lambda window: window.window, default=None)


def retry_is_due(attempts: int, *, seconds_since: float) -> bool:
    """Whether a window whose run failed is to be taken up again.

    Args:
        attempts: Failed runs so far of what landed, without their own retries; 0, where they were deleted, is as 1.
        seconds_since: The last of them ended.
    """
    waits = dict(enumerate(RETRY_AFTER_SECONDS, start=1))
    return seconds_since >= waits.get(max(attempts, 1), math.inf)
