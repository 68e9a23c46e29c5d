"""The text of a drafted file of known cases: one example, which holds for every model until the user tightens it."""

from mlops_assets.datasets.drafting.draft import toml_key, toml_number, toml_text
from mlops_assets.datasets.drafting.drafted import Draft
from mlops_assets.domain.feature import Feature

INTRODUCTION = """\
# Known cases: what must hold of every model before it is promoted, however good its AUC (docs/concepts/gate.md).
# Replace the example by cases whose answers you know: a row, and the bounds of its score, or their order.
#
#   at_least, at_most    the score lies between them, both included
#   above = "NAME"       the score is higher than that of the case of this name
#
# A feature that a row leaves out is null."""


def known_cases_text(draft: Draft) -> str:
    """The file: an example with a value for each feature."""
    lines = [
        INTRODUCTION,
        "",
        "[[case]]",
        'name = "an example: a usual case has some score"',
        "at_least = 0.0",
        "at_most = 1.0",
        "[case.row]",
        *(f"{toml_key(drafted.name)} = {_usual(drafted.feature)}" for drafted in draft.features),
    ]
    return "\n".join(lines) + "\n"


def _usual(feature: Feature) -> str:
    if feature.type == "category":
        return toml_text(feature.categories[0])
    if feature.type == "boolean":
        return "true"
    low, high = feature.range or (0.0, 0.0)
    middle = low + (high - low) / 2
    return toml_number(float(int(middle)) if feature.type == "integer" else middle)
