"""Prediction logs for tests, and what stands in them."""

from pathlib import Path

from serving.log_segments import demand_whole, sealed
from serving.prediction_log import PredictionLog


def log_in(folder: Path, *, sync: float = 60, seal: float = 60, size: int = 2**20) -> PredictionLog:
    """A log that does by itself only what a test asks of it."""
    return PredictionLog(folder, sync_seconds=sync, seal_seconds=seal, segment_bytes=size)


def content_of(folder: Path) -> bytes:
    """All that is sealed, after each segment was verified."""
    for segment in sealed(folder):
        demand_whole(segment)
    return b"".join(segment.read_bytes() for segment in sealed(folder))
