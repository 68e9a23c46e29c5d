from pathlib import PurePosixPath
from typing import Any

import pytest

from mlops_assets.domain.backup import (
    BackupInvalid,
    DatabaseCopy,
    DatabaseName,
    Manifest,
    Member,
    demand_format,
    demand_inside,
    demand_restorable,
    is_state,
    names_versions,
    read_manifest,
)

SHA256 = "0" * 64
HERE: dict[DatabaseName, str] = {"dagster": "sqlite", "ledger": "postgresql", "mlflow": "sqlite"}
INSTALLED = {"dagster": "1.13.27", "mlflow": "3.17.2"}


def a_manifest(**changed: object) -> Manifest:
    """A small one."""
    return Manifest.model_validate(
        {
            "format": 1,
            "made_at": "2026-01-01T00:00:00+00:00",
            "dataset": "small",
            "state": "/home/someone/.mlops",
            "versions": INSTALLED,
            "code_sha256": SHA256,
            "databases": {"ledger": DatabaseCopy(kind="postgresql", name="ledger")},
            "folders": {"windows": 0o755},
            "members": {"state/dataset": Member(size=5, sha256=SHA256, mode=0o644, mtime_ns=1)},
            **changed,
        }
    )


@pytest.mark.parametrize(
    "path",
    [
        "dataset",
        "started-with.json",
        "keys.json",
        "landing/2024-01.parquet",
        "windows/2024-01/0123/clean.parquet",
        "releases/1/model.onnx",
        "releases/1.calibrations/a.json",
        "mlartifacts/models/m-1/artifacts/MLmodel",
        "dagster/history/runs/index.db",
        "dagster/history/runs/.db",
        "serving/log/20240305T000000000000Z-0123456789abcdef-1.open",
        "serving/log/broken/a.reason",
        "prediction_log/a/labels.parquet",
        "requeued/2024-01",
    ],
)
def test_what_the_loop_needs_belongs_to_a_backup(path: str) -> None:
    assert is_state(PurePosixPath(path))


@pytest.mark.parametrize(
    "path",
    [
        "lock",
        "supervisord.pid",
        "supervisord.conf",
        "logs/code.log",
        "spool/a.parquet",
        "windows/.spill-1/a",
        "windows/2024-01/.0123.ab.tmp/clean.parquet",
        "releases/.promotion.lock",
        "releases/.2.ab.tmp/model.onnx",
        "releases/production.json",
        "prediction_log/.lock",
        "landing/.2024-01.parquet.ab.tmp",
        "serving/workers/12.json",
        "serving/log/20240305T000000000000Z-0123456789abcdef-1.new",
        "mlflow.db-journal",
        "dagster/history/runs.db-wal",
        "dagster/history/runs.db-shm",
        "restore-is-not-done.json",
    ],
)
def test_locks_processes_and_what_is_half_written_do_not(path: str) -> None:
    assert not is_state(PurePosixPath(path))


def test_a_window_s_records_name_versions_and_a_version_s_record_does_not() -> None:
    assert names_versions(PurePosixPath("windows/2024-01/current.json"))
    assert not names_versions(PurePosixPath("windows/2024-01/0123/window.json"))
    assert not names_versions(PurePosixPath("windows/2024-01/0123"))


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "state",
        "state/../../etc/passwd",
        "state//etc/passwd",
        "state/./a",
        "state/",
        "elsewhere/a",
        "state/a\0b",
        "",
    ],
)
def test_a_name_that_leads_out_of_the_state_folder_is_refused(name: str) -> None:
    with pytest.raises(BackupInvalid, match="is no name of a backup's file"):
        demand_inside(name)


def test_a_manifest_is_read_as_it_was_written() -> None:
    made = a_manifest()
    assert read_manifest(made.model_dump_json().encode()) == made


@pytest.mark.parametrize("changed", [{"members": {"state/../a": None}}, {"folders": {"../a": 0o755}}])
def test_a_manifest_names_nothing_outside(changed: dict[str, Any]) -> None:
    if "members" in changed:
        changed = {"members": {name: Member(size=0, sha256=SHA256, mode=0, mtime_ns=0) for name in changed["members"]}}
    with pytest.raises(BackupInvalid, match="is no name"):
        read_manifest(a_manifest(**changed).model_dump_json().encode())


@pytest.mark.parametrize("text", [b"", b"{", b"[]", a_manifest().model_dump_json().replace("0" * 64, "x").encode()])
def test_a_damaged_manifest_is_refused(text: bytes) -> None:
    with pytest.raises(BackupInvalid, match="its manifest is damaged"):
        read_manifest(text)


def test_a_newer_format_is_refused_and_told_apart_from_no_format() -> None:
    demand_format(b"1\n")
    with pytest.raises(BackupInvalid, match="format 2, and this version reads 1"):
        demand_format(b"2\n")
    for other in (b"", b"PK", b"null", b"[1]", b"\xff"):
        with pytest.raises(BackupInvalid, match="no backup of the loop"):
            demand_format(other)


def test_a_backup_goes_back_into_the_form_that_it_was_made_of() -> None:
    demand_restorable(a_manifest(), databases=HERE, versions=INSTALLED)
    with pytest.raises(BackupInvalid, match="ledger database is postgresql and the settings name sqlite"):
        demand_restorable(a_manifest(), databases={**HERE, "ledger": "sqlite"}, versions=INSTALLED)


@pytest.mark.parametrize(("here", "fits"), [("1.13.2", True), ("1.14.0", True), ("2.0", True), ("1.9.30", False)])
def test_an_older_dagster_than_wrote_the_database_is_refused(here: str, fits: bool) -> None:
    """Numbers compare as numbers, and a patch changes no database."""
    installed = {**INSTALLED, "dagster": here}
    if fits:
        demand_restorable(a_manifest(), databases=HERE, versions=installed)
        return
    with pytest.raises(BackupInvalid, match=r"made with dagster 1\.13\.27, and 1\.9\.30 is installed"):
        demand_restorable(a_manifest(), databases=HERE, versions=installed)
