from contextlib import AbstractContextManager
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from mlops_assets.adapters.landing.folder import FolderLanding
from mlops_assets.adapters.landing.landed_window import LandedWindow, SourceDown
from mlops_assets.cli.check import check
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import DatasetInvalid
from tests.unit.mlops_assets.small_windows import land, small_frame

CONTRACT = """
name = "small"
target = "late"
row_id = "case_id"
split_by = "customer"
[limits]
min_rows = 10
[features.amount]
type = "float"
range = [-1000, 1000]
[features.age]
type = "float"
nullable = true
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A contract, and a folder with nothing in it."""
    contract = tmp_path / "dataset.toml"
    contract.write_text(CONTRACT)
    (tmp_path / "data").mkdir()
    return Settings(home=tmp_path / "home", dataset=contract, source=str(tmp_path / "data"))


def said(settings: Settings) -> tuple[bool, str]:
    """The verdict, and what is printed."""
    output = StringIO()
    return check(settings, Console(file=output, width=160)), output.getvalue()


def test_what_would_become_of_each_window_is_said_and_nothing_is_kept(settings: Settings, tmp_path: Path) -> None:
    """A user looks before anything runs."""
    data = tmp_path / "data"
    land(data / "2013-01.parquet", small_frame(60))
    land(data / "2013-02.parquet", small_frame(60, seed=1).assign(amount=5000.0))
    small_frame(60, seed=2).drop(columns="late").to_csv(data / "2013-03.csv", index=False)
    (data / "2013-04.labels.csv").write_text("case_id,late\nr1,true\n")
    (data / "notes.txt").write_text("hello")
    fit, output = said(settings)

    assert not fit
    verdicts = {line.split()[0]: line.split()[-1] for line in output.splitlines() if line.strip().startswith("2013-0")}
    assert {window: verdicts[window] for window in ("2013-01", "2013-02", "2013-03", "2013-04")} == {
        "2013-01": "fit",
        "2013-02": "quarantine",
        "2013-03": "fit",
        "2013-04": "waits",
    }
    assert "2013-02: 60 of 60 rows break the contract" in output
    assert "2013-03: 0 of 60 clean rows have a label" in output
    assert "2013-04: waits for the window itself" in output
    assert "notes.txt: ignored" in output
    assert not (tmp_path / "home").exists()


def test_good_windows_pass(settings: Settings, tmp_path: Path) -> None:
    """The command's exit code is what a build looks at."""
    land(tmp_path / "data" / "2013-01.parquet", small_frame(60))
    fit, output = said(settings)
    assert fit, output


def test_nothing_landed_is_said_with_the_place(settings: Settings, tmp_path: Path) -> None:
    """Else a wrong path looks like good data."""
    _, output = said(settings)
    assert f"no window has landed in {tmp_path / 'data'}" in output


def test_a_folder_that_is_not_there_is_not_empty(settings: Settings, tmp_path: Path) -> None:
    """A mistyped source, or a disk that is not mounted: a build must fail."""
    with pytest.raises(SourceDown, match="nowhere is not there; mount or make it"):
        said(settings.model_copy(update={"source": str(tmp_path / "nowhere")}))


def test_the_default_folder_is_empty_before_the_loop_made_it(settings: Settings) -> None:
    """The first command that a user may give."""
    fit, output = said(settings.model_copy(update={"source": None}))
    assert fit
    assert f"no window has landed in {settings.landing}" in output


def test_a_window_that_cannot_be_had_hides_no_other(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is neither fit nor unfit."""
    land(tmp_path / "data" / "2013-01.parquet", small_frame(60))
    land(tmp_path / "data" / "2013-02.parquet", small_frame(60, seed=1))
    fetch = FolderLanding.fetch

    def fail_once(landing: FolderLanding, window: str) -> AbstractContextManager[LandedWindow]:
        if window == "2013-01":
            raise SourceDown("2013-01.parquet cannot be read: Input/output error")
        return fetch(landing, window)

    monkeypatch.setattr(FolderLanding, "fetch", fail_once)
    fit, output = said(settings)
    assert not fit
    verdicts = [line.split()[-1] for line in output.splitlines() if line.split()[:1] in (["2013-01"], ["2013-02"])]
    assert verdicts == ["unread", "fit"]
    assert "2013-01: 2013-01.parquet cannot be read: Input/output error" in output


def test_brackets_in_names_are_shown_as_they_are(settings: Settings, tmp_path: Path) -> None:
    """A unit is no markup."""
    land(tmp_path / "data" / "2013-01.parquet", small_frame(60).assign(**{"price [/unit]": 1.0, "speed [km]": 1.0}))
    _, output = said(settings)
    assert "price [/unit]" in output
    assert "speed [km]" in output
    odd = tmp_path / "[/odd" / "data]"
    odd.mkdir(parents=True)
    _, output = said(settings.model_copy(update={"source": str(odd)}))
    assert f"no window has landed in {odd}" in output


def test_a_wrong_contract_is_answered_with_its_line(settings: Settings) -> None:
    """File, line, key, and what is expected."""
    settings.dataset.write_text(CONTRACT.replace("[-1000, 1000]", '"small"'))
    with pytest.raises(DatasetInvalid, match=r"dataset\.toml:10: features\.amount\.range"):
        check(settings, Console(file=StringIO()))
