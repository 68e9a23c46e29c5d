"""How often one caller may ask: token buckets, of which no more are kept than `MOST`.

Who a caller is is decided by `serving.door`.
"""

from collections import OrderedDict
from time import monotonic

MOST = 10_000
"""Buckets that are kept; the one that was not used for longest goes first, and its caller starts with a full one."""


class Rates:
    """One bucket for each caller."""

    def __init__(self, per_second: float, *, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Tokens, and the time at which there were so many."""

    def take(self, caller: str) -> bool:
        """Whether the caller may ask once more now."""
        tokens, now = self._tokens(caller)
        allowed = tokens >= 1
        self._buckets[caller] = (tokens - 1 if allowed else tokens, now)
        self._buckets.move_to_end(caller)
        if len(self._buckets) > MOST:
            self._buckets.popitem(last=False)
        return allowed

    def seconds_until(self, caller: str) -> float:
        """How long until the caller may ask again."""
        tokens, _ = self._tokens(caller)
        return max(0.0, (1 - tokens) / self._per_second)

    def _tokens(self, caller: str) -> tuple[float, float]:
        now = monotonic()
        tokens, at = self._buckets.get(caller, (self._burst, now))
        return min(self._burst, tokens + (now - at) * self._per_second), now

    def __len__(self) -> int:
        return len(self._buckets)
