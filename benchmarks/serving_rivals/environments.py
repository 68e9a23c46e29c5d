"""An environment of its own for each rival, made once from its pinned requirements and kept in the user's cache.

What is pinned stands in `requirements/NAME.in`, all that follows from it in `NAME.txt`.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements")
COMPLETE = ".complete"
"""Written last: a folder without it was left half done."""
MODEL_PACKAGE = "scikit-learn"
"""Its version must be the project's, for a pipeline is not promised to load under another."""
INSTALL_SECONDS = 900


class NotInstalled(Exception):
    """The environment cannot be had; the message says why."""


def pinned(name: str, package: str) -> str:
    """The version of a package that a rival's environment has."""
    found = re.search(rf"^{re.escape(package)}==(\S+)", (REQUIREMENTS / f"{name}.txt").read_text(), re.MULTILINE)
    assert found, f"{name}.txt does not pin {package}"
    return found[1]


def programs_of(name: str) -> Path:
    """The folder of an environment's programs; the environment is made where there is none yet.

    Raises:
        NotInstalled: it cannot be made, or its model's package is of another version than the project's.
    """
    requirements = REQUIREMENTS / f"{name}.txt"
    ours, theirs = version(MODEL_PACKAGE), pinned(name, MODEL_PACKAGE)
    if ours != theirs:
        raise NotInstalled(f"it has {MODEL_PACKAGE} {theirs}, the model {ours}: pin that in {name}.in and compile it")
    key = hashlib.sha256(f"{sys.version}\n{requirements.read_text()}".encode()).hexdigest()[:12]
    folder = _cache() / f"{name}-{key}"
    if not (folder / COMPLETE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        _install(folder, requirements)
        (folder / COMPLETE).touch()
    return folder / "bin"


def _install(folder: Path, requirements: Path) -> None:
    python = str(folder / "bin" / "python")
    if uv := shutil.which("uv"):
        commands = [
            [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--python", python, "--requirement", str(requirements)],
        ]
    else:
        commands = [
            [sys.executable, "-m", "venv", str(folder)],
            [python, "-m", "pip", "install", "--quiet", "--requirement", str(requirements)],
        ]
    for command in commands:
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        except subprocess.CalledProcessError as error:
            lines = error.stderr.strip().splitlines() or [f"{command[0]} ended with {error.returncode}"]
            raise NotInstalled(f"its environment could not be installed: {lines[-1]}") from error
        except subprocess.TimeoutExpired as error:
            raise NotInstalled(f"its environment was not installed within {INSTALL_SECONDS} s") from error


def _cache() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "closed-loop-mlops-bench"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        cache = Path(tempfile.gettempdir()) / "closed-loop-mlops-bench"
        cache.mkdir(parents=True, exist_ok=True)
    return cache
