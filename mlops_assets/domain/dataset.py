"""The dataset contract: what a window's rows are, and the limits that the loop holds them to.

Here belongs the contract's model and nothing that applies it. Reading it from a file, with errors that name the line,
belongs to `mlops_assets.datasets`.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

FLOAT32_EXACT_INTEGER = 2**24
"""Largest magnitude up to which every integer is exact in float32, which features are from the window on."""

SCORES = "prediction"
"""Column of a model's scores beside the features where drift is measured; no column of a window has its name."""

Share = Annotated[float, Field(ge=0, le=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]

# Evidently's distances: they grow with drift. Its statistical tests give p-values, which fall with it.
NumericMethod = Literal["wasserstein", "jensenshannon", "kl_div", "psi", "hellinger", "ed"]
CategoryMethod = Literal["jensenshannon", "kl_div", "psi", "hellinger"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Feature(_Strict):
    """One input of the model, known at the time of the prediction."""

    type: Literal["float", "integer", "category"]
    description: str = ""
    unit: str | None = None
    nullable: bool = False
    range: tuple[Finite, Finite] | None = None
    """Smallest and largest allowed value of a number, both included."""
    categories: tuple[str, ...] = ()
    """The allowed values of a category, in the order of their codes."""

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if self.type == "category":
            if not self.categories:
                raise ValueError('a feature of type "category" needs `categories`, the list of its allowed values')
            if self.range is not None:
                raise ValueError("`range` is for numbers; a category has `categories`")
            if len(set(self.categories)) != len(self.categories):
                raise ValueError("`categories` names a value twice")
        elif self.categories:
            raise ValueError(f'`categories` is for the type "category"; this feature is of type "{self.type}"')
        if self.range is not None and self.range[0] > self.range[1]:
            raise ValueError(f"`range` is [smallest, largest]; {self.range[0]} is larger than {self.range[1]}")
        return self


class Limits(_Strict):
    """When a window as a whole is not fit to be used."""

    min_rows: Annotated[int, Field(ge=1)] = 500
    max_quarantined_share: Share = 0.05


class Drift(_Strict):
    """How drift is measured, and how much of it retrains."""

    drift_share_threshold: Share = 0.3
    """A share of drifted columns that exceeds this (strictly) starts a training."""
    sample_rows: Annotated[int, Field(ge=100)] = 5_000
    """Rows drawn from the reference and from the current window, by a stable hash of the row id."""
    numeric_method: NumericMethod = "wasserstein"
    numeric_threshold: Annotated[float, Field(gt=0)] = 0.1
    category_method: CategoryMethod = "jensenshannon"
    category_threshold: Annotated[float, Field(gt=0)] = 0.1


class Training(_Strict):
    """What a candidate learns from."""

    train_windows: Annotated[int, Field(ge=1)] = 3
    max_rows: Annotated[int, Field(ge=100)] = 500_000
    seed: int = 0


class Gate(_Strict):
    """What a candidate must show to be promoted."""

    min_gain: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """The candidate's AUC must be strictly greater than production's plus this."""
    max_differing_share: Share = 0.001
    """Share of rows on which the exported model may differ from the fitted pipeline by more than 1e-6."""


class Dataset(_Strict):
    """The contract of one dataset: one row is one case, one window is one period of them."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    description: str = ""
    target: str
    """Column with the truth: true or false, 1 or 0."""
    row_id: str
    """Column that tells rows apart."""
    split_by: str
    """Column with the key that the split into training and validation never tears apart."""
    features: Annotated[dict[str, Feature], Field(min_length=1)]
    limits: Limits = Limits()
    drift: Drift = Drift()
    training: Training = Training()
    gate: Gate = Gate()

    @model_validator(mode="after")
    def _roles_are_apart(self) -> Self:
        for role in ("target", "row_id", "split_by"):
            if (column := getattr(self, role)) in self.features:
                raise ValueError(f"`{role}` is the column {column!r}, which is also a feature; a model must not see it")
        if self.target in (self.row_id, self.split_by):
            raise ValueError("`target` must be a column of its own")
        # msgspec, which reads the service's requests, cannot have these in a field's name.
        if odd := [name for name in self.features if re.search(r'["\\\x00-\x1f]', name)]:
            raise ValueError(f"the feature {odd[0]!r} has a quote, a backslash or a control character in its name")
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
        return [name for name, feature in self.features.items() if feature.type != "category"]

    @property
    def categorical(self) -> list[str]:
        """Names of the category features, in the contract's order."""
        return [name for name, feature in self.features.items() if feature.type == "category"]

    @property
    def columns(self) -> list[str]:
        """Every column that a window must have, each once."""
        return list(dict.fromkeys([self.row_id, self.split_by, self.target, *self.features]))
