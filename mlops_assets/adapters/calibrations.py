"""Keeps calibrations: the same reference, columns and sizes have the same one, and it takes a second to make.

Here belong the files. What a calibration is belongs to `mlops_assets.domain.drift_calibration`.
"""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from mlops_assets.adapters.files import write_atomically
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.drift_calibration import RESAMPLES, CalibratedColumn, Calibration, Sizes, calibrate

FORMAT = 2
"""Grows when the same reference comes to have another calibration."""
_JSON = TypeAdapter(Calibration)


def calibrated(
    folder: Path | None,
    dataset: Dataset,
    reference: pd.DataFrame,
    columns: Sequence[CalibratedColumn],
    *,
    current: Sizes,
    drifted_already: int = 0,
) -> Calibration:
    """The calibration of these columns of the reference, for a window's sample of this size.

    Args:
        folder: Where it is kept; None to make it anew.
        dataset: The contract, with the rate and the share.
        reference: The reference's sample; other files are kept for its rows in another order.
        columns: What is calibrated.
        current: The size.
        drifted_already: Columns that count as drifted beside these.
    """
    path = folder / f"{_key(dataset, reference, columns, current, drifted_already)}.json" if folder else None
    if path is not None:
        with suppress(FileNotFoundError, ValidationError):  # a damaged one is made anew
            return _JSON.validate_json(path.read_bytes())
    made = calibrate(
        reference,
        reference[dataset.split_by],
        columns,
        current=current,
        drift_share_threshold=dataset.drift.drift_share_threshold,
        false_alarm_rate=dataset.drift.false_alarm_rate,
        drifted_already=drifted_already,
    )
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _JSON.dump_json(made, indent=2))
    return made


def _key(
    dataset: Dataset,
    reference: pd.DataFrame,
    columns: Sequence[CalibratedColumn],
    current: Sizes,
    drifted_already: int,
) -> str:
    """Hash of all that the calibration depends on."""
    rows = reference[[dataset.split_by, *(column.name for column in columns)]]
    digest = hashlib.sha256(pd.util.hash_pandas_object(rows, index=False).to_numpy().tobytes())
    asked = (dataset.drift.drift_share_threshold, dataset.drift.false_alarm_rate, drifted_already)
    digest.update(repr((FORMAT, RESAMPLES, current, *asked, *columns)).encode())
    return digest.hexdigest()[:32]
