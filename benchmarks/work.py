"""Pieces of a benchmark's work, each in a process of its own, so that none inherits another's memory or imports."""

import json
import subprocess
import sys
from typing import Any

from mlops_assets.cli.programs import ROOT


class NotMeasured(Exception):
    """A side failed, or there is no room for it."""


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
