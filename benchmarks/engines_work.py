"""The work that `benchmarks.engines` measures, each piece in a process of its own, with all processes that it starts.

`python -m benchmarks.engines_work PIECE ...` prints, by step, seconds of the clock and of all processors, and the peak
memory of the step: of Spark that is its virtual machine and Python's workers with it, shared pages counted once.
"""

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.batch_scoring_work import make_file, train
from benchmarks.windows_work import contract
from benchmarks.windows_work import make_file as make_window
from mlops_assets.adapters.batch_scoring import score_file
from mlops_assets.adapters.engine import engine
from mlops_assets.adapters.landing.folder import FolderLanding
from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.adapters.row_engines import Engines
from mlops_assets.adapters.window_rows import write_rows
from mlops_assets.adapters.window_sample import write_sample
from mlops_assets.adapters.window_tables import read_tables

LOOK_SECONDS = 0.25
Steps = dict[str, dict[str, float]]


def take(engines: Engines, path: Path, out: Path) -> dict[str, Any]:
    """The engine's start, then validation, split and both files of a landed window, then its sample."""
    steps: Steps = {}
    dataset = contract()
    work = out / "work"
    work.mkdir(parents=True)
    with FolderLanding(path.parent, dataset).fetch(path.stem) as landed, engine(out) as connection:
        with measured(steps, "start"):
            rows = engines.over(connection, work)
        reading = read_tables(connection, landed, dataset, work)
        clean, quarantined = out / "clean.parquet", out / "quarantined.parquet"
        with measured(steps, "validation, split, write"):
            counts = write_rows(rows, reading, dataset, clean=clean, quarantined=quarantined, of=path.name)
        with measured(steps, "sample"):
            write_sample(rows, dataset, counts, clean=clean, sample=out / "sample.parquet", of=path.name)
    found = {"clean": counts.clean, "quarantined": counts.quarantined, "validation": counts.validation}
    return {"steps": steps, "found": found}


def score(engines: Engines, path: Path, folder: Path, out: Path) -> dict[str, Any]:
    """The engine's start, then all that scoring a file is."""
    steps: Steps = {}
    out.mkdir(parents=True)
    releases = ReleaseStore(folder / "releases")
    pointer = releases.pointer()
    assert pointer is not None
    manifest, exported = releases.exported(pointer.model_version, manifest_sha256=pointer.manifest_sha256)
    with measured(steps, "start"), engine(out) as connection:
        engines.over(connection, out)
    with measured(steps, "scoring"):
        scored = score_file(path, out / "scores.parquet", manifest=manifest, exported=exported, engines=engines)
    mean = round(scored.mean_probability or 0, 6)
    return {"steps": steps, "found": {"rows": scored.rows, "refused": scored.refused, "mean": mean}}


@contextmanager
def measured(steps: Steps, name: str) -> Iterator[None]:
    """Notes what a step takes."""
    peak, over = 0.0, threading.Event()

    def look() -> None:
        nonlocal peak
        while not over.wait(LOOK_SECONDS):
            peak = max(peak, sum(_memory_mb(process) for process in _processes()))

    watching = threading.Thread(target=look)
    processor, started = _processor_seconds(), time.perf_counter()
    watching.start()
    yield
    seconds, processor = time.perf_counter() - started, _processor_seconds() - processor
    over.set()
    watching.join()
    peak = max(peak, sum(_memory_mb(process) for process in _processes()))
    steps[name] = {"seconds": seconds, "cpu_seconds": processor, "peak_mb": peak}


def _processes() -> list[psutil.Process]:
    me = psutil.Process()
    return [me, *me.children(recursive=True)]


def _memory_mb(process: psutil.Process) -> float:
    try:
        memory = process.memory_full_info()
    except psutil.Error:  # it ended meanwhile
        return 0
    return float(getattr(memory, "pss", memory.rss)) / (1 << 20)


def _processor_seconds() -> float:
    total = 0.0
    for process in _processes():
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def main() -> None:
    """Runs one piece."""
    match sys.argv[1:]:
        case ["train", folder]:
            found: dict[str, Any] = train(Path(folder))
        case ["window", rows, file]:
            found = make_window(int(rows), Path(file))
        case ["rows", rows, folder, file]:
            found = make_file(int(rows), Path(folder), Path(file))
        case ["take", ("duckdb" | "spark") as name, file, out]:
            found = take(Engines(name), Path(file), Path(out))
        case ["score", ("duckdb" | "spark") as name, file, folder, out]:
            found = score(Engines(name), Path(file), Path(folder), Path(out))
        case _:
            sys.exit(
                "one of: train FOLDER, window ROWS FILE, rows ROWS FOLDER FILE, take duckdb|spark FILE OUT, "
                "score duckdb|spark FILE FOLDER OUT"
            )
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
