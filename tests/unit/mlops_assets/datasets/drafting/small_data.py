"""Small files that a contract is drafted from."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from mlops_assets.datasets.drafting.draft import contract_text
from mlops_assets.datasets.drafting.drafted import Draft
from mlops_assets.datasets.drafting.found_windows import find_windows
from mlops_assets.datasets.drafting.inference import draft_contract
from mlops_assets.domain.dataset import Dataset

ROWS = 60
IDS = [f"c{row:03d}" for row in range(ROWS)]
LATE = [row % 3 == 0 for row in range(ROWS)]
AMOUNTS = [row * 7 % 31 + 0.5 for row in range(ROWS)]


def write(path: Path, columns: Mapping[str, Sequence[object]]) -> Path:
    """Writes a table as the CSV or Parquet file that the path's name says; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pa.parquet.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), path)
    else:
        lines = [",".join(columns)]
        rows = zip(*columns.values(), strict=True)
        lines += [",".join("" if value is None else str(value) for value in row) for row in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def cases(**more: Sequence[object]) -> dict[str, Sequence[object]]:
    """Columns with an id, a target and a number, and more."""
    return {"case_id": IDS, "late": LATE, "amount": AMOUNTS, **more}


def drafted(path: Path) -> Draft:
    """The draft of what a path holds."""
    return draft_contract(find_windows(path), "small")


def contract_of(draft: Draft) -> Dataset:
    """The drafted text, read as a contract."""
    return Dataset.model_validate(tomllib.loads(contract_text(draft, "data")))


def drafted_cases(folder: Path, suffix: str = "csv", **more: Sequence[object]) -> Draft:
    """The draft of one window of cases."""
    return drafted(write(folder / f"2024-01.{suffix}", cases(**more)))


def why_left_out(draft: Draft, name: str) -> str:
    """What is said of a column that is no feature."""
    return next(("unsure: " * one.unsure) + one.why for one in draft.left_out if one.name == name)


def doubts_of(draft: Draft, name: str) -> Mapping[str, str]:
    """What is doubtful about a feature, by its key."""
    return next(one.doubts for one in draft.features if one.name == name)
