"""A small state folder as a loop leaves it, made without the seconds that a loop takes: what tests back up."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from mlops_assets.adapters.ledger import Ledger, Request
from mlops_assets.cli.backup import DAGSTER_FILES
from mlops_assets.cli.state import leave_mark
from mlops_assets.config import Settings
from serving.release import Pointer
from tests.unit.mlops_assets.cli.test_check import CONTRACT


def small_settings(folder: Path, home: str = "home") -> Settings:
    """Of a loop in a folder, whose contract lies beside the state."""
    contract = folder / "contracts" / "small.toml"
    contract.parent.mkdir(exist_ok=True)
    contract.write_text(CONTRACT)
    return Settings(home=folder / home, dataset=contract)


def small_state(settings: Settings) -> Settings:
    """Fills a state folder: databases, a window, a release that is production, half a release, and a lock."""
    state = settings.state
    leave_mark(settings)
    for name in DAGSTER_FILES:
        write(state / name).unlink()
        with closing(sqlite3.connect(state / name)) as connection:
            connection.execute("CREATE TABLE events (id INTEGER)")
    with closing(sqlite3.connect(state / "mlflow.db")) as connection:
        connection.execute("CREATE TABLE runs (artifact_uri TEXT)")
        artifacts = (state / "mlartifacts" / "1" / "a" / "artifacts").as_uri()
        connection.execute("INSERT INTO runs VALUES (?)", (artifacts,))
        connection.commit()
    promote(settings, 1)
    write(state / "windows" / "2024-01" / "current.json", b"{}")
    write(state / "windows" / "2024-01" / "0123" / "clean.parquet", b"rows")
    write(state / "releases" / "1" / "model.onnx", b"model")
    write(state / "releases" / ".2.ab.tmp" / "model.onnx", b"half")
    write(state / "landing" / "2024-01.parquet", b"landed")
    write(state / "supervisord.pid", b"1")
    return settings


def promote(settings: Settings, version: int) -> None:
    """Makes a version production, for the ledger and for the service."""
    ledger = Ledger(settings.ledger_url)
    request = Request(version, ledger.epoch(), "someone", "because", "a" * 64, "b" * 64, "run")
    promotion = ledger.intend(request)
    ledger.conclude(promotion.epoch, "done")
    write_pointer(settings, version, promotion.epoch)


def write_pointer(settings: Settings, version: int, epoch: int) -> None:
    """Has the service follow, whatever the ledger says."""
    pointer = Pointer(epoch=epoch, model_version=version, manifest_sha256="a" * 64, promoted_at="2024-03-05T00:00:00Z")
    write(settings.releases / "production.json", msgspec.json.encode(pointer))


def write(path: Path, content: bytes = b"") -> Path:
    """A file, and the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but for the lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock"
    }
