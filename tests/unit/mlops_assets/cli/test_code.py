import os
from pathlib import Path

import pytest
from rich.console import Console

from mlops_assets.cli.code import serve_code
from mlops_assets.cli.state import settings_as_started
from mlops_assets.config import Settings
from tests.unit.mlops_assets.cli.small_state import small_settings


class _Served(Exception):
    """The process would be the server from here on."""


def test_the_server_has_the_contract_and_source_that_were_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prevents a graph of the flights on another dataset's state, where this start's environment names no contract."""
    started: list[tuple[list[str], dict[str, str]]] = []

    def become(path: str, command: list[str], environment: dict[str, str]) -> None:
        assert path == command[0]
        started.append((command, environment))
        raise _Served

    for name in ("MLOPS_DATASET", "MLOPS_SOURCE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "execve", become)
    first = small_settings(tmp_path).model_copy(update={"source": str(tmp_path / "landed")})
    monkeypatch.setenv("MLOPS_HOME", str(first.home))
    with pytest.raises(_Served):
        serve_code(first, Console(), host="127.0.0.1")
    with pytest.raises(_Served):
        serve_code(settings_as_started(), Console(), host="127.0.0.1")
    for command, environment in started:
        assert "mlops_assets.definitions" in command
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        served = Settings()
        assert (served.dataset, served.source) == (first.dataset, first.source)
    assert len(started) == 2
