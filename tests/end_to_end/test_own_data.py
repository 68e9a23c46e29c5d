"""A user's own data from the first look to the answer: tables of CSV, a drafted contract, labels that come late."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest

from tests.end_to_end.running import MLOPS, Running, start, stop

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(400)]

CUSTOMERS = 1200


def land(folder: Path, window: str, *, shift: float = 0, labelled: bool = True) -> Path:
    """Writes a window's tables as an export does, and the mark that it is done; gives the file of its labels."""
    random = np.random.default_rng(int.from_bytes(window.encode()) % 2**32)
    customer = [f"c{number:05d}" for number in range(CUSTOMERS)]
    hours, paperless = random.normal(30 + shift, 5, CUSTOMERS).round(3), random.random(CUSTOMERS) < 0.6
    leaving = (hours - 30 - shift) * (1 if shift else -1) / 5 + paperless
    tables = {
        "customers": {"paperless": paperless, "plan": random.choice(["basic", "full"], CUSTOMERS)},
        "usage": {"watch_hours": hours, "devices": random.integers(1, 6, CUSTOMERS) + (4 if shift else 0)},
        "labels": {"churned": random.random(CUSTOMERS) < 1 / (1 + np.exp(-2 * leaving))},
    }
    target = folder / window
    target.mkdir(parents=True)
    for name, columns in tables.items():
        frame = pd.DataFrame({"customer_id": customer, **columns})
        if name == "usage" and shift:
            frame = frame.astype({"watch_hours": object})
            frame.loc[:4, "watch_hours"] = "n.a. today"
        frame.to_csv(target / f"{name}.csv" if name != "labels" or labelled else folder / "late.csv", index=False)
    (target / "_SUCCESS").touch()
    return folder / "late.csv"


def mlops(*arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        [MLOPS, *map(str, arguments)],
        env={**os.environ, "COLUMNS": "160", **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`mlops up` on a folder with one window, by the contract that `mlops init` drafted of it, uncorrected."""
    folder = tmp_path_factory.mktemp("own")
    data, contract = folder / "data", folder / "dataset.toml"
    land(data, "2024-01")
    drafted = mlops("init", data, "--output", contract)
    assert drafted.returncode == 0, drafted.stderr
    assert "target churned, row id customer_id" in drafted.stdout
    checked = mlops("check", "--dataset", contract, "--source", data)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "2024-01   1,200   1,200   0" in checked.stdout
    # As `mlops init data` prints it: paths from the user's own directory, which is not the programs'.
    running = start(folder / "home", "up", "--dataset", "dataset.toml", "--source", "data", work=folder)
    running.environment |= {"MLOPS_DATASET": str(contract), "MLOPS_SOURCE": str(data)}
    try:
        running.wait_for(lambda: "Ctrl-C stops it." in running.output.read_text(), seconds=150)
        yield running
    finally:
        stop(running)


def test_tables_become_a_service_and_late_labels_the_next_version(running: Running) -> None:
    data = Path(running.environment["MLOPS_SOURCE"])
    running.wait_for(lambda: running.served()["model_version"] == 1)
    row = {"paperless": True, "plan": "full", "watch_hours": 31.5, "devices": 2}
    answer = httpx.post(f"{running.service}/predict", json=row)
    assert answer.status_code == 200, answer.text
    refused = httpx.post(f"{running.service}/predict", json={**row, "paperless": 1})
    assert refused.status_code == 400, "1 is no boolean"

    labels = land(data, "2024-02", shift=8, labelled=False)
    running.wait_for(lambda: any(window["waits_for"] for window in running.status()["windows"]))
    assert "0 of 1195 clean rows have a label" in running.mlops("status").stdout
    listed = running.mlops("quarantine", "show", "2024-02")
    assert "1,200 rows in = 1,195 clean + 5 quarantined" in listed.stdout
    assert "watch_hours: not a number" in listed.stdout
    assert "n.a. today" in listed.stdout

    labels.rename(data / "2024-02" / "labels.csv")
    running.wait_for(lambda: running.served()["model_version"] == 2)
    first, second = running.status()["windows"]
    assert (first["verdict"], second["verdict"]) == ("promoted", "promoted")
    assert second["realised_auc"] < 0.5, "version 1 learned the opposite"


def test_a_corrected_window_is_another_version_and_a_requeued_one_is_taken_again(running: Running) -> None:
    store = running.home / "windows" / "2024-02"
    before = json.loads((store / "current.json").read_text())["data_version"]
    data = Path(running.environment["MLOPS_SOURCE"])
    usage = data / "2024-02" / "usage.csv"
    corrected = usage.read_text().replace("n.a. today", "38.5")
    beside = usage.with_suffix(".tmp")
    beside.write_text(corrected)
    beside.rename(usage)
    running.wait_for(lambda: json.loads((store / "current.json").read_text())["data_version"] != before)
    assert json.loads((store / "latest.json").read_text())["replaces"] == before
    assert "nothing is in quarantine" in running.mlops("quarantine", "list").stdout

    removed = running.mlops("window", "remove", "2024-02")
    assert removed.returncode == 0, removed.stderr
    assert not (store / "current.json").exists()
    assert running.mlops("quarantine", "requeue", "2024-02").returncode == 0
    running.wait_for(lambda: (store / "current.json").exists())


def test_another_dataset_is_refused_on_the_same_state(running: Running, tmp_path: Path) -> None:
    """The flights' windows and this production model in one folder would be taken for each other's."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dataset").write_text((running.home / "dataset").read_text())
    other = mlops("up", MLOPS_HOME=str(tmp_path / "home"))
    assert other.returncode == 1
    assert "holds the loop of the dataset" in other.stderr
