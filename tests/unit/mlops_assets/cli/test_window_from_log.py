from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from mlops_assets.adapters.landing.folder import FolderLanding
from mlops_assets.cli.main import app
from mlops_assets.cli.window_from_log import window_from_log
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import read_dataset
from serving.release import FeatureValue
from tests.unit.mlops_assets.cli.test_check import CONTRACT
from tests.unit.mlops_assets.log_segments import answer, label, seal

FEATURES: dict[str, FeatureValue] = {"amount": 1.0, "age": None}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A loop whose service has sealed a segment of yesterday."""
    contract = tmp_path / "dataset.toml"
    contract.write_text(CONTRACT)
    settings = Settings(home=tmp_path / "home", dataset=contract)
    settings.landing.mkdir(parents=True)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    at = f"{yesterday:%Y-%m-%dT12:00:00.000000Z}"
    records = [answer(id_, at=at, features=FEATURES) for id_ in ("a", "b", "c")]
    records.append(answer("d", at=at, features=FEATURES, context={}))
    seal(settings.prediction_log, [*records, label("a", True)], began=yesterday)
    return settings


def said(settings: Settings, *, replace: bool = False) -> list[str]:
    """What is printed of the last whole day."""
    output = StringIO()
    landing = FolderLanding(settings.landing, read_dataset(settings.dataset))
    console = Console(file=output, width=200)
    window_from_log(settings, console, landing, since=None, until=None, name=None, replace=replace)
    return output.getvalue().splitlines()


def test_what_became_of_the_rows_is_said(settings: Settings) -> None:
    """Prevents a window of half the traffic that looks like one of all."""
    day = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    assert said(settings) == [
        "gathered 1 segments: 4 answered rows, 1 labels",
        "4 answered rows in = 3 written + 1 left out",
        "  customer: missing (1)",
        "1 of 3 rows have a label (33.3%)",
        f"landed {day}",
    ]
    assert said(settings)[-1] == f"{day} has landed already, the very same"
    assert (settings.landing / f"{day}.parquet").is_file()


def test_what_is_not_in_the_window_is_said(settings: Settings) -> None:
    """Prevents broken and open segments from being overlooked."""
    seal(settings.prediction_log, content=b"{", number=2)
    (settings.prediction_log / "20240305T000000000000Z-0123456789abcdef-3.open").touch()
    (settings.landing / "z.parquet").touch()
    lines = said(settings)
    assert any(line.startswith("1 broken segments lie in") for line in lines)
    assert any("line 1 is no record" in line for line in lines)
    assert any(line.startswith("1 segments of the time before the period's end are still written to") for line in lines)
    assert any("is taken for a period before that of z" in line for line in lines)


def test_the_command_takes_a_period_and_a_name(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents an option that is not handed on."""
    monkeypatch.setenv("MLOPS_HOME", str(settings.home))
    monkeypatch.setenv("MLOPS_DATASET", str(settings.dataset))
    given = ["window", "from-log", "--since", "2024-03-01", "--name", "w_1"]
    assert CliRunner().invoke(app, given).exit_code == 0
    assert CliRunner().invoke(app, [*given, "--until", "2024-03-02", "--replace"]).exception is not None
    assert (settings.landing / "w_1.parquet").is_file()


def test_gathered_segments_are_kept_as_long_as_is_set(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a setting that does nothing."""
    monkeypatch.setenv("MLOPS_LOG_KEEP_DAYS", "30")
    keeping = Settings(home=settings.home, dataset=settings.dataset)
    seal(keeping.prediction_log, [answer("old", features=FEATURES)], number=2)
    said(keeping)
    assert len(list(keeping.gathered_log.glob("2*"))) == 1
