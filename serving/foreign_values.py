"""What clients of other protocols than our own write differently: JSON with NaN, NaN for null, 3.0 for 3.

Here belongs what two protocols share. The bodies belong to `serving.scoring_protocol` and `serving.inference_protocol`,
and whether a value is allowed belongs to `serving.rows`.
"""

import json
from typing import Any

from serving.release import Feature
from serving.rows import RowsInvalid


def json_of(body: bytes) -> Any:  # noqa: ANN401 -- whatever JSON holds
    """What a JSON body says, which may hold NaN and Infinity: clients in Python write them.

    Raises:
        RowsInvalid: it is not JSON in UTF-8.
    """
    try:
        text = body.decode("utf-8-sig")
        # Not msgspec: NaN is no JSON.
        read = json.loads(text)
        if "\\u" in text:
            # Half of a surrogate pair can be escaped, but no answer and no log can hold it.
            json.dumps(read, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise RowsInvalid(f"the body is not JSON: {error}") from None
    return read


def as_typed(value: Any, feature: Feature | None) -> Any:  # noqa: ANN401 -- whatever JSON holds
    """Undoes what pandas does to a column with nulls: NaN for null, and 3.0 for 3."""
    if isinstance(value, float):
        if value != value:  # NaN is the one value unlike itself
            return None
        if feature is not None and feature.type == "integer" and value.is_integer():
            return int(value)
    return value
