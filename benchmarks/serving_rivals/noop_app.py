"""The least that a typed Litestar handler can do: decode a row of the flights and answer a constant, with no model.

Here belongs nothing that a service needs beside that: no log, no metrics, no keys, no limits on a value.
"""

import msgspec
from litestar import Litestar, post


class Row(msgspec.Struct):
    """A row of the flights' features, by type alone."""

    carrier: str
    origin: str
    dest: str
    sched_hour: int
    weekday: int
    distance: int
    engine: str | None = None
    temp: float | None = None
    dewp: float | None = None
    humid: float | None = None
    wind_dir: int | None = None
    wind_speed: float | None = None
    precip: float | None = None
    pressure: float | None = None
    visib: float | None = None
    plane_year: int | None = None
    seats: int | None = None


class Answer(msgspec.Struct):
    """As long as a prediction is."""

    probability: float


def create_app() -> Litestar:
    """The app, for `uvicorn --factory`."""

    @post("/predict", status_code=200)
    async def predict(data: Row) -> Answer:  # noqa: ARG001 -- that it is decoded is all the work
        return Answer(0.5)

    return Litestar([predict], openapi_config=None, logging_config=None)
