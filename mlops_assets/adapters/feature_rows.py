"""The newest row of every entity of a data window, as the feature table has it: streamed, in the order of its keys.

Which row is the newest, and how old it is, says `mlops_assets.domain.features`; where rows go belongs to
`feature_store`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from mlops_assets.adapters.engine import engine
from mlops_assets.adapters.window_records import DataWindow
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.domain.features import as_of_sql, features_sql, newest_order_sql
from mlops_assets.domain.sql import parquet_files, quoted
from serving.entity_key import LONGEST_KEY

FeatureRow = tuple[str, int, str]
"""Entity, `as_of` in microseconds since 1970, features as JSON."""
ROWS_AT_ONCE = 10_000


@contextmanager
def newest_rows(windows: WindowStore, stored: DataWindow) -> Iterator[Iterator[list[FeatureRow]]]:
    """Batches of rows, each entity once, sorted by its bytes.

    Args:
        windows: The store, whose contract names `entity_key`.
        stored: The window.
    """
    dataset = windows.dataset
    if dataset.entity_key is None:
        raise ValueError(f"the contract {dataset.name} names no `entity_key`")
    entity = quoted(dataset.entity_key)
    newest = f"row_number() OVER (PARTITION BY {entity} ORDER BY {newest_order_sql(dataset)}) = 1"
    select = (
        f"SELECT {entity}, {as_of_sql(dataset, landed_at=windows.rows_landed_at(stored))}, {features_sql(dataset)} "
        f"FROM {parquet_files(windows.clean_rows(stored))} "
        f"WHERE length({entity}) BETWEEN 1 AND {LONGEST_KEY:d} AND NOT contains({entity}, chr(0)) "
        # Row ids are unique in a window: each is an entity's only row.
        f"{'' if dataset.entity_key == dataset.row_id else f'QUALIFY {newest} '}"
        f"ORDER BY {entity}"
    )
    with engine(windows.folder) as connection:
        result = connection.execute(select)
        yield iter(lambda: result.fetchmany(ROWS_AT_ONCE), [])
