"""The scripts around the containers, with a stand-in of `docker` where they call it."""

import hashlib
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


DOCKER = """
case "$*" in
  "compose config") echo "    file: $FOLDER/service_key" ;;
  *" list "*) [ -z "$BROKEN" ] || { echo "$BROKEN" >&2; exit 1; }; cat $FOLDER/known ;;
  *" create "*) echo "$*" >>$FOLDER/created; echo mlops_new ;;
esac
"""


class Keys:
    """`deploy/compose-secrets`, with the keys of a service that is not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        _script(self.bin / "docker", DOCKER)

    def make(self, *words: str, broken: str = "") -> subprocess.CompletedProcess[str]:
        """Runs the script."""
        path = f"{self.bin}:{os.environ['PATH']}"
        return _run(DEPLOY / "compose-secrets", *words, PATH=path, FOLDER=str(self.folder), BROKEN=broken)

    @property
    def key(self) -> str:
        """The loop's."""
        return (self.folder / "service_key").read_text().strip()

    @property
    def created(self) -> int:
        """How many keys were made."""
        path = self.folder / "created"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def know(self, key: str) -> None:
        """Has the service know a key of the loop's, and many others after it."""
        known = hashlib.sha256(key.encode()).hexdigest()[:12]
        others = "".join(f"client{number}  predict  for ever  000000000000\n" for number in range(5000))
        (self.folder / "known").write_text(f"loop  predict,read  for ever  {known}\n{others}")


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """No key and no secret yet."""
    return Keys(tmp_path)


def test_secrets_are_made_once_and_a_key_that_is_known_stays(keys: Keys) -> None:
    """Prevents that another `up` takes the loop's key from containers that run."""
    assert keys.make(broken="/keys/keys.json: No such file or directory").returncode == 0
    assert (keys.key, keys.created) == ("mlops_new", 1)
    password = (keys.folder / "postgres_password").read_text()
    assert len(password) > 30
    keys.know("mlops_new")
    for _ in range(5):
        assert keys.make().returncode == 0
    assert keys.created == 1
    assert (keys.folder / "postgres_password").read_text() == password


def test_a_key_that_the_service_does_not_know_is_made_anew(keys: Keys) -> None:
    """As after a restore on another machine."""
    keys.know("mlops_of_the_other_machine")
    assert keys.make("passwords").returncode == 0
    assert (keys.key, keys.created) == ("", 0)
    assert keys.make().returncode == 0
    assert (keys.key, keys.created) == ("mlops_new", 1)


def test_where_the_keys_cannot_be_read_none_is_replaced(keys: Keys) -> None:
    """Prevents that a daemon which does not answer costs the loop its key."""
    (keys.folder / "service_key").write_text("mlops_good\n")
    done = keys.make(broken="Cannot connect to the Docker daemon")
    assert done.returncode == 1
    assert "Cannot connect to the Docker daemon" in done.stderr
    assert (keys.key, keys.created) == ("mlops_good", 0)


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
