"""A feature of the dataset contract: what one input of the model is, and what its values may be."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

FLOAT32_EXACT_INTEGER = 2**24
"""Largest magnitude up to which every integer is exact in float32, which features are from the window on."""

FLOAT32_MAX = 3.4028234663852886e38
"""The largest number of float32."""
FLOAT32_INFINITE = 3.4028235677973366e38
"""From here on a number becomes infinite in float32, which takes the nearest: half a step above the largest."""

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Feature(BaseModel):
    """One input of the model, known at the time of the prediction."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["float", "integer", "boolean", "category"]
    """Numbers are float32 from the window on."""
    description: str = ""
    """What it is, for people, and for the OpenAPI page."""
    unit: str | None = None
    """Unit of the number, shown beside the description."""
    nullable: bool = False
    """Whether a row may have no value."""
    range: tuple[Finite, Finite] | None = None
    """Smallest and largest allowed value of a number, both included."""
    categories: tuple[str, ...] = ()
    """The allowed values of a category, in the order of their codes."""
    new_categories: Literal["quarantine", "as_missing"] = "quarantine"
    """What becomes of a value that `categories` does not name: its row is set aside, or it is read as missing."""

    @property
    def described(self) -> str:
        """The description with its unit."""
        return f"{self.description} [{self.unit}]" if self.unit else self.description

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if self.type == "category":
            if not self.categories:
                raise ValueError('a feature of type "category" needs `categories`, the list of its allowed values')
            if len(set(self.categories)) != len(self.categories):
                raise ValueError("`categories` names a value twice")
            if self.new_categories == "as_missing" and not self.nullable:
                raise ValueError('`new_categories = "as_missing"` reads new values as null: it needs `nullable = true`')
        elif self.categories or self.new_categories != "quarantine":
            raise ValueError(
                f'`categories` and `new_categories` are for the type "category"; this feature is of type "{self.type}"'
            )
        if self.range is not None and self.type not in ("float", "integer"):
            raise ValueError(f'`range` is for numbers; this feature is of type "{self.type}"')
        if self.range is not None and self.range[0] > self.range[1]:
            raise ValueError(f"`range` is [smallest, largest]; {self.range[0]} is larger than {self.range[1]}")
        return self
