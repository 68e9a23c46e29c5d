"""A small dataset contract, and landing files that hold it: what the tests of the graph's side start from."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.domain.dataset import Dataset

COLOURS = ("red", "green", 'it\'s "blue"')
PLANS = ("free", "paid")


def small_contract() -> dict[str, object]:
    """The contract as its TOML file would give it: every kind of feature once, and a category with quotes in it."""
    return {
        "name": "small",
        "target": "late",
        "row_id": "case_id",
        "split_by": "customer",
        "features": {
            "amount": {"type": "float", "range": [-1000, 1000]},
            "visits": {"type": "integer", "range": [0, 100]},
            "age": {"type": "float", "nullable": True},
            "colour": {"type": "category", "categories": list(COLOURS)},
            "plan": {"type": "category", "categories": list(PLANS), "nullable": True},
        },
        "limits": {"min_rows": 10},
        "drift": {"sample_rows": 1000},
        "training": {"train_windows": 2},
    }


def small_dataset(**changes: object) -> Dataset:
    """The contract, with some of its top-level keys replaced."""
    return Dataset.model_validate({**small_contract(), **changes})


def small_frame(rows: int, *, shift: float = 0.0, seed: int = 0, prefix: str = "r") -> pd.DataFrame:
    """Rows that hold the contract; the target depends on the features, and `shift` moves `amount` and `visits`."""
    chance = np.random.default_rng(seed)
    amount = chance.normal(shift * 50, 50, rows).clip(-999, 999)
    visits = chance.integers(0, 20, rows) + round(shift * 10)
    age = np.where(chance.random(rows) < 0.2, np.nan, chance.uniform(18, 90, rows))
    colour = chance.choice(COLOURS, rows)
    plan = [None if choice == "none" else choice for choice in chance.choice([*PLANS, "none"], rows).tolist()]
    leaning = amount / 40 + (visits - 10) / 8 + (colour == "red") + np.nan_to_num(age, nan=50.0) / 90 - 1
    return pd.DataFrame(
        {
            "case_id": [f"{prefix}{row:06d}" for row in range(rows)],
            "customer": [f"c{row // 3}" for row in range(rows)],
            "late": chance.random(rows) < 1 / (1 + np.exp(-leaning)),
            "amount": amount,
            "visits": visits.astype("int64"),
            "age": age,
            "colour": colour,
            "plan": pd.Series(plan, dtype=object),
        }
    )


def land(path: Path, frame: pd.DataFrame, *, columns: dict[str, pa.Array] | None = None) -> Path:
    """Writes a frame as a landing file.

    Args:
        path: The file; its folder is made.
        frame: The rows.
        columns: Columns given as Arrow arrays, where their exact type matters (NaN beside null, other types).
    """
    table = pa.Table.from_pandas(frame, preserve_index=False) if len(frame.columns) else pa.table(columns)
    for name, values in (columns or {}).items():
        position = table.schema.get_field_index(name)
        table = table.append_column(name, values) if position < 0 else table.set_column(position, name, values)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def land_small(path: Path, rows: int, *, shift: float = 0.0, seed: int = 0, prefix: str = "r") -> Path:
    """Writes a landing file of `small_frame`."""
    return land(path, small_frame(rows, shift=shift, seed=seed, prefix=prefix))


def as_drawn(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame as the window store would draw it: numbers float32."""
    return frame.astype({"amount": "float32", "visits": "float32", "age": "float32"})
