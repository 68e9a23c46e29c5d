from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from mlops_assets.adapters.landing.folder import FolderLanding
from mlops_assets.adapters.landing.requeue import Requeue
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.quarantine import list_quarantine, requeue, show_quarantine
from mlops_assets.cli.state import MARK
from mlops_assets.cli.status import read_status
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import read_dataset
from tests.unit.mlops_assets.cli.test_check import CONTRACT
from tests.unit.mlops_assets.small_windows import land, small_frame


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A store with a good window, one with a broken row, and one that is broken as a whole."""
    contract = tmp_path / "dataset.toml"
    contract.write_text(CONTRACT)
    settings = Settings(home=tmp_path / "home", dataset=contract)
    row = small_frame(60, seed=1)
    row.loc[3, "amount"] = 5000.5
    land(settings.landing / "2013-01.parquet", small_frame(60))
    land(settings.landing / "2013-02.parquet", row)
    land(settings.landing / "2013-03.parquet", small_frame(60, seed=2).drop(columns="age"))
    dataset = read_dataset(contract)
    for window in ("2013-01", "2013-02", "2013-03"):
        with FolderLanding(settings.landing, dataset).fetch(window) as landed:
            WindowStore(settings.windows, dataset).take(landed)
    (settings.state / MARK).write_text(dataset.name)
    return settings


def test_windows_and_rows_in_quarantine_are_listed(settings: Settings) -> None:
    """And the good window is not."""
    output = StringIO()
    list_quarantine(settings, Console(file=output, width=200))
    lines = output.getvalue().splitlines()
    (row,) = [line for line in lines if "2013-02" in line]
    (window,) = [line for line in lines if "2013-03" in line]
    assert row.split()[:5] == ["2013-02", "rows", "1", "of", "60"]
    assert "amount: out of range (1)" in row
    assert "the window" in window
    assert "columns are missing: age" in window
    assert "2013-01" not in output.getvalue()


def test_a_row_is_shown_with_its_rule_and_its_value_as_it_landed(settings: Settings) -> None:
    """What to look for in the export."""
    output = StringIO()
    show_quarantine(settings, Console(file=output, width=200), "2013-02", rows=5)
    assert "60 rows in = 59 clean + 1 quarantined" in output.getvalue()
    (shown,) = [line for line in output.getvalue().splitlines() if "r000003" in line]
    assert "amount: out of range" in shown
    assert "5000.5" in shown


def test_a_window_that_nobody_knows_is_answered_with_those_that_are(settings: Settings) -> None:
    """A typing error is seen at once."""
    with pytest.raises(UserError, match="no window 2013-13 was taken up; known are: 2013-01, 2013-02, 2013-03"):
        show_quarantine(settings, Console(file=StringIO()), "2013-13", rows=5)


def test_brackets_in_names_are_shown_as_they_are(settings: Settings) -> None:
    """A column may have its unit in its name, which is no markup."""
    odd = small_frame(60, seed=4).drop(columns="age").assign(**{"price [/unit]": 1.0, "speed [km/h]": 1.0})
    land(settings.landing / "2013-04.parquet", odd)
    dataset = read_dataset(settings.dataset)
    with FolderLanding(settings.landing, dataset).fetch("2013-04") as landed:
        WindowStore(settings.windows, dataset).take(landed)
    output = StringIO()
    list_quarantine(settings, Console(file=output, width=300))
    show_quarantine(settings, Console(file=output, width=300), "2013-04", rows=5)
    assert output.getvalue().count("price [/unit]") == output.getvalue().count("speed [km/h]") == 2


def test_another_datasets_state_is_not_read(settings: Settings, tmp_path: Path) -> None:
    """As where --dataset is forgotten: its columns are none of these windows'."""
    (tmp_path / "other.toml").write_text(CONTRACT.replace('"small"', '"other"').replace("case_id", "id"))
    other = settings.model_copy(update={"dataset": tmp_path / "other.toml"})
    console = Console(file=StringIO())
    for command in (
        lambda: list_quarantine(other, console),
        lambda: show_quarantine(other, console, "2013-02", rows=5),
        lambda: requeue(other, console, "2013-02"),
        lambda: read_status(other),
    ):
        with pytest.raises(UserError, match=r"holds the loop of the dataset small, and .*other\.toml is named other"):
            command()


def test_a_row_is_shown_after_its_id_was_renamed(settings: Settings) -> None:
    """The contract may be corrected before anybody looks."""
    settings.dataset.write_text(CONTRACT.replace('"case_id"', '"case"'))
    output = StringIO()
    show_quarantine(settings, Console(file=output, width=200), "2013-02", rows=5)
    assert "5000.5" in output.getvalue()


def test_a_folder_without_a_loop_is_told(settings: Settings, tmp_path: Path) -> None:
    """A mistyped MLOPS_HOME is not an empty quarantine."""
    with pytest.raises(UserError, match=r"there is no loop in .*nowhere"):
        list_quarantine(Settings(home=tmp_path / "nowhere", dataset=settings.dataset), Console(file=StringIO()))


def test_a_wish_for_a_window_that_is_not_there_is_refused(settings: Settings) -> None:
    """It would wait for ever for a name that was mistyped."""
    console = Console(file=StringIO())
    with pytest.raises(UserError, match=r"no window 2013-13 was taken up, and none has landed in .*landing"):
        requeue(settings, console, "2013-13")
    assert Requeue(settings.requeued).tokens() == {}
    land(settings.landing / "2013-04.parquet", small_frame(60, seed=3))
    requeue(settings, console, "2013-04")
    assert Requeue(settings.requeued).tokens().keys() == {"2013-04"}


def test_a_wish_is_kept_where_the_source_is_down(settings: Settings, tmp_path: Path) -> None:
    """Nobody can tell whether the window is there."""
    output = StringIO()
    down = settings.model_copy(update={"source": str(tmp_path / "unmounted")})
    requeue(down, Console(file=output), "2013-09")
    assert "whether 2013-09 has landed cannot be seen" in output.getvalue()
    assert Requeue(settings.requeued).tokens().keys() == {"2013-09"}


def test_a_wish_to_take_a_window_up_again_is_kept_for_the_sensor(settings: Settings) -> None:
    """The loop may be down when it is made."""
    requeue(settings, Console(file=StringIO()), "2013-03")
    assert Requeue(settings.requeued).tokens().keys() == {"2013-03"}
