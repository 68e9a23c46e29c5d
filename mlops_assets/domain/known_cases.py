"""Known cases: rows whose scores must stay within bounds or in order, whatever a new model has learned.

Here belong what a case is, whether it fits the contract, and judging scores. The file that a user writes them in
belongs to `mlops_assets.datasets.known_cases`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mlops_assets.domain.feature import FLOAT32_MAX, Feature
from mlops_assets.domain.record import Record

if TYPE_CHECKING:
    import pandas as pd

Probability = Annotated[float, Field(ge=0, le=1)]
FeatureValue = bool | int | float | str


class KnownCase(BaseModel):
    """A row, and what must hold of its score: bounds, or an order, or both."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Annotated[str, Field(min_length=1)]
    """A sentence that says what must hold."""
    row: Mapping[str, FeatureValue]
    """Value by feature; one that is left out is null."""
    at_least: Probability | None = None
    """Lowest score that holds."""
    at_most: Probability | None = None
    """Highest score that holds."""
    above: str | None = None
    """Name of another case, whose score must be lower."""

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if self.at_least is None and self.at_most is None and self.above is None:
            raise ValueError("it asks for nothing: name `at_least`, `at_most` or `above`")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"`at_least` is {self.at_least}, which is larger than `at_most`, {self.at_most}")
        return self


class KnownCaseScore(Record):
    """A case as a model scores it."""

    name: str
    score: float
    expected: str
    holds: bool


def unfit(cases: Sequence[KnownCase], features: Mapping[str, Feature]) -> list[str]:
    """Why the cases cannot be scored or judged, a sentence for each fault."""
    names = [case.name for case in cases]
    found = [f"the name {name!r} is given twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    above = {case.name: case.above for case in cases if case.above is not None}
    for case in cases:
        if case.name in _lower(case.above, above) and case.above != case.name:
            found.append(f"{case.name!r}: the orders go round in a circle, and can never hold")
        if case.above is not None and (case.above == case.name or case.above not in names):
            found.append(f"{case.name!r}: there is no other case {case.above!r} that it could be `above`")
        found += [f"{case.name!r}: there is no feature {name!r}" for name in case.row if name not in features]
        for name, feature in features.items():
            if (fault := _unfit_value(case.row.get(name), feature)) is not None:
                found.append(f"{case.name!r}: the feature {name!r} {fault}")
    return found


def as_frame(cases: Sequence[KnownCase], features: Mapping[str, Feature]) -> "pd.DataFrame":
    """The cases' rows as models take them: numbers and booleans float32, null as NaN, categories as text or None."""
    import pandas as pd  # reading a contract, which needs this module too, does without

    columns: dict[str, Any] = {}
    for name, feature in features.items():
        values = [case.row.get(name) for case in cases]
        columns[name] = pd.Series(values, dtype=object if feature.type == "category" else "float32")
    return pd.DataFrame(columns)


def judge(cases: Sequence[KnownCase], scores: Sequence[float]) -> tuple[KnownCaseScore, ...]:
    """Whether each case holds.

    Args:
        cases: The cases.
        scores: What a model answers on them; shape [cases].
    """
    score_of = {case.name: float(score) for case, score in zip(cases, scores, strict=True)}
    judged = []
    for case in cases:
        score, bounds = score_of[case.name], []
        if case.at_least is not None:
            bounds.append((f"at least {case.at_least}", score >= case.at_least))
        if case.at_most is not None:
            bounds.append((f"at most {case.at_most}", score <= case.at_most))
        if case.above is not None:
            bounds.append((f"above {score_of[case.above]:.4f} of {case.above!r}", score > score_of[case.above]))
        expected = " and ".join(said for said, _ in bounds)
        judged.append(
            KnownCaseScore(name=case.name, score=score, expected=expected, holds=all(holds for _, holds in bounds))
        )
    return tuple(judged)


def _lower(name: str | None, above: Mapping[str, str]) -> list[str]:
    """The cases that a case of this name, and those that it is above, must be above; each once."""
    found: list[str] = []
    while name is not None and name not in found:
        found.append(name)
        name = above.get(name)
    return found


def _unfit_value(value: FeatureValue | None, feature: Feature) -> str | None:
    """What is wrong with a value, as the service would refuse it."""
    if value is None:
        return None if feature.nullable else "is missing, and may not be null"
    if feature.type == "category":
        if not isinstance(value, str):
            return f"is {value!r}, and a category is a text"
        known = value in feature.categories or feature.new_categories == "as_missing"
        return None if known else f"is {value!r}, which is none of its categories"
    if feature.type == "boolean":
        return None if isinstance(value, bool) else f"is {value!r}, and a boolean is true or false"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and not abs(float(value)) <= FLOAT32_MAX:  # NaN is not
        return f"is {value!r}, which is no number that the model can take"
    if not is_number or (feature.type == "integer" and value != int(value)):
        return f"is {value!r}, and it is of type {feature.type!r}"
    if feature.range is not None and not feature.range[0] <= float(value) <= feature.range[1]:
        return f"is {value!r}, outside its range of {feature.range[0]} to {feature.range[1]}"
    return None
