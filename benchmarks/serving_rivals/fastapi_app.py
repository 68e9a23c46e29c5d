"""What a FastAPI service of an MLflow model commonly is: pydantic rows, a pandas frame, the pyfunc model.

Runs in an environment of its own, so it imports nothing of the project. `MODEL` names the model's folder.
"""

import os

import mlflow.pyfunc
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel


class Row(BaseModel):
    """A row of the flights' features."""

    carrier: str
    origin: str
    dest: str
    engine: str | None = None
    sched_hour: int
    weekday: int
    distance: int
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


class Answer(BaseModel):
    """The probabilities of the rows, in order."""

    probabilities: list[float]


def create_app() -> FastAPI:
    """The app, for `uvicorn --factory`."""
    app = FastAPI()
    model = mlflow.pyfunc.load_model(os.environ["MODEL"])

    @app.post("/predict")
    def predict(row: Row) -> Answer:
        return answer([row])

    @app.post("/predict_batch")
    def predict_batch(rows: list[Row]) -> Answer:
        return answer(rows)

    def answer(rows: list[Row]) -> Answer:
        frame = pd.DataFrame([row.model_dump() for row in rows])
        return Answer(probabilities=model.predict(frame)[:, 1].tolist())

    return app
