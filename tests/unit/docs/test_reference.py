from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from docs.reference import commands, contract, http, metrics, settings
from docs.reference.fields import kind, shown_default, table, texts
from mlops_assets.config import Settings as LoopSettings
from mlops_assets.domain.dataset import Dataset
from serving.settings import Settings as ServiceSettings


class Sample(BaseModel):
    """Every kind of field once."""

    path: Path
    """Where."""
    count: Annotated[int, Field(ge=1, lt=1000)] = 5
    """How many.

    And a second sentence.
    """
    mode: Literal["a", "b"] | None = None
    names: tuple[str, ...] = ("x", "y")
    is_on: bool = True


def test_fields_are_told_in_words() -> None:
    told = {
        name: (kind(field.annotation, field.metadata), shown_default(field))
        for name, field in Sample.model_fields.items()
    }
    assert told == {
        "path": ("path", "required"),
        "count": ("whole number, at least 1, below 1,000", "`5`"),
        "mode": ("`a` or `b`", "-"),
        "names": ("list: text", "`x,y`"),
        "is_on": ("`true` or `false`", "`true`"),
    }
    assert texts(Sample) == {"path": "Where.", "count": "How many.\n\nAnd a second sentence."}


def test_a_cell_ends_neither_at_a_bar_nor_at_a_line() -> None:
    assert table(("a",), [("b|c\nd",)]) == "| a |\n| --- |\n| b\\|c d |\n"


def test_every_setting_is_on_the_page() -> None:
    for prefix, model in (("MLOPS_", LoopSettings), ("SERVING_", ServiceSettings)):
        for name, field in model.model_fields.items():
            assert f"| `{field.validation_alias or prefix + name.upper()}` |" in settings.page()


def test_the_metrics_of_loop_and_service_are_on_the_page() -> None:
    for name in (
        "mlops_windows_taken_total",
        "mlops_log_oldest_waiting_seconds",
        "serving_epoch",
        "serving_rows_total",
    ):
        assert f"| `{name}` |" in metrics.page()
    assert "_created" not in metrics.page()


def test_every_key_of_the_contract_is_on_the_page() -> None:
    for name, field in Dataset.model_fields.items():
        assert f"| `{name}` |" in contract.page() or f"## `[{name}]`" in contract.page()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            for key in field.annotation.model_fields:
                assert f"| `{key}` |" in contract.page()
    assert "| `categories` |" in contract.page()
    assert "| `at_least` |" in contract.page()


def test_every_command_is_on_the_page_with_its_options() -> None:
    assert {"mlops up", "mlops window add", "mlops hold off"} <= set(commands.walk())
    for name, command in commands.walk().items():
        section = commands.page().partition(f"### {name}\n")[2].partition("### ")[0]
        assert command.help is not None
        assert command.help in section
        for param in command.params:
            assert (
                f"`{param.name.upper()}`" if param.param_type_name == "argument" else f"`{param.opts[0]}`"
            ) in section
    assert "| `make demo` |" in commands.page()
    assert "--scope {" in commands.page()


def test_every_route_is_on_the_page() -> None:
    documented = http.openapi()["paths"]
    assert {"/predict", "/invocations", "/feedback", "/model", "/metrics", "/health/ready"} <= set(documented)
    assert any(path.startswith("/v2/models/") and path.endswith("/infer") for path in documented)
    for path, methods in documented.items():
        for method in methods:
            assert f"## `{method.upper()} {path}`\n" in http.page()


def test_the_page_has_the_rows_of_the_served_model() -> None:
    row = http.page().partition("### Row\n")[2].partition("### ")[0]
    assert "| `sched_hour` | integer, at least 0, at most 23 | yes |" in row
    assert '"/predict"' in http.text()
