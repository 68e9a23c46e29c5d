"""The dataset contract: what a window's rows are, and the limits that the loop holds them to.

Here belongs the contract's model and nothing that applies it. Reading it from a file, with errors that name the line,
belongs to `mlops_assets.datasets`.
"""

import hashlib
import math
import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mlops_assets.domain.feature import Feature
from mlops_assets.domain.known_cases import KnownCase, unfit

NULL_TEXTS = ("", "na", "n/a", "nan", "null", "none")
"""What stands for null in a CSV file and in a label, in lower case."""

SCORES = "prediction"
"""Column of a model's scores beside the features where drift is measured; no column of a window has its name."""

Share = Annotated[float, Field(ge=0, le=1)]

# Evidently's distances: they grow with drift. Its statistical tests give p-values, which fall with it.
NumericMethod = Literal["wasserstein", "jensenshannon", "kl_div", "psi", "hellinger", "ed"]
CategoryMethod = Literal["jensenshannon", "kl_div", "psi", "hellinger"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Strict):
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


class Drift(_Strict):
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
    numeric_threshold: Annotated[float, Field(gt=0)] = 0.1
    """Distance that matters; where chance makes more than that at the window's size, what chance makes stands."""
    category_method: CategoryMethod = "jensenshannon"
    category_threshold: Annotated[float, Field(gt=0)] = 0.1

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


class Retraining(_Strict):
    """Which drift is answered by a training."""

    model_config = ConfigDict(strict=True)

    drifted_windows: Annotated[int, Field(ge=1)] = 1
    """So many of the last `of_last` windows, the newest among them, must have drifted."""
    of_last: Annotated[int, Field(ge=1)] = 1
    cooldown_windows: Annotated[int, Field(ge=0)] = 0
    """After a training, drift in so many windows starts no other."""
    budget_trainings: Annotated[int, Field(ge=1)] | None = None
    """The loop starts no more trainings than this within `budget_days`; no limit where none is named."""
    budget_days: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if self.drifted_windows > self.of_last:
            raise ValueError(
                f"`drifted_windows` is {self.drifted_windows}, of the last {self.of_last} windows (`of_last`): "
                "so many can never drift"
            )
        return self


class Training(_Strict):
    """What a candidate learns from."""

    train_windows: Annotated[int, Field(ge=1)] = 3
    max_rows: Annotated[int, Field(ge=100)] = 500_000
    seed: int = 0


class Gate(_Strict):
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


TableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$")]


class Source(_Strict):
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


class Dataset(_Strict):
    """The contract of one dataset: one row is one case, one window is one period of them."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    description: str = ""
    target: str
    """Column with the truth, which may come late."""
    target_values: tuple[str, str] | None = None
    """How the target says no and yes, such as `["stayed", "left"]`; true or false, 1 or 0 where none are named."""
    row_id: str
    """Column that tells rows apart."""
    split_by: str
    """Column with the key that the split into training and validation never tears apart."""
    entity_key: str | None = None
    """Column that names whom or what a row is about."""
    event_time: str | None = None
    """Column that says when the row happened; a time without a zone is UTC."""
    segments: tuple[str, ...] = ()
    """Columns whose values are groups that no new model may be worse for."""
    source: Source = Source()
    features: Annotated[dict[str, Feature], Field(min_length=1)]
    limits: Limits = Limits()
    drift: Drift = Drift()
    retraining: Retraining = Retraining()
    training: Training = Training()
    gate: Gate = Gate()
    known_cases: tuple[KnownCase, ...] = ()
    """Rows whose scores must stay within bounds or in order; in the contract's file, the name of theirs."""

    @model_validator(mode="after")
    def _known_cases_fit(self) -> Self:
        if faults := unfit(self.known_cases, self.features):
            raise ValueError(f"`known_cases`: {'; '.join(faults)}")
        return self

    @model_validator(mode="after")
    def _roles_are_apart(self) -> Self:
        for role in ("target", "row_id", "split_by", "entity_key", "event_time"):
            if (column := getattr(self, role)) in self.features:
                raise ValueError(f"`{role}` is the column {column!r}, which is also a feature; a model must not see it")
        if self.target in (self.row_id, self.split_by, self.entity_key, self.event_time, *self.segments):
            raise ValueError("`target` must be a column of its own")
        if self.target_values and len({value.lower() for value in self.target_values}) < 2:
            raise ValueError("`target_values` are two different values: what the target says for no, and for yes")
        if empty := [value for value in self.target_values or () if value.strip().lower() in NULL_TEXTS]:
            raise ValueError(f"`target_values` has {empty[0]!r}, which is read as a label that has not come yet")
        if len(set(self.segments)) < len(self.segments):
            raise ValueError("`segments` names a column twice")
        for segment in self.segments:
            if segment in self.features and self.features[segment].type not in ("category", "boolean"):
                raise ValueError(f"the segment {segment!r} is a number; a segment is a category or a boolean")
        # msgspec, which reads the service's requests, cannot have these in a field's name.
        if odd := [name for name in self.features if re.search(r'["\\\x00-\x1f]', name)]:
            raise ValueError(f"the feature {odd[0]!r} has a quote, a backslash or a control character in its name")
        if self.target == "...":
            raise ValueError("`target` is still the `...` that `mlops init` wrote: name the column with the truth")
        if "" in self.features:
            raise ValueError("a feature has an empty name")
        if own := [column for column in self.columns if column.startswith("_")]:
            raise ValueError(f"the column {own[0]!r} begins with '_', which the window store keeps for its own columns")
        if SCORES in self.columns:
            raise ValueError(f"{SCORES!r} is the name of the model's own scores; a column must have another")
        # SQL takes both names for one column, and would read one of them twice.
        known: dict[str, str] = {}
        for column in self.columns:
            if (other := known.setdefault(column.lower(), column)) != column:
                raise ValueError(f"{other!r} and {column!r} differ in case alone; SQL cannot tell them apart")
        return self

    @property
    def numeric(self) -> list[str]:
        """Names of the float and integer features, in the contract's order."""
        return [name for name, feature in self.features.items() if feature.type in ("float", "integer")]

    @property
    def categorical(self) -> list[str]:
        """Names of the category and boolean features, in the contract's order: their drift is one of shares."""
        return [name for name, feature in self.features.items() if feature.type in ("category", "boolean")]

    @property
    def kept(self) -> list[str]:
        """Columns that are stored beside id, split key, target and features, each once."""
        named = [self.entity_key, self.event_time, *self.segments]
        known = {self.row_id, self.split_by, self.target, *self.features}
        return [column for column in dict.fromkeys(named) if column is not None and column not in known]

    @property
    def inputs(self) -> list[str]:
        """Every column that a window must have when it lands, each once; the target may come later."""
        return list(dict.fromkeys([self.row_id, self.split_by, *self.kept, *self.features]))

    @property
    def columns(self) -> list[str]:
        """Every column that the contract speaks of, each once."""
        return [*self.inputs, self.target]

    @property
    def label_key(self) -> str:
        """The column that joins late labels to the rows."""
        return self.source.key or self.row_id

    @property
    def shape(self) -> str:
        """Hash of the stored columns, their roles and types: windows of one shape can be used together.

        What a value may be is not part of it: after a new category, older windows are what they were.
        """
        roles = [self.row_id, self.split_by, self.target, *(self.target_values or ()), *self.kept]
        features = [f"{name}: {feature.type}" for name, feature in self.features.items()]
        return hashlib.sha256("\n".join([*roles, *features]).encode()).hexdigest()[:16]

    @property
    def rules(self) -> str:
        """Hash of all that stored rows depend on, for the data version.

        Words (descriptions, units), limits and thresholds are not part of it: changing those changes no row.
        """
        words = {"name", "description", "limits", "drift", "retraining", "training", "gate", "known_cases", "features"}
        asked = {"source": {"window_column", "updated_at"}}
        roles = self.model_dump_json(exclude={**dict.fromkeys(words, True), **asked})
        features = [
            f"{name}: {feature.model_dump_json(exclude={'description', 'unit'})}"
            for name, feature in self.features.items()
        ]
        return hashlib.sha256("\n".join([roles, *features]).encode()).hexdigest()[:16]
