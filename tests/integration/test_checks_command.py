"""`mlops checks` as continuous integration runs it: green on good windows, and an exit code that stops a build."""

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from mlops_assets.checks.windows import ROW_CHECKS, WINDOW_CHECKS
from mlops_assets.cli.checks import SMALL_WINDOWS, run_checks
from mlops_assets.datasets.flights import write_windows
from mlops_assets.domain.gate import CHECKS as GATE

pytestmark = pytest.mark.integration

CHECKS = {
    *WINDOW_CHECKS,
    *ROW_CHECKS,
    "no_feature_went_silent",
    *GATE,
    "service_answers_as_released",
}


def verdicts(output: str) -> set[tuple[str, str, str]]:
    """Window, check and verdict of each row of the printed table."""
    rows = [line.split() for line in output.splitlines()]
    return {(row[0], row[1], row[2]) for row in rows if len(row) > 2 and row[2] in ("passed", "FAILED")}


def test_every_check_passes_on_small_windows_of_the_flights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    output = StringIO()
    assert run_checks(Console(file=output, width=200), None) is True
    found = verdicts(output.getvalue())
    assert {check for _, check, _ in found} == CHECKS
    assert {window for window, _, _ in found} == set(SMALL_WINDOWS)
    assert {verdict for _, _, verdict in found} == {"passed"}


def test_a_spoiled_window_fails_the_command_and_is_named(tmp_path: Path) -> None:
    good, spoiled = write_windows(tmp_path, SMALL_WINDOWS, one_row_in=10)
    spoiled.write_bytes(spoiled.read_bytes()[: spoiled.stat().st_size // 2])
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}

    result = subprocess.run(
        [Path(sys.executable).with_name("mlops"), "checks", "--folder", tmp_path],
        env={**environment, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert result.returncode == 1, result.stderr
    found = verdicts(result.stdout)
    assert (spoiled.stem, "window_can_be_read", "FAILED") in found
    assert f"{spoiled.name} cannot be read as Parquet" in result.stdout
    assert {verdict for window, _, verdict in found if window == good.stem} == {"passed"}
    assert "Traceback" not in result.stderr
