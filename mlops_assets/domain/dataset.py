"""The dataset contract: what a window's rows are, and the limits that the loop holds them to.

Here belongs the contract's model and nothing that applies it. Reading it from a file, with errors that name the line,
belongs to `mlops_assets.datasets`.
"""

import hashlib
import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from mlops_assets.domain.dataset_tables import (
    Drift,
    Gate,
    Limits,
    PromotionPolicy,
    Retraining,
    ServingPolicy,
    Source,
    Table,
    Training,
)
from mlops_assets.domain.feature import Feature
from mlops_assets.domain.known_cases import KnownCase, unfit

NULL_TEXTS = ("", "na", "n/a", "nan", "null", "none")
"""What stands for null in a CSV file and in a label, in lower case."""

SCORES = "prediction"
"""Column of a model's scores beside the features where drift is measured; no column of a window has its name."""


class Dataset(Table):
    """The contract of one dataset: one row is one case, one window is one period of them."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    """The dataset's, the registered model's and the state folder's owner: small letters, digits and `_`."""
    description: str = ""
    """What the dataset is, for people."""
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
    """The inputs of the model, by name; in this order they are encoded."""
    limits: Limits = Limits()
    drift: Drift = Drift()
    retraining: Retraining = Retraining()
    training: Training = Training()
    gate: Gate = Gate()
    promotion: PromotionPolicy = PromotionPolicy()
    serving: ServingPolicy = ServingPolicy()
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

    @model_validator(mode="after")
    def _entities_are_named(self) -> Self:
        if "serving" in self.model_fields_set and self.entity_key is None:
            raise ValueError(
                "`serving` says how old the features of an entity may be, and no `entity_key` says which column names "
                "the entity: name it, or leave the table out"
            )
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
    def context(self) -> list[str]:
        """Columns that an answered row may carry beside id and features: for the record, and not for the model."""
        return [column for column in self.inputs if column not in {self.row_id, *self.features}]

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
        policies = {"limits", "drift", "retraining", "training", "gate", "promotion", "serving", "known_cases"}
        words = policies | {"name", "description", "features"}
        asked = {"source": {"window_column", "updated_at"}}
        roles = self.model_dump_json(exclude={**dict.fromkeys(words, True), **asked})
        features = [
            f"{name}: {feature.model_dump_json(exclude={'description', 'unit'})}"
            for name, feature in self.features.items()
        ]
        return hashlib.sha256("\n".join([roles, *features]).encode()).hexdigest()[:16]
