"""The keys of the dataset contract, as a page."""

from functools import cache

from pydantic import BaseModel

from docs.reference.fields import kind, shown_default, table, texts
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.feature import Feature
from mlops_assets.domain.known_cases import KnownCase

PAGE = """# The contract

One TOML file describes a dataset: `mlops init` drafts it, `mlops check` judges it and the windows that landed, and a
mistake is told with file, line, key and what is expected. What the keys lead to: [data](../concepts/data.md),
[drift](../concepts/drift.md), [the gate](../concepts/gate.md).

## Keys at the top

{top}
{tables}"""

TAKES = {"known_cases": "name of a file beside the contract", "features": "a table for each"}


@cache
def page() -> str:
    """The page's text."""
    models = {name: _model(name) for name in Dataset.model_fields}
    top = _table(Dataset, [name for name, model in models.items() if model is None])
    tables = {f"`[{name}]`": model for name, model in models.items() if model is not None}
    tables = {**tables, "`[features.NAME]`": Feature, "`[[case]]`, in the file of known cases": KnownCase}
    sections = [f"## {title}\n\n{_table(model, list(model.model_fields))}" for title, model in tables.items()]
    return PAGE.format(top=top, tables="\n".join(sections))


def _model(name: str) -> type[BaseModel] | None:
    """The model of a table of the contract; None where the key holds a value."""
    annotation = Dataset.model_fields[name].annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _table(model: type[BaseModel], names: list[str]) -> str:
    said = texts(model)
    rows = [
        (f"`{name}`", TAKES.get(name) or kind(field.annotation, field.metadata), shown_default(field), said[name])
        for name, field in model.model_fields.items()
        if name in names
    ]
    return table(("key", "takes", "default", "what it is for"), rows)
