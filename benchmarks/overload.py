"""Five times more requests than the service can answer, for a minute: what it still answers, and how it refuses.

The load is open: requests are sent at their times, however slow the answers are. Where there are two cores, its client
has its own. A request is a batch of 2,000 rows, which makes the service, and not the client, the narrow place.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from rich.console import Console

from benchmarks.aims import as_figures, print_aims
from benchmarks.work import machine
from mlops_assets.cli.stack import free_port
from tests.end_to_end.load import BODY, READY, Answered, Connection, Load, request
from tests.end_to_end.service_process import environment
from tests.unit.serving.bundles import publish

ROWS = 2000
CALM_SECONDS = 5
GOODPUT_AIM, RECOVERY_AIM_SECONDS = 0.8, 5.0


async def measure(port: int, *, times: float, seconds: float) -> dict[str, float]:
    """Figures of a flood after a calm that tells what the service can do."""
    sent = request("/predict", b"[" + b",".join([BODY] * ROWS) + b"]")
    await _closed(port, sent, 1)
    calm = await _closed(port, sent, CALM_SECONDS)
    capacity = calm.statuses[200] / CALM_SECONDS
    health: list[Answered] = []
    watching = asyncio.create_task(_watch(port, health))
    flood = Load(port)
    began = monotonic()
    await flood.run_at(times * capacity, seconds, sent)
    took = monotonic() - began
    watching.cancel()
    recovery = monotonic()
    usual = 2 * _quantile([answer.seconds for answer in calm.answers], 99)
    connection = Connection(port)
    while (await connection.ask(sent)).seconds > usual:
        pass
    return {
        "capacity_per_second": capacity,
        "asked_per_second": times * capacity,
        "seconds": took,
        "goodput": flood.statuses[200] / took / capacity,
        "answered": float(flood.statuses[200]),
        "refused": float(flood.statuses[503]),
        "otherwise": float(len(flood.answers) + len(flood.failures) - flood.statuses[200] - flood.statuses[503]),
        "refused_ms_p50": 1000 * _quantile([one.seconds for one in flood.answers if one.status == 503], 50),
        "refused_ms_p99": 1000 * _quantile([one.seconds for one in flood.answers if one.status == 503], 99),
        "answered_ms_p99": 1000 * _quantile([one.seconds for one in flood.answers if one.status == 200], 99),
        "health_not_200": float(sum(one.status != 200 for one in health)),
        "health_ms_p99": 1000 * _quantile([one.seconds for one in health], 99),
        "recovery_seconds": monotonic() - recovery,
    }


async def _closed(port: int, sent: bytes, seconds: float) -> Load:
    load = Load(port)
    asking = asyncio.create_task(load.run(2, lambda: sent))
    await asyncio.sleep(seconds)
    load.done.set()
    await asking
    return load


async def _watch(port: int, health: list[Answered]) -> None:
    connection = Connection(port)
    while True:
        health.append(await connection.ask(READY))
        await asyncio.sleep(0.2)


def _quantile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100)[percent - 1] if len(values) > 1 else float("nan")


def figures(found: dict[str, float]) -> dict[str, Any]:
    """All figures, as `--json` writes them."""
    aims = (
        ("goodput_share_of_capacity", GOODPUT_AIM, found["goodput"], found["goodput"] >= GOODPUT_AIM),
        ("neither_answered_nor_refused", 0, found["otherwise"], found["otherwise"] == 0),
        ("health_answers_not_200", 0, found["health_not_200"], found["health_not_200"] == 0),
        (
            "recovery_seconds",
            RECOVERY_AIM_SECONDS,
            found["recovery_seconds"],
            found["recovery_seconds"] <= RECOVERY_AIM_SECONDS,
        ),
    )
    return {
        "overload": found,
        "machine": machine(),
        "aims": as_figures(aims),
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--times", type=float, default=5)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        port = free_port()
        releases = Path(folder, "releases")
        publish(releases, 1)
        settings = {"threads": "1", "max_large_requests": "8", "log_level": "warning"}
        service = subprocess.Popen(
            [sys.executable, "-m", "serving"], env=environment(releases, Path(folder, "serving"), port, **settings)
        )
        try:
            cores = sorted(os.sched_getaffinity(0))
            if len(cores) > 1:  # else the flood's sender takes from the service what it then finds missing
                os.sched_setaffinity(service.pid, cores[:1])
                os.sched_setaffinity(0, cores[1:])
            asyncio.run(_ready(port))
            found = figures(asyncio.run(measure(port, times=given.times, seconds=given.seconds)))
        finally:
            service.terminate()
            service.wait()
    console = Console()
    for name, value in found["overload"].items():
        console.print(f"{name:24} {value:10,.2f}")
    print_aims(found, console)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2))


async def _ready(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                if (await Connection(port).ask(READY)).status == 200:
                    return
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    main()
