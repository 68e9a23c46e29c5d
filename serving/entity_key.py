"""A key as text, the same however a client writes it: what makes "5", 5 and 5.0 one entity.

The window store reads keys by the same rule when a window lands (`read_text` in `mlops_assets.domain.row_rules`, in
SQL); here it is once more for single values. What is found by a key belongs to `serving.feature_table`.
"""

import re
from datetime import UTC, datetime

EntityKey = str | int | float
LONGEST_KEY = 500
"""Characters; a longer text is no key: PostgreSQL's index takes 2,704 bytes, and a client must not fill the log."""
_SPACES = " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
"""What DuckDB's `trim` takes off: Unicode's space separators, and no tabs or ends of lines."""
_NULL_TEXTS = frozenset(("", "na", "n/a", "nan", "null", "none"))
_WHOLE = re.compile(r"(-?[0-9]+)\.0+")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:")
_INT64 = 2**63


def key_text(key: EntityKey) -> str | None:
    """The text that the feature table has for a key; None where it can be nobody's.

    Args:
        key: As JSON gives it. A time without a zone is UTC.
    """
    if isinstance(key, str):
        text = _of_text(key)
    elif isinstance(key, float):
        text = str(int(key)) if key.is_integer() and -_INT64 <= key < _INT64 else str(key)
    else:
        text = str(key) if -(10**LONGEST_KEY) < key < 10**LONGEST_KEY else ""
    if not text or len(text) > LONGEST_KEY or "\0" in text:  # a NUL has no place in PostgreSQL's texts
        return None
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return None
    return text


def _of_text(text: str) -> str:
    if len(text) < 5 and text.strip(_SPACES).lower() in _NULL_TEXTS:
        return ""
    if ":" in text and _TIME.match(text):
        return _of_time(text)
    if ".0" in text and (whole := _WHOLE.fullmatch(text)):
        return whole[1]
    return text


def _of_time(text: str) -> str:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    time = time.astimezone(UTC) if time.tzinfo else time
    if (time.hour, time.minute, time.second, time.microsecond) == (0, 0, 0, 0):
        return time.date().isoformat()
    said = time.replace(tzinfo=None).isoformat(" ")
    return said.rstrip("0") if time.microsecond else said
