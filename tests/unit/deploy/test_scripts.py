"""The scripts around the containers, with a stand-in of `docker` where they call it."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.unit.deploy.manifests import ROOT

DEPLOY = ROOT / "deploy"


def _script(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
    path.chmod(0o755)
    return path


def _run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


@pytest.fixture
def no_engine(tmp_path: Path) -> str:
    """A PATH on which `docker` finds nothing that runs."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    _script(bin_folder / "docker", "exit 1")
    return f"{bin_folder}:{os.environ['PATH']}"


def test_where_there_is_no_engine_it_says_so(no_engine: str, tmp_path: Path) -> None:
    """Prevents that CI takes a machine without an engine for a failure of the project, or the other way round."""
    done = _run(DEPLOY / "with-engine", "true", PATH=no_engine, COMPOSE_ENGINE=str(tmp_path / "none"))
    assert done.returncode == 69
    assert "no Docker engine answers" in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root may start an engine")
def test_an_engine_that_does_not_start_is_a_failure(no_engine: str, tmp_path: Path) -> None:
    """Prevents a green CI in which the containers were never run, though they could have been."""
    engine = _script(tmp_path / "engine", f"echo $1 >>{tmp_path}/asked", '[ "$1" != up ] || { echo broken; exit 3; }')
    done = _run(DEPLOY / "with-engine", "true", PATH=no_engine, COMPOSE_ENGINE=str(engine), W=str(tmp_path / "w"))
    assert done.returncode == 1
    assert "broken" in done.stderr
    assert (tmp_path / "asked").read_text().split() == ["up", "down", "up", "down"]


@pytest.mark.skipif(not os.access("/run", os.W_OK), reason="secrets lie in /run")
def test_secrets_are_read_and_empty_ones_change_nothing() -> None:
    """Prevents that a file which nobody filled takes the place of a setting."""
    folder = Path("/run/secrets")
    made = not folder.exists()
    folder.mkdir(exist_ok=True)
    full, empty = folder / f"test-{os.getpid()}-full", folder / f"test-{os.getpid()}-empty"
    try:
        full.write_text("hunter2")
        empty.write_text("")
        show = ("sh", "-c", 'echo "$PASSWORD $SOURCE $SSL_CERT"')
        done = _run(
            DEPLOY / "with-secrets", *show,
            PASSWORD_FILE=str(full), SOURCE_FILE=str(empty), SOURCE="inbox", SSL_CERT_FILE="/etc/ssl/x", SSL_CERT="",
        )  # fmt: skip
        assert done.stdout == "hunter2 inbox \n"
        missing = _run(DEPLOY / "with-secrets", "true", SOURCE_FILE=str(folder / "none"))
        assert missing.returncode == 1
        assert "/run/secrets/none, which SOURCE_FILE names, cannot be read" in missing.stderr
    finally:
        full.unlink(missing_ok=True)
        empty.unlink(missing_ok=True)
        if made:
            folder.rmdir()
