"""The stack of docker-compose.yml: the size of its images, its memory, and how long a killed container is away.

The containers are those of `make compose-smoke`, under a name, ports and volumes of their own, with one window trained
on and served; four clients ask all the while. Where no engine runs, `deploy/with-engine` starts one.
"""

import argparse
import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.aims import as_figures, print_aims
from benchmarks.work import machine
from mlops_assets.datasets.flights import write_windows
from tests.compose.asking import Killed, kill
from tests.compose.stack import HEAL_SECONDS, SERVERS, TRAIN_SECONDS, Compose, until

WAIT_SECONDS = 5 * HEAL_SECONDS
"""How long a container is waited for: one that misses the aim is measured all the same."""
UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def measure(stack: Compose) -> dict[str, Any]:
    """Sizes, memory and times of a stack that is built, started and serves a model."""
    images = [{"image": image, "bytes": _bytes_of_image(stack, name)} for image, name in stack.images.items()]
    memory = _memory(stack)
    killed = {service: kill(stack, service, seconds=WAIT_SECONDS) for service in SERVERS}
    slowest = max(one.back_seconds for one in killed.values())
    lost = sum(one.not_on_record for one in killed.values())
    aims = [
        ("slowest_container_back_seconds", HEAL_SECONDS, slowest, slowest <= HEAL_SECONDS),
        ("answered_rows_not_on_record", 0, lost, lost == 0),
    ]
    return {
        "images": images,
        "containers": [{"service": name, **memory[name], **_noticed(killed[name])} for name in SERVERS],
        "machine": machine(),
        "aims": as_figures(aims),
    }


def _bytes_of_image(stack: Compose, name: str) -> int:
    return int(stack.docker("image", "inspect", "--format", "{{.Size}}", name))


def _memory(stack: Compose) -> dict[str, dict[str, int]]:
    """What each container takes, without the files that the kernel keeps for it, and its limit."""
    ids = {container["Id"]: service for service, container in stack.containers().items()}
    said = stack.docker("stats", "--no-stream", "--no-trunc", "--format", "{{json .}}", *ids)
    found = {ids[one["ID"]]: one["MemUsage"].split(" / ") for one in map(json.loads, said.splitlines())}
    return {name: {"bytes": _bytes(used), "limit": _bytes(limit)} for name, (used, limit) in found.items()}


def _bytes(text: str) -> int:
    number, unit = re.fullmatch(r"([\d.]+)(\w+)", text.strip()).groups()  # type: ignore[union-attr]
    return round(float(number) * UNITS[unit])


def _noticed(killed: Killed) -> dict[str, Any]:
    return {
        "back_seconds": killed.back_seconds,
        "silent_seconds": killed.silent_seconds,
        "answered_200": killed.statuses[200],
        "otherwise": killed.statuses.total() - killed.statuses[200] + killed.failures,
        "rows_not_on_record": killed.not_on_record,
    }


def print_figures(found: dict[str, Any], console: Console) -> None:
    """The figures as tables, and the aims."""
    images = Table(title="Images", title_justify="left")
    images.add_column("image")
    images.add_column("MB", justify="right")
    for one in found["images"]:
        images.add_row(one["image"], f"{one['bytes'] / 1e6:,.0f}")
    console.print(images)
    table = Table(title="Containers: memory with one window, and each killed once under requests", title_justify="left")
    for column in ("container", "MiB", "limit MiB", "healthy after s", "longest without 200 s", "200", "else", "lost"):
        table.add_column(column, justify="left" if column == "container" else "right")
    for one in found["containers"]:
        table.add_row(
            one["service"],
            f"{one['bytes'] / 2**20:,.0f}",
            f"{one['limit'] / 2**20:,.0f}",
            f"{one['back_seconds']:.0f}",
            f"{one['silent_seconds']:.1f}",
            f"{one['answered_200']:,}",
            f"{one['otherwise']:,}",
            str(one["rows_not_on_record"]),
        )
    console.print(table)
    console.print(f"{sum(one['bytes'] for one in found['containers']) / 2**20:,.0f} MiB in all")
    console.print(f"{found['machine']['cores']} cores, load average {found['machine']['load_average']}")
    print_aims(found, console)


def main() -> None:
    """Measures, prints, and writes the figures where asked."""
    parser = argparse.ArgumentParser(description="Images, memory and healing of the stack in containers.")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    console = Console()
    with TemporaryDirectory(prefix="mlops-bench-") as folder:
        stack = Compose(Path(folder), "bench")
        try:
            stack.remove()
            stack.make_up()
            list(write_windows(stack.inbox, ("2013-01",)))
            stack.mlops("window", "add", "/inbox/2013-01.parquet")
            until(lambda: stack.model()["model_version"] == 1, seconds=TRAIN_SECONDS, what="version 1 is served")
            until(
                lambda: not any(one["running"] for one in stack.status()["windows"]), seconds=60, what="runs have ended"
            )
            found = measure(stack)
        except BaseException:
            console.print(stack.last_words(), markup=False)
            raise
        finally:
            stack.remove()
            stack.remove_images()
    print_figures(found, console)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
