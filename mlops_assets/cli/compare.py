"""`mlops compare A B`: two registered versions side by side on rows that neither has trained on.

Any two can be compared, promoted or not: validation rows are nobody's training rows.
"""

import html
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mlops_assets.adapters.candidate_training import validation_rows
from mlops_assets.adapters.comparison_pictures import comparison_pictures
from mlops_assets.adapters.files import write_atomically
from mlops_assets.adapters.model_registry import ModelRegistry, registry_of
from mlops_assets.adapters.release_store import ServedModel, missing_inputs
from mlops_assets.adapters.window_records import DataWindow
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.registered import registered
from mlops_assets.cli.state import demand_state
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.domain.comparison import compare, measured, split_keys
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.evaluation import NotComparable, Scores
from mlops_assets.domain.evidence import Gain, SegmentGain
from mlops_assets.domain.windows import missing_labels

SHIFTED = 0.1
"""A row whose score moves by more than this is counted."""


@dataclass(frozen=True)
class Comparison:
    """Two versions on the same rows; the gain is the second's over the first."""

    versions: tuple[int, int]
    window: str
    rows: int
    metrics: tuple[dict[str, float], dict[str, float]]
    gain: Gain
    segments: tuple[SegmentGain, ...]
    mean_shift: float
    """Mean of the second's score minus the first's."""
    shifted_share: float
    """Share of the rows whose score lies more than 0.1 further up or down."""
    pictures: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """Everything that `mlops compare --json` prints."""
        plain = {name: value for name, value in asdict(self).items() if name not in ("gain", "segments", "pictures")}
        segments = [segment.model_dump(mode="json") for segment in self.segments]
        return {**plain, "gain": self.gain.model_dump(mode="json"), "segments": segments}


def compare_versions(settings: Settings, first: int, second: int, window: str | None) -> Comparison:
    """Scores both on the validation rows of a window; of the newest one with labels, where none is named.

    Raises:
        UserError: a version or the window is not there, or cannot be used.
    """
    demand_state(settings)
    dataset = read_dataset(settings.dataset)
    registry = registry_of(settings)
    models = {version: _model(registry, dataset, version) for version in (first, second)}
    windows = WindowStore(settings.windows, dataset)
    stored = _window(windows, window)
    validation = validation_rows(windows, stored.window, stored.data_version)
    truth, keys = validation[dataset.target].to_numpy(bool), split_keys(dataset, validation)
    scores = {version: model.score(validation) for version, model in models.items()}
    try:
        metrics = (measured(truth, scores[first], keys), measured(truth, scores[second], keys))
    except NotComparable as error:
        raise UserError(f"{stored.window}: {error}") from error
    roles: dict[str, Scores] = {"candidate": scores[second], "production": scores[first]}
    gain, segments = compare(dataset, validation, truth, roles, keys)
    shift = scores[second] - scores[first]
    named = {f"version {version}": of for version, of in scores.items()}
    return Comparison(
        versions=(first, second),
        window=stored.window,
        rows=len(validation),
        metrics=metrics,
        gain=gain,
        segments=segments,
        mean_shift=float(shift.mean()),
        shifted_share=float(np.mean(np.abs(shift) > SHIFTED)),
        pictures=comparison_pictures(stored.window, truth, named, segments),
    )


def show(found: Comparison, console: Console) -> None:
    """Prints the metrics, the gain and the segments."""
    title = f"{found.rows:,} validation rows of {found.window}, which neither has trained on"
    table = Table("", *(f"version {version}" for version in found.versions), title=title, box=SIMPLE_HEAD)
    for name in found.metrics[0]:
        table.add_row(name, *(f"{metrics[name]:.4f}" for metrics in found.metrics))
    console.print(table)
    gain = found.gain
    sure = f", between {gain.low:.4f} and {gain.high:.4f}" if gain.low is not None and gain.high is not None else ""
    console.print(f"gain in AUC {gain.gain:.4f}{sure} ({gain.keys:,} split keys, {gain.method})", soft_wrap=True)
    console.print(
        f"scores shift by {found.mean_shift:.4f} on average, {found.shifted_share:.1%} of them by over {SHIFTED}"
    )
    if found.segments:
        segments = Table("segment", "rows", "gain", "at least", title="gain by segment", box=SIMPLE_HEAD)
        for one in found.segments:
            numbers = ("-" if number is None else f"{number:.4f}" for number in (one.gain, one.low))
            segments.add_row(Text(one.name), f"{one.rows:,}", *numbers)
        console.print(segments)


def write_page(found: Comparison, path: Path) -> None:
    """Writes the pictures with the numbers as one page that needs no other file.

    Raises:
        UserError: it cannot be written there.
    """
    first, second = found.versions
    title = html.escape(f"Versions {first} and {second} on {found.window}")
    names = found.metrics[0]
    rows = "".join(
        f"<tr><td>{name}</td><td>{found.metrics[0][name]:.4f}</td><td>{found.metrics[1][name]:.4f}</td></tr>"
        for name in names
    )
    # Markdown of the pictures' module: an address in brackets, which is the image itself.
    images = "".join(
        f'<img alt="{name}" src="{picture.partition("](")[2].rstrip(")")}">' for name, picture in found.pictures.items()
    )
    page = (
        f'<!doctype html><meta charset="utf-8"><title>{title}</title><h1>{title}</h1>'
        f"<table><tr><th></th><th>version {first}</th><th>version {second}</th></tr>{rows}</table>{images}"
    )
    try:
        write_atomically(path, page.encode())
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error


def _model(registry: ModelRegistry, dataset: Dataset, version: int) -> ServedModel:
    found = registered(registry, version)
    model = ServedModel(found.model, found.manifest.features)
    if lacking := missing_inputs(model, dataset):
        raise UserError(f"version {version} needs {', '.join(lacking)}, which the contract no longer has so")
    return model


def _window(windows: WindowStore, named: str | None) -> DataWindow:
    if named is not None:
        stored = windows.current(named)
        if stored is None:
            raise UserError(f"no window {named} is in use; `mlops status` lists them")
        if fault := missing_labels(windows.dataset, stored.counts):
            raise UserError(f"{named}: {fault}")
        return stored
    for name in reversed(windows.windows()):
        stored = windows.current(name)
        if stored is not None and missing_labels(windows.dataset, stored.counts) is None:
            return stored
    raise UserError("no window with labels is in use yet")
