"""The stack of docker-compose.yml: the size of its images, its memory, and how long a killed container is away.

The containers are those of `make compose-smoke`, under a name, ports and volumes of their own, with one window trained
on and served; four clients ask all the while. Where no engine runs, `deploy/with-engine` starts one.
"""

import argparse
import json
import re
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.aims import print_aims
from benchmarks.work import machine
from mlops_assets.datasets.flights import write_windows
from tests.compose.stack import HEAL_SECONDS, SERVERS, TRAIN_SECONDS, Compose, requests, until

BASE = "python:3.11-slim-bookworm"
IMAGES = ("serving", "graph")
WAIT_SECONDS = 5 * HEAL_SECONDS
"""How long a container is waited for: one that misses the aim is measured all the same."""
UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def measure(stack: Compose) -> dict[str, Any]:
    """Sizes, memory and times of a stack that is built, started and serves a model."""
    base = _bytes_of_image(stack, BASE)
    sizes = [{"image": name, "bytes": _bytes_of_image(stack, f"closed-loop-mlops/{name}:smoke")} for name in IMAGES]
    memory = _memory(stack)
    killed = [_kill(stack, service) for service in SERVERS]
    slowest = max(one["seconds"] for one in killed)
    lost = sum(one["rows_not_on_record"] for one in killed)
    aims = [
        ("slowest_container_back_seconds", HEAL_SECONDS, slowest, slowest <= HEAL_SECONDS),
        ("answered_rows_not_on_record", 0, lost, lost == 0),
    ]
    return {
        "base_bytes": base,
        "images": sizes,
        "memory": memory,
        "killed": killed,
        "machine": machine(),
        "aims": [{"name": name, "aim": aim, "measured": value, "met": met} for name, aim, value, met in aims],
    }


def _bytes_of_image(stack: Compose, name: str) -> int:
    return int(stack.docker("image", "inspect", "--format", "{{.Size}}", name))


def _memory(stack: Compose) -> list[dict[str, Any]]:
    """What each container takes, without the files that the kernel keeps for it, and its limit."""
    ids = {container["Id"]: service for service, container in stack.containers().items()}
    said = stack.docker("stats", "--no-stream", "--no-trunc", "--format", "{{json .}}", *ids)
    found = {ids[one["ID"]]: one["MemUsage"].split(" / ") for one in map(json.loads, said.splitlines())}
    return [{"service": name, "bytes": _bytes(found[name][0]), "limit": _bytes(found[name][1])} for name in SERVERS]


def _bytes(text: str) -> int:
    number, unit = re.fullmatch(r"([\d.]+)(\w+)", text.strip()).groups()  # type: ignore[union-attr]
    return round(float(number) * UNITS[unit])


def _kill(stack: Compose, service: str) -> dict[str, Any]:
    with requests(stack) as load:
        until(lambda: len(load.answers) > 100, seconds=30, what="requests are answered")
        since = stack.kill(service)
        seconds = until(lambda: stack.is_back(service, since), seconds=WAIT_SECONDS, what=f"{service} is back")
        answered = len(load.answers)
        until(lambda: len(load.answers) > answered + 100, seconds=30, what="requests are answered again")
    ids = {answer.json["predictions"][0]["id"] for answer in load.answers if answer.status == 200}
    until(lambda: stack.status()["production"], seconds=WAIT_SECONDS, what="the loop answers")
    with suppress(AssertionError):  # then some are lost, and counted
        until(lambda: ids <= stack.recorded(), seconds=HEAL_SECONDS, what="every answered row is on record")
    return {
        "service": service,
        "seconds": seconds,
        "answers": load.statuses[200],
        "not_answered": len(load.answers) + len(load.failures) - load.statuses[200],
        "rows_not_on_record": len(ids - stack.recorded()),
    }


def print_figures(found: dict[str, Any], console: Console) -> None:
    """The figures as tables, and the aims."""
    images = Table(title="Images", title_justify="left")
    for column in ("image", "MB", "without its base"):
        images.add_column(column, justify="left" if column == "image" else "right")
    for one in found["images"]:
        images.add_row(one["image"], f"{one['bytes'] / 1e6:,.0f}", f"{(one['bytes'] - found['base_bytes']) / 1e6:,.0f}")
    console.print(images)
    table = Table(title="Containers: memory with one window, and each killed once under requests", title_justify="left")
    for column in ("container", "MiB", "limit MiB", "back after s", "answers", "without one", "rows lost"):
        table.add_column(column, justify="left" if column == "container" else "right")
    for memory, killed in zip(found["memory"], found["killed"], strict=True):
        table.add_row(
            memory["service"],
            f"{memory['bytes'] / 2**20:,.0f}",
            f"{memory['limit'] / 2**20:,.0f}",
            f"{killed['seconds']:.0f}",
            f"{killed['answers']:,}",
            f"{killed['not_answered']:,}",
            str(killed["rows_not_on_record"]),
        )
    console.print(table)
    console.print(f"{found['machine']['cores']} cores, load average {found['machine']['load_average']}")
    print_aims(found, console)


def main() -> None:
    """Measures, prints, and writes the figures where asked."""
    parser = argparse.ArgumentParser(description="Images, memory and healing of the stack in containers.")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="mlops-bench-") as folder:
        stack = Compose(Path(folder))
        try:
            stack.remove()
            stack.make_up()
            list(write_windows(stack.inbox, ("2013-01",)))
            stack.mlops("window", "add", "/inbox/2013-01.parquet")
            until(lambda: stack.model()["model_version"] == 1, seconds=TRAIN_SECONDS, what="version 1 is served")
            found = measure(stack)
        finally:
            stack.remove()
            stack.remove_images()
    print_figures(found, Console())
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
