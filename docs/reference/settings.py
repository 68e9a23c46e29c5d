"""The settings of the loop and of the service, as a page."""

from functools import cache

from pydantic import AliasChoices, AliasPath
from pydantic_settings import BaseSettings

from docs.reference.fields import kind, shown_default, table, texts
from mlops_assets.config import Settings as LoopSettings
from mlops_assets.datasets.contract import FLIGHTS
from serving.settings import Settings as ServiceSettings

PAGE = """# Settings

All are environment variables. `mlops` names one that is wrong, and so does the service when it starts.
What concerns the data (features, limits, thresholds, policies) stands in the [contract](contract.md) instead.

## The loop

For every `mlops` command and what it starts. Relative paths are taken from the working directory.

{loop}
## The service

For `python -m serving`, which `mlops up` starts too.

{service}"""


@cache
def page() -> str:
    """The page's text."""
    return PAGE.format(loop=_table(LoopSettings), service=_table(ServiceSettings))


def _table(settings: type[BaseSettings]) -> str:
    prefix, said = settings.model_config["env_prefix"], texts(settings)
    rows = []
    for name, field in settings.model_fields.items():
        alias: str | AliasPath | AliasChoices | None = field.validation_alias
        default = "the flights" if field.default == FLIGHTS else shown_default(field)
        variable = alias if isinstance(alias, str) else f"{prefix}{name.upper()}"
        rows.append((f"`{variable}`", kind(field.annotation, field.metadata), default, said[name]))
    return table(("variable", "takes", "default", "what it is for"), rows)
