"""The work that `benchmarks.batch_scoring` measures, each piece in a process of its own, whose peak is its alone.

`python -m benchmarks.batch_scoring_work PIECE ...` prints seconds of wall and processor, peak memory and what came out.
Python's start, imports and what a side is given ready are in no side's time; ours begins at the release bundle.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import joblib  # type: ignore[import-untyped]  # scikit-learn's own
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.windows_work import peak_mb
from mlops_assets.adapters.batch_scoring import score_file
from mlops_assets.adapters.candidate_training import train_candidate
from mlops_assets.adapters.duckdb_rows import DuckdbRows
from mlops_assets.adapters.engine import engine, number
from mlops_assets.adapters.landing.folder import FolderLanding
from mlops_assets.adapters.release_store import Lineage, ReleaseStore, ServedModel, write_bundle
from mlops_assets.adapters.scored_rows import input_rows
from mlops_assets.adapters.table_files import Table, types_of
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.datasets.contract import FLIGHTS, read_dataset
from mlops_assets.datasets.flights import WINDOWS, write_windows
from mlops_assets.domain.sql import literal, parquet_files
from serving.release import MODEL, Pointer

LEARNED = WINDOWS[:3]
BROKEN_EVERY = 1000
"""Each such row flies no distance, which the contract does not allow."""
PANDAS_ROWS = 100_000
"""Rows that a user would hold at a time."""
Matrix = npt.NDArray[np.float32]


def train(folder: Path) -> dict[str, Any]:
    """Trains a model on three months of flights, as the loop does, and releases it; also keeps the fitted pipeline."""
    dataset = read_dataset(FLIGHTS)
    list(write_windows(folder / "landing"))
    windows, versions = WindowStore(folder / "windows", dataset), {}
    for window in LEARNED:
        with FolderLanding(folder / "landing", dataset).fetch(window) as landed:
            intake, _ = windows.take(landed)
        versions[window] = intake.data_version
    trained = train_candidate(windows, versions)
    joblib.dump(trained.pipeline, folder / "pipeline.joblib")
    releases = ReleaseStore(folder / "releases")
    with TemporaryDirectory(dir=folder) as bundle:
        sha256 = write_bundle(
            Path(bundle),
            model=trained.exported,
            cases=[],
            dataset=dataset,
            lineage=Lineage(dataset.name, 1, versions, (LEARNED[-1], versions[LEARNED[-1]]), "benchmark", "benchmark"),
            metrics={},
            importance={},
            card="",
        )
        releases.publish(Path(bundle), model_version=1, manifest_sha256=sha256)
    releases.point_to(
        Pointer(model_version=1, epoch=1, manifest_sha256=sha256, promoted_at="2026-01-01T00:00:00+00:00")
    )
    return {"trees": int(trained.pipeline["classify"].n_iter_), "training_rows": trained.training_rows}


def make_file(rows: int, folder: Path, path: Path) -> dict[str, Any]:
    """Writes so many flights, drawn from those of a year, each with an id of its own; the same ones every time."""
    with duckdb.connect() as connection:
        connection.execute("SET memory_limit = '2GB'")
        connection.execute("SET temp_directory = $folder", {"folder": str(folder / "out")})
        year = ", ".join(literal(str(folder / "landing" / f"{window}.parquet")) for window in WINDOWS)
        connection.execute(
            "CREATE TABLE year AS SELECT row_number() OVER (ORDER BY flight_id) - 1 AS place, "  # noqa: S608
            f"* EXCLUDE (flight_id, late) FROM read_parquet([{year}])"
        )
        flights = number(connection, "SELECT count(*) FROM year")
        connection.execute(
            "COPY (SELECT 'flight-' || lpad(i::VARCHAR, 9, '0') AS flight_id, year.* EXCLUDE (place) "  # noqa: S608
            f"REPLACE (CASE WHEN i % {BROKEN_EVERY} = 7 THEN 0 ELSE distance END AS distance) FROM range({rows:d}) "
            f"AS made(i) JOIN year ON place = hash(i) % {flights:d} ORDER BY i) TO {literal(str(path))} "
            "(FORMAT parquet)"
        )
    return {"rows": rows, "broken": (rows - 8) // BROKEN_EVERY + 1}


def ours(path: Path, folder: Path) -> dict[str, Any]:
    """What `mlops score` does: the bundle verified, every row read, judged, encoded, scored and written."""
    releases = ReleaseStore(folder / "releases")
    pointer = releases.pointer()
    assert pointer is not None

    def work() -> dict[str, Any]:
        manifest, exported = releases.exported(pointer.model_version, manifest_sha256=pointer.manifest_sha256)
        scored = score_file(path, folder / "out" / "ours.parquet", manifest=manifest, exported=exported)
        return {"rows": scored.rows, "refused": scored.refused, "mean": scored.mean_probability}

    return timed(work)


def alone(path: Path, folder: Path, setting: str) -> dict[str, Any]:
    """Runs onnxruntime on a matrix that is ready, its answers kept in memory. `setting` is RUNS:THREADS:BATCH."""
    matrix = prepared(path, folder)
    return timed(partial(run_model, matrix, folder, setting))


def tune(path: Path, folder: Path) -> dict[str, Any]:
    """The fastest way to run onnxruntime here: threads within a run or runs side by side, and rows in a batch."""
    matrix, cores = prepared(path, folder), os.cpu_count() or 1
    settings = [
        f"{runs}:{threads}:{batch}"
        for runs, threads in {(1, cores), (cores, 1)}
        for batch in (1_024, 8_192, 65_536, 262_144)
    ]
    taken = {
        setting: min(timed(partial(run_model, matrix, folder, setting))["seconds"] for _ in range(2))
        for setting in settings
    }
    return {"best": min(taken, key=lambda setting: taken[setting]), "seconds": taken}


def pandas(path: Path, folder: Path) -> dict[str, Any]:
    """What a user would write: frames of the file through the fitted pipeline, nothing judged."""
    pipeline, features = joblib.load(folder / "pipeline.joblib"), list(read_dataset(FLIGHTS).features)
    schema = pa.schema([("flight_id", pa.string()), ("probability", pa.float64())])

    def work() -> dict[str, Any]:
        rows = 0
        with pq.ParquetWriter(folder / "out" / "pandas.parquet", schema) as writer:
            for batch in pq.ParquetFile(path).iter_batches(PANDAS_ROWS):
                frame = batch.to_pandas()
                answers = pipeline.predict_proba(frame[features])[:, 1]
                writer.write_table(pa.table([batch.column("flight_id"), answers], schema=schema))
                rows += len(frame)
        return {"rows": rows}

    return timed(work)


def timed(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Does it, and says how long it took: by the clock, and of all processors."""
    started, processor = time.perf_counter(), time.process_time()
    found = work()
    return {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - processor, **found}


def prepared(path: Path, folder: Path) -> Matrix:
    """The model's input for the whole file; shape [rows, features]."""
    dataset = read_dataset(FLIGHTS)
    matrix = np.empty((pq.ParquetFile(path).metadata.num_rows, len(dataset.features)), np.float32)
    with engine(folder) as connection:
        table = Table(path.name, path, types_of(connection, parquet_files(path)), is_text=False)
        rows, at = DuckdbRows(connection), 0
        query = rows.sql(input_rows(rows, table, dataset.features, []))
        for batch in connection.sql(query).to_arrow_reader(65_536):
            for position in range(matrix.shape[1]):
                matrix[at : at + len(batch), position] = batch.column(position).to_numpy()
            at += len(batch)
    return matrix


def run_model(matrix: Matrix, folder: Path, setting: str) -> dict[str, Any]:
    """Scores a matrix in batches, with so many runs at a time and so many threads in each."""
    runs, threads, rows = (int(part) for part in setting.split(":"))
    model = ServedModel((folder / "releases" / "1" / MODEL).read_bytes(), (), threads=threads)
    batches = [matrix[at : at + rows] for at in range(0, len(matrix), rows)]
    if runs == 1:
        scores = [model.run(batch) for batch in batches]
    else:
        with ThreadPoolExecutor(runs) as pool:
            scores = list(pool.map(model.run, batches))
    return {"rows": sum(len(part) for part in scores)}


def main() -> None:
    """Runs one piece."""
    match sys.argv[1:]:
        case ["train", folder]:
            found = train(Path(folder))
        case ["make", rows, folder, file]:
            found = make_file(int(rows), Path(folder), Path(file))
        case ["ours", file, folder]:
            found = ours(Path(file), Path(folder))
        case ["alone", file, folder, setting]:
            found = alone(Path(file), Path(folder), setting)
        case ["tune", file, folder]:
            found = tune(Path(file), Path(folder))
        case ["pandas", file, folder]:
            found = pandas(Path(file), Path(folder))
        case _:
            sys.exit(
                "one of: train FOLDER, make ROWS FOLDER FILE, ours FILE FOLDER, alone FILE FOLDER RUNS:THREADS:BATCH, "
                "tune FILE FOLDER, pandas FILE FOLDER"
            )
    sys.stdout.write(json.dumps({"peak_mb": peak_mb(), **found}) + "\n")


if __name__ == "__main__":
    main()
