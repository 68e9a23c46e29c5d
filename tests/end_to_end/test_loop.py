"""The loop as a user runs it: `mlops up` and `mlops demo` with real servers on loopback."""

import json
import re
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from mlops_assets.cli.demo import OWN
from mlops_assets.cli.programs import ROOT
from mlops_assets.datasets.contract import FLIGHTS
from mlops_assets.datasets.flights import write_windows
from tests.end_to_end.running import Running, start, stop

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(400)]

BACKFILL = """
mutation ($windows: [String!]!) {
  launchPartitionBackfill(backfillParams: {assetSelection: [{path: ["drift_report"]}], partitionNames: $windows}) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""


@dataclass
class Client:
    """Sends the same row on and on, and keeps what was answered."""

    url: str
    row: dict[str, Any]
    versions: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Client":
        """Starts sending."""
        self._thread = threading.Thread(target=self._send)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops sending."""
        self._stop.set()
        self._thread.join()

    def _send(self) -> None:
        with httpx.Client(timeout=5) as client:
            while not self._stop.is_set():
                try:
                    answer = client.post(f"{self.url}/predict", json=self.row)
                    if answer.status_code == 200:
                        self.versions.append(answer.json()["model_version"])
                    else:
                        self.failures.append(answer.text)
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                time.sleep(0.005)


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four small months of real flights, of which the second has other weather than the first."""
    months = ("2013-01", "2013-04", "2013-05", "2013-06")
    return list(write_windows(tmp_path_factory.mktemp("flights"), months, one_row_in=10))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`mlops up`, ready; by the plain rule, for no gain on 500 rows of six days is sure."""
    folder = tmp_path_factory.mktemp("up")
    contract = folder / "flights.toml"
    shutil.copy(FLIGHTS.with_name("flights_known_cases.toml"), contract.parent)
    contract.write_text(FLIGHTS.read_text().replace("[gate]\n", '[gate]\nrule = "plain"\n'))
    running = start(folder / "home", "up", "--dataset", str(contract))
    try:
        running.wait_for(lambda: "Ctrl-C stops it." in running.output.read_text(), seconds=150)
        yield running
    finally:
        stop(running)


def test_a_dropped_file_becomes_the_version_that_answers_and_no_request_fails(
    running: Running, windows: list[Path]
) -> None:
    """The loop's whole promise: drop a file and do nothing else."""
    assert running.served()["ready"] is False
    running.mlops("window", "add", str(windows[0]))
    running.wait_for(lambda: running.served()["model_version"] == 1)
    (case, *_) = json.loads((running.home / "releases" / "1" / "cases.json").read_text())

    with Client(running.service, case["row"]) as client:
        running.mlops("window", "add", str(windows[1]))
        running.wait_for(lambda: running.served()["model_version"] == 2)
        time.sleep(1)

    assert client.failures == []
    assert set(client.versions) == {1, 2}
    assert client.versions == sorted(client.versions), "the version never goes back"
    status = running.status()
    assert [(w["window"], w["decision"], w["verdict"]) for w in status["windows"]] == [
        ("2013-01", "first", "promoted"),
        ("2013-04", "trained", "promoted"),
    ]
    assert status["production"]["model_version"] == status["service"]["model_version"] == 2
    assert {c["version"]: c["status"] for c in status["candidates"]} == {1: "archived", 2: "production"}


def test_a_bad_file_is_named_and_the_others_go_on(running: Running, windows: list[Path]) -> None:
    landing = running.home / "landing"
    (landing / "2013-05.parquet").write_bytes(windows[2].read_bytes()[:5000])
    running.mlops("window", "add", str(windows[3]))
    running.wait_for(lambda: {"2013-05", "2013-06"} <= {w["window"] for w in _with_verdict(running)})

    bad, good = (w for w in _with_verdict(running) if w["window"] in ("2013-05", "2013-06"))
    assert good["verdict"] in ("promoted", "refused", "undecided")
    assert bad["verdict"] == "unfit"
    assert "cannot be read as Parquet" in bad["fault"]
    assert running.served()["ready"] is True


def test_history_is_measured_anew_by_a_backfill_and_a_report_opens_at_its_link(running: Running) -> None:
    """As Dagster's page asks for it; a window of before production starts no training, and the page is served."""
    before = running.status()
    since = running.explained("2013-01")["drift"]["measured_at"]
    time.sleep(1)  # reports are dated to the second
    launched = running.graphql(BACKFILL, windows=["2013-01", "2013-04"])["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    running.wait_for(lambda: _backfill(running, launched["backfillId"]) == "COMPLETED_SUCCESS")

    for window in ("2013-01", "2013-04"):
        told = running.explained(window)
        assert told["drift"]["measured_at"] > since
        assert told["drift"]["production_version"] == before["production"]["model_version"]
        assert told["decision"]["trains"] is None
        page = httpx.get(told["drift"]["report"], timeout=5)
        assert page.status_code == 200
        assert "wind_speed" in page.text
    after = running.status()
    assert after["production"] == before["production"]
    assert len(after["candidates"]) == len(before["candidates"])


def test_two_windows_are_compared_by_hand(running: Running) -> None:
    """While the loop runs, and without it noticing."""
    compared = running.mlops("drift", "2013-01", "2013-04")
    assert compared.returncode == 0, compared.stderr
    assert "quality" in compared.stdout
    assert "drift_share" in compared.stdout
    told = running.mlops("explain", "2013-04")
    assert told.returncode == 0, told.stderr
    assert "decision" in told.stdout


def test_runs_are_forked_from_the_preloaded_process(running: Running) -> None:
    """Without it each run imports for seconds; Dagster may change the internal that this rests on."""
    commands = [" ".join(process.cmdline()) for process in running.processes()]
    assert any("multiprocessing.forkserver" in command and "mlops_assets.preloaded" in command for command in commands)


def test_a_killed_service_comes_back_with_the_released_version(running: Running) -> None:
    version = running.served()["model_version"]
    (service,) = [p for p in running.processes() if p.cmdline()[1:3] == ["-m", "serving"]]
    service.kill()
    running.wait_for(lambda: not service.is_running() or service.status() == psutil.STATUS_ZOMBIE)
    running.wait_for(lambda: _answers(running, version), seconds=20)


def test_a_second_stack_on_the_same_state_is_refused(running: Running) -> None:
    second = running.mlops("up")
    assert second.returncode == 1
    assert f"the loop runs already on {running.home}" in second.stderr


def test_a_window_name_that_cannot_be_is_refused_with_what_is_expected(running: Running, tmp_path: Path) -> None:
    bad = tmp_path / "..parquet"
    bad.write_bytes(b"PAR1....PAR1")
    result = running.mlops("window", "add", str(bad), "--window", "../2013-07")
    assert result.returncode == 1
    assert "cannot name a window: use 1 to 64 letters" in result.stderr


@pytest.mark.timeout(900)
def test_the_demo_prints_what_the_readme_says_goes_on_where_it_stopped_and_leaves_no_process(tmp_path: Path) -> None:
    first = start(tmp_path / "demo", "demo", "--windows", "4", "--exit")
    assert first.process.wait(timeout=400) == 0, first.output.read_text()
    assert first.processes() == []
    assert "curl -s http://127.0.0.1" in first.output.read_text()
    assert len(_rows(first.output.read_text())) == 4
    assert _rows(first.output.read_text()) == _rows((ROOT / "README.md").read_text())[:4]

    interrupted = start(tmp_path / "demo", "demo", "--windows", "5", "--exit")
    interrupted.wait_for(lambda: "window 1 of 1" in interrupted.output.read_text(), seconds=120)
    stop(interrupted)
    assert interrupted.process.returncode != 0, "exit 0 means that every window was handled"

    second = start(tmp_path / "demo", "demo", "--windows", "5")
    try:
        second.wait_for(lambda: "Ctrl-C stops it." in second.output.read_text(), seconds=180)
        assert "holds 4 of the 5 windows; going on from there" in second.output.read_text()
        assert second.served()["model_version"] == 2
        decisions = ["first", "no drift", "no drift", "trained", "trained"]
        assert [window["decision"] for window in second.status()["windows"]] == decisions
    finally:
        second.process.send_signal(signal.SIGINT)
        second.process.wait(timeout=60)
    assert second.process.returncode == 0
    assert second.processes() == [], "Ctrl-C leaves no process behind"
    made = {path.name for path in (tmp_path / "demo").iterdir() if not path.name.startswith(".")}
    assert made <= OWN, "what --fresh takes for another's"


def _rows(text: str) -> list[str]:
    """The rows of the demo's table, without how long each took on this machine."""
    return [" ".join(line.split()[:-2]) for line in text.splitlines() if re.match(r" *2013-\d\d +[\d,]+ ", line)]


def _with_verdict(running: Running) -> list[dict[str, Any]]:
    return [window for window in running.status()["windows"] if window["verdict"]]


def _backfill(running: Running, backfill: str) -> str:
    status = "query ($id: String!) {partitionBackfillOrError(backfillId: $id) {... on PartitionBackfill {status}}}"
    return str(running.graphql(status, id=backfill)["partitionBackfillOrError"]["status"])


def _answers(running: Running, version: int) -> bool:
    try:
        return bool(running.served()["model_version"] == version)
    except httpx.HTTPError:
        return False
