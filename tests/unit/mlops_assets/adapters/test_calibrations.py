import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.adapters import calibrations
from mlops_assets.adapters.calibrations import calibrated
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.drift_calibration import CalibratedColumn, Calibration, Sizes, calibrate
from tests.unit.mlops_assets.small_windows import small_dataset, small_frame

DATASET = small_dataset()
AMOUNT = CalibratedColumn("amount", "wasserstein", 0.1, is_category=False)
COLOUR = CalibratedColumn("colour", "jensenshannon", 0.1, is_category=True)
COLUMNS = [AMOUNT, COLOUR]
SIZES = Sizes(rows=60, keys=20)


def reference(rows: int = 90, *, seed: int = 0) -> pd.DataFrame:
    """What a production model learned from."""
    return small_frame(rows, seed=seed)


def kept(
    folder: Path | None,
    frame: pd.DataFrame | None = None,
    columns: list[CalibratedColumn] | None = None,
    *,
    dataset: Dataset = DATASET,
    current: Sizes = SIZES,
) -> Calibration:
    """The calibration of the usual columns, reference and size, or of others."""
    return calibrated(
        folder,
        dataset,
        reference() if frame is None else frame,
        COLUMNS if columns is None else columns,
        current=current,
    )


def only_file(folder: Path) -> Path:
    """The one calibration that is kept, with nothing beside it."""
    (path,) = folder.iterdir()
    return path


def change_factor(path: Path, factor: float) -> None:
    """Makes a kept calibration tell that it was read."""
    path.write_text(json.dumps({**json.loads(path.read_text()), "factor": factor}))


def test_a_calibration_is_that_of_the_contracts_rate_and_share_and_of_the_split_keys() -> None:
    """Keeping it must not change what it is."""
    dataset = small_dataset(drift={"drift_share_threshold": 0.6, "false_alarm_rate": 0.2})
    made = calibrate(
        reference(),
        reference()["customer"],
        COLUMNS,
        current=SIZES,
        drift_share_threshold=0.6,
        false_alarm_rate=0.2,
    )
    assert kept(None, dataset=dataset) == made
    assert made.reference == Sizes(rows=90, keys=30)


def test_what_is_read_equals_what_was_made(tmp_path: Path) -> None:
    """A threshold that lost its last digit in the file could turn a verdict on the second report."""
    made = kept(tmp_path)
    path = only_file(tmp_path)
    content = path.read_bytes()
    assert kept(tmp_path) == made == kept(None)
    assert path.read_bytes() == content
    assert made.threshold(AMOUNT, values=60) == kept(tmp_path).threshold(AMOUNT, values=60)


def test_the_second_time_it_is_read_and_not_made(tmp_path: Path) -> None:
    """It takes a second to make, at each report of the same production model."""
    made = kept(tmp_path)
    change_factor(only_file(tmp_path), 1234.5)
    assert kept(tmp_path) == replace(made, factor=1234.5)


def test_a_reader_does_not_rewrite_the_file(tmp_path: Path) -> None:
    """Reports of several windows read it at once; a rewrite by each of them would be work for nothing."""
    kept(tmp_path)
    before = only_file(tmp_path).stat()
    kept(tmp_path)
    after = only_file(tmp_path).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def _without_noise(content: bytes) -> bytes:
    return json.dumps({name: value for name, value in json.loads(content).items() if name != "noise"}).encode()


def _with_text(content: bytes) -> bytes:
    return json.dumps({**json.loads(content), "factor": "twice"}).encode()


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-2],
        lambda _: b"\x00\xff\xfe" * 40,
        lambda _: b"null",
        lambda _: b"[1, 2]",
        _without_noise,
        _with_text,
    ],
    ids=["empty", "half", "end cut off", "binary", "null", "list", "a field is missing", "text for a number"],
)
def test_a_damaged_file_is_made_anew(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """A full disk or a copy that stopped must not fail every later report of this model."""
    made = kept(tmp_path)
    path = only_file(tmp_path)
    content = path.read_bytes()
    path.write_bytes(damage(content))
    assert kept(tmp_path) == made
    assert only_file(tmp_path).read_bytes() == content


def test_another_reference_has_another_file(tmp_path: Path) -> None:
    """Thresholds of another model's rows would be wrong, and nothing would say so."""
    frame = reference()
    others = [
        reference(seed=1),
        frame.iloc[:-1],
        frame.assign(amount=frame["amount"].where(frame.index != 5, frame["amount"] + 1e-9)),
        frame.assign(amount=frame["amount"].where(frame.index != 5)),
        frame.assign(customer=frame["case_id"]),
    ]
    kept(tmp_path, frame)
    for number, other in enumerate(others, start=2):
        assert kept(tmp_path, other) == kept(None, other)
        assert len(list(tmp_path.iterdir())) == number


@pytest.mark.parametrize(
    "current", [Sizes(rows=61, keys=20), Sizes(rows=60, keys=21), Sizes(rows=20, keys=60)], ids=["rows", "keys", "both"]
)
def test_another_size_has_another_file(tmp_path: Path, current: Sizes) -> None:
    """A small window by a large one's thresholds would raise false alarms."""
    kept(tmp_path)
    assert kept(tmp_path, current=current).current == current
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "columns",
    [
        [AMOUNT],
        [COLOUR, AMOUNT],
        [*COLUMNS, CalibratedColumn("visits", "wasserstein", 0.1, is_category=False)],
        [CalibratedColumn("visits", "wasserstein", 0.1, is_category=False), COLOUR],
        [replace(AMOUNT, method="psi"), COLOUR],
        [replace(AMOUNT, threshold=0.2), COLOUR],
        [replace(AMOUNT, is_category=True, method="psi"), COLOUR],
        [replace(AMOUNT, in_share=False), COLOUR],
    ],
    ids=["fewer", "order", "more", "name", "method", "threshold", "kind", "in share"],
)
def test_other_columns_have_another_file(tmp_path: Path, columns: list[CalibratedColumn]) -> None:
    """The factor belongs to all columns together; a contract that was edited must not find its old one."""
    kept(tmp_path)
    assert kept(tmp_path, None, columns) == kept(None, None, columns)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("drift", [{"drift_share_threshold": 0.1}, {"false_alarm_rate": 0.05}])
def test_another_rate_or_share_of_the_contract_has_another_file(tmp_path: Path, drift: dict[str, float]) -> None:
    """An edit of the contract that had no effect would not be noticed."""
    dataset = small_dataset(drift=drift)
    kept(tmp_path)
    assert kept(tmp_path, dataset=dataset) == kept(None, dataset=dataset)
    assert len(list(tmp_path.iterdir())) == 2


def test_what_the_calibration_does_not_look_at_has_the_same_file(tmp_path: Path) -> None:
    """Else the reference would never be found again: scores and labels beside it may change."""
    made = kept(tmp_path)
    change_factor(only_file(tmp_path), 77.0)
    frame = reference().assign(age=0.0, prediction=0.5).set_index("case_id", drop=False)
    dataset = small_dataset(drift={"sample_rows": 500, "min_rows": 50}, gate={"min_gain": 0.2})
    assert kept(tmp_path, frame, dataset=dataset) == replace(made, factor=77.0)


def test_rows_in_another_order_have_a_file_of_their_own_with_the_same_content(tmp_path: Path) -> None:
    """It costs a second where a caller does not order them, and never another threshold."""
    frame = reference()
    made = kept(tmp_path, frame)
    assert kept(tmp_path, frame.iloc[np.random.default_rng(0).permutation(len(frame))]) == made
    one, other = (path.read_bytes() for path in tmp_path.iterdir())
    assert one == other


@pytest.mark.parametrize("name", ["FORMAT", "RESAMPLES"])
def test_a_release_that_calibrates_otherwise_reads_no_older_file(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files outlive the code that made them."""
    made = kept(tmp_path)
    change_factor(only_file(tmp_path), 1234.5)
    monkeypatch.setattr(calibrations, name, getattr(calibrations, name) + 1)
    assert kept(tmp_path) == made
    assert len(list(tmp_path.iterdir())) == 2


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`mlops drift` compares any two windows, and leaves nothing behind."""
    monkeypatch.chdir(tmp_path)
    kept(None)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_made(tmp_path: Path) -> None:
    """The first report of a new production model finds none."""
    kept(tmp_path / "1" / "calibrations")
    assert only_file(tmp_path / "1" / "calibrations").suffix == ".json"


def test_a_file_appears_whole_under_its_name(tmp_path: Path) -> None:
    """Whoever has the damaged file open keeps its content: it is replaced and not written into."""
    kept(tmp_path / "calibrations")
    path = only_file(tmp_path / "calibrations")
    path.write_bytes(b"half")
    os.link(path, tmp_path / "open elsewhere")
    kept(tmp_path / "calibrations")
    assert (tmp_path / "open elsewhere").read_bytes() == b"half"
    assert json.loads(only_file(tmp_path / "calibrations").read_bytes())["factor"] >= 1


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """A fault of the disk is no damaged file: made anew at each report it would never be seen."""
    kept(tmp_path)
    path = only_file(tmp_path)
    path.unlink()
    path.symlink_to(path.name)
    with pytest.raises(OSError, match="symbolic"):
        kept(tmp_path)
