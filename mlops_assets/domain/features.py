"""Rules of the feature table: when it is replaced, which row of an entity is its newest, and how old that is.

Reading the rows belongs to `mlops_assets.adapters.feature_rows`, the table's format to `serving.feature_table`.
"""

from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.sql import literal, quoted

LANDING = "landing"
EARLIEST = "TIMESTAMP '0001-01-01'"
"""No date of Python's is before it, and the engine has some that are."""


def why_kept(*, there: str, wanted: str, there_was_taken_out_of_use: bool) -> str | None:
    """Why the table that is there is not replaced, or None where it may be.

    Args:
        there: Its window.
        wanted: The newest window in use.
        there_was_taken_out_of_use: Whether somebody removed the table's window from this loop's store.
    """
    if wanted >= there or there_was_taken_out_of_use:
        return None
    return (
        f"the feature table is of window {there}, which is newer than {wanted}, the newest one in use here: it stays; "
        "to go back, remove the table by hand"
    )


def as_of_sql(dataset: Dataset, *, landed_at: float) -> str:
    """When a row's features were known, in SQL, in microseconds since 1970: its event time, or when it landed.

    What has landed was known by then, so an event time that lies behind it (a year mistyped, an infinite one) does
    not keep features young for ever.

    Args:
        dataset: The contract.
        landed_at: When the window landed, in seconds since 1970.
    """
    landed = f"make_timestamp({round(landed_at * 1e6):d})"
    known = f"least({_time(dataset.event_time)}, {landed})" if dataset.event_time else landed
    return f"epoch_us(greatest({known}, {EARLIEST}))"


def newest_order_sql(dataset: Dataset) -> str:
    """What the rows of one entity are ordered by, newest first, in SQL: event time if there is one, then row id."""
    by_id = f"{quoted(dataset.row_id)} DESC"
    return f"{_time(dataset.event_time)} DESC, {by_id}" if dataset.event_time else by_id


def features_sql(dataset: Dataset) -> str:
    """A row's features as JSON text, in SQL: as a client sends them, in the contract's order."""
    pairs = []
    for name, feature in dataset.features.items():
        value = quoted(name)
        if feature.type == "float":
            value = f"{value}::VARCHAR::DOUBLE"  # the shortest text of this float32: 39.02, not 39.02000045776367
        elif feature.type != "category":
            value = f"{value}::{'BIGINT' if feature.type == 'integer' else 'BOOLEAN'}"
        pairs.append(f"{literal(name)}, {value}")
    return f"json_object({', '.join(pairs)})::VARCHAR"


def _time(column: str) -> str:
    # Where it is the split key too it is stored as text; what cannot be read answers nothing.
    return f"coalesce(TRY_CAST({quoted(column)} AS TIMESTAMP), {EARLIEST})"
