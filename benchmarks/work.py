"""Where a benchmark works: on which machine, with how much room, and its pieces, each in a process of its own.

So that none inherits another's memory or imports.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from mlops_assets.cli.programs import ROOT


class NotMeasured(Exception):
    """A side failed, or there is no room for it."""


def demand_room(folder: Path, needed: int) -> None:
    """Demands so many free bytes where a folder is.

    Raises:
        NotMeasured: there are fewer.
    """
    if (free := shutil.disk_usage(folder).free) < needed:
        raise NotMeasured(f"{folder} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed: use --folder")


def machine() -> dict[str, Any]:
    """What figures were measured on, and how busy it is now."""
    return {
        "cores": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
    }


def run_piece(module: str, *words: str) -> dict[str, Any]:
    """What a piece found: the last line that it printed, as JSON.

    Raises:
        NotMeasured: it failed; the message has the end of what it said.
    """
    command = [sys.executable, "-m", f"benchmarks.{module}", *words]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if ended.returncode:
        raise NotMeasured(f"{' '.join(words)} failed: {ended.stderr.decode()[-2000:]}")
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found
