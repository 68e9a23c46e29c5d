"""The tables of the dataset contract that hold limits and policies: what each rule of the loop is set by.

Here belongs what may be set and what cannot work. What the columns are belongs to `dataset`.
"""

import math
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]

# Evidently's distances: they grow with drift. Its statistical tests give p-values, which fall with it.
NumericMethod = Literal["wasserstein", "jensenshannon", "kl_div", "psi", "hellinger", "ed"]
CategoryMethod = Literal["jensenshannon", "kl_div", "psi", "hellinger"]


class Table(BaseModel):
    """Frozen, with the keys that it names and no other."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(Table):
    """When a window as a whole is not fit to be used."""

    min_rows: Annotated[int, Field(ge=1)] = 500
    """Fewer clean rows than this are no window."""
    max_quarantined_share: Share = 0.05
    """Where a larger share of the rows breaks the contract, the whole window is set aside."""
    min_labelled_share: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Training and gate wait until so many of the clean rows have a label: early labels are seldom typical ones."""


MAX_SAMPLE_ROWS = 50_000
"""Most rows of a sample that a drift report is made of; so many are kept beside each window, ready to be read."""


LARGEST = {"jensenshannon": math.sqrt(math.log(2)), "hellinger": 1.0}
"""The distances that have a largest value: that of shares which have no level in common."""


class Drift(Table):
    """How drift is measured, and how much of it is drift."""

    model_config = ConfigDict(strict=True)

    mode: Literal["calibrated", "raw"] = "calibrated"
    """`raw` is Evidently's preset as it comes: its choice of methods and thresholds, which depends on the rows."""
    drift_share_threshold: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """A window has drifted where its share of drifted columns exceeds this (strictly)."""
    false_alarm_rate: Annotated[float, Field(ge=0.005, le=0.2)] = 0.01
    """How often chance alone may exceed `drift_share_threshold`, at the window's size."""
    sample_rows: Annotated[int, Field(ge=100, le=MAX_SAMPLE_ROWS)] = 20_000
    """Rows drawn from the reference and from the current window, by a stable hash of the row id."""
    min_rows: Annotated[int, Field(ge=30)] = 100
    """Fewer rows than this, of either, are not enough data: neither drift nor no drift."""
    unusable: Literal["drifted", "left_out"] = "drifted"
    """What a column counts as that can no longer be judged; one that never could be is always left out."""
    numeric_method: NumericMethod = "wasserstein"
    """Evidently's distance for numbers."""
    numeric_threshold: Annotated[float, Field(gt=0)] = 0.1
    """Distance that matters; where chance makes more than that at the window's size, what chance makes stands."""
    category_method: CategoryMethod = "jensenshannon"
    """The same for categories, booleans and the target."""
    category_threshold: Annotated[float, Field(gt=0)] = 0.1
    """As `numeric_threshold`."""

    @model_validator(mode="after")
    def _can_be_measured(self) -> Self:
        if self.min_rows > self.sample_rows:
            raise ValueError(
                f"`min_rows` is {self.min_rows}, of samples of {self.sample_rows} rows (`sample_rows`): there would "
                "never be enough data"
            )
        for name, method, threshold in (
            ("numeric_threshold", self.numeric_method, self.numeric_threshold),
            ("category_threshold", self.category_method, self.category_threshold),
        ):
            if threshold > LARGEST.get(method, math.inf):
                raise ValueError(
                    f"`{name}` is {threshold}, and {method} is never above {LARGEST[method]:.2f}: no column could drift"
                )
        return self


class Retraining(Table):
    """Which drift is answered by a training."""

    model_config = ConfigDict(strict=True)

    drifted_windows: Annotated[int, Field(ge=1)] = 1
    """So many of the last `of_last` windows, the newest among them, must have drifted."""
    of_last: Annotated[int, Field(ge=1)] = 1
    """Windows without enough data are not counted."""
    cooldown_windows: Annotated[int, Field(ge=0)] = 0
    """After a training, drift in so many windows starts no other."""
    budget_trainings: Annotated[int, Field(ge=1)] | None = None
    """The loop starts no more trainings than this within `budget_days`; no limit where none is named."""
    budget_days: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30
    """The days that `budget_trainings` is for."""

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if self.drifted_windows > self.of_last:
            raise ValueError(
                f"`drifted_windows` is {self.drifted_windows}, of the last {self.of_last} windows (`of_last`): "
                "so many can never drift"
            )
        return self


class Training(Table):
    """What a candidate learns from."""

    train_windows: Annotated[int, Field(ge=1)] = 3
    """The window and those before it, so many in all."""
    max_rows: Annotated[int, Field(ge=100)] = 500_000
    """Most rows that are drawn from them, by a stable hash of the row id."""
    seed: int = 0
    """Of what the training draws by chance."""


class Gate(Table):
    """What a candidate must show to be promoted."""

    model_config = ConfigDict(strict=True)

    min_gain: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """The candidate's AUC must be strictly greater than production's plus this."""
    rule: Literal["interval", "plain"] = "interval"
    """Whether the interval of the difference must lie above zero too, or `min_gain` alone decides."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    """Level of that interval, which has two sides: at 0.95, equal models are promoted in 2.5 of 100 cases at most."""
    segment_margin: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """In no segment may the candidate's AUC be worse by this; that it is not must be shown, as `confidence` says."""
    segment_min_rows: Annotated[int, Field(ge=10)] = 500
    """A segment with fewer validation rows is not compared."""
    max_calibration_error: Share = 0.15
    """How far probabilities may lie from observed shares, beyond what chance explains."""
    max_differing_share: Share = 0.001
    """Share of rows on which the exported model may differ from the fitted pipeline by more than 1e-6."""
    max_row_milliseconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """What the exported model may take for one row."""


class PromotionPolicy(Table):
    """Who lets a candidate that passed the gate become production."""

    mode: Literal["auto", "approval"] = "auto"
    """`approval` asks a person for each."""
    expires_hours: Annotated[float, Field(gt=0, le=24 * 365)] = 72
    """A request that nobody answered in so many hours is void."""


class ServingPolicy(Table):
    """What the service may answer with where it is asked by entity."""

    model_config = ConfigDict(strict=True)

    max_feature_age_days: Annotated[float, Field(gt=0, le=36_500)] = 30
    """Features that are older than so many days answer no request."""


TableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$")]


class Source(Table):
    """Which tables a window is made of. Where they are found says the setting `MLOPS_SOURCE`.

    Without `tables` a window is one file, `<window>.parquet` or `<window>.csv`, with its late labels, if any, in
    `<window>.labels.parquet` or `.csv`.
    """

    tables: tuple[TableName, ...] = ()
    """Files `<window>/<table>.parquet` or `.csv`, or tables of a database. A row of the first is a row of the window;
    the others add columns to it by `key`."""
    key: str | None = None
    """Column that joins the tables, and the labels to the rows; the row id where none is named."""
    labels: TableName | None = None
    """Table with the target, which may come later than the others."""
    window_column: str | None = None
    """Database: the column of every table that says which window a row belongs to."""
    updated_at: str | None = None
    """Database: a column of every table that grows when a row changes, so that a change is noticed."""

    @model_validator(mode="after")
    def _can_be_joined(self) -> Self:
        named = [*self.tables, self.labels] if self.labels else [*self.tables]
        if len(set(named)) < len(named):
            raise ValueError("`tables` and `labels` name a table twice")
        if len(self.tables) > 1 and self.key is None:
            raise ValueError("several `tables` need `key`, the column that joins them")
        if self.labels and not self.tables:
            raise ValueError("`labels` names a table beside `tables`; a single file's labels are `<window>.labels.csv`")
        return self
