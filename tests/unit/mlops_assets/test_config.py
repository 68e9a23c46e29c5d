from pathlib import Path

import pytest

from mlops_assets.cli.programs import environment
from mlops_assets.config import Settings


def test_a_relative_source_is_told_to_the_programs_as_the_user_means_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They work in the state folder, which has a folder of no windows under that name, or none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLOPS_SOURCE", "data")
    settings = Settings()
    assert settings.landing_location == environment(settings)["MLOPS_SOURCE"] == str(tmp_path / "data")


def test_a_source_is_shown_without_its_password() -> None:
    """In the terminal, where others may look on."""
    assert Settings(source="s3://KEY:hun/ter2@bucket").shown_location == "s3://KEY:***@bucket"


def test_an_empty_source_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the programs are given it where the user names none."""
    monkeypatch.setenv("MLOPS_SOURCE", "")
    settings = Settings(home=tmp_path)
    assert settings.source is None
    assert settings.landing_location == str(tmp_path / "landing")
