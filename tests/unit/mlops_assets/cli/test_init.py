import io
from pathlib import Path

import pytest
from rich.console import Console

from mlops_assets.cli.errors import UserError
from mlops_assets.cli.init import init
from mlops_assets.datasets.contract import read_dataset
from tests.unit.mlops_assets.datasets.drafting.small_data import cases, write


def said_of(path: Path, output: Path) -> str:
    """What `mlops init` prints."""
    said = io.StringIO()
    init(path, output, Console(file=said, width=80))
    return said.getvalue()


def test_a_contract_is_written_and_the_next_steps_are_said(tmp_path: Path) -> None:
    for window in ("2024-01", "2024-02"):
        write(tmp_path / "my loans" / f"{window}.csv", cases())
    output = tmp_path / "dataset.toml"
    said = said_of(tmp_path / "my loans", output)
    assert read_dataset(output).name == "my_loans"
    assert "found 2 windows: 120 rows, 3 columns" in said
    assert "split_by: no customer, user or day that repeats was found" in said
    assert f"mlops check --dataset {output}" in said
    assert f"mlops up --dataset {output} --source '{tmp_path / 'my loans'}'" in said


def test_known_cases_are_drafted_and_hold_for_the_contract(tmp_path: Path) -> None:
    """An example that every model passes, on a row that the service would answer."""
    file = write(tmp_path / "loans.csv", cases())
    said = said_of(file, tmp_path / "mine.toml")
    (case,) = read_dataset(tmp_path / "mine.toml").known_cases
    assert (case.at_least, case.at_most) == (0.0, 1.0)
    assert str(tmp_path / "mine.known_cases.toml") in said


@pytest.mark.parametrize("name", ["mine.toml", "mine.known_cases.toml"])
def test_neither_file_is_overwritten(tmp_path: Path, name: str) -> None:
    """And no other is left half done."""
    file = write(tmp_path / "loans.csv", cases())
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=f"{name} is there already"):
        said_of(file, tmp_path / "mine.toml")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["loans.csv", name])


def test_windows_land_in_the_folder_of_a_single_file(tmp_path: Path) -> None:
    file = write(tmp_path / "loans" / "2024-01.parquet", cases())
    said = said_of(file, tmp_path / "dataset.toml")
    assert f"--source {file.parent}" in said
    assert read_dataset(tmp_path / "dataset.toml").name == "loans"


def test_a_missing_target_is_said(tmp_path: Path) -> None:
    file = write(tmp_path / "loans.csv", {name: values for name, values in cases().items() if name != "late"})
    assert "target: no column with two values found; name it" in said_of(file, tmp_path / "dataset.toml")


@pytest.mark.parametrize("name", ["nothing", "notes.txt", "empty.csv"])
def test_data_that_is_none_is_said_and_nothing_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("a,b")
    (tmp_path / "empty.csv").touch()
    with pytest.raises(UserError, match=name):
        said_of(tmp_path / name, tmp_path / "dataset.toml")
    assert not (tmp_path / "dataset.toml").exists()


def test_a_folder_for_the_contract_that_is_not_there_is_said(tmp_path: Path) -> None:
    file = write(tmp_path / "loans.csv", cases())
    with pytest.raises(UserError, match="cannot be written"):
        said_of(file, tmp_path / "none" / "dataset.toml")
