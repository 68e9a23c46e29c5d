"""Tables of a model's fields: name, type, default, what it is for. What they are of belongs to the pages."""

import ast
import inspect
import types
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

PLAIN = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "`true` or `false`",
    "Path": "path",
    "SecretStr": "text",
}
BOUNDS = ((Ge, "ge", "at least"), (Gt, "gt", "above"), (Le, "le", "at most"), (Lt, "lt", "below"))


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; a `|` or a line's end in a cell ends no cell."""
    cells = [list(header), *(list(row) for row in rows)]
    lines = ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in cells]
    return "\n".join([lines[0], "|" + " --- |" * len(cells[0]), *lines[1:]]) + "\n"


def texts(model: type[BaseModel]) -> dict[str, str]:
    """What stands in the source below each field of a class."""
    defined = ast.parse(inspect.getsource(model)).body[0]
    if not isinstance(defined, ast.ClassDef):
        raise TypeError(f"{model} is no class")
    found = {}
    for field, below in zip(defined.body, defined.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            found[field.target.id] = inspect.cleandoc(ast.literal_eval(below.value))
    return found


def kind(annotation: Any, metadata: Iterable[Any] = ()) -> str:  # noqa: ANN401 -- whatever stands at a field
    """What a field takes, in words."""
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if origin is Annotated:
        return kind(arguments[0], [*arguments[1:], *metadata])
    if origin in (Union, types.UnionType):
        return kind(next(argument for argument in arguments if argument is not type(None)), metadata)
    limits = [limit for one in metadata for limit in (getattr(one, "metadata", None) or [one])]
    if origin is Literal:
        named = " or ".join(f"`{argument}`" for argument in arguments)
    elif origin is tuple and arguments[-1] is not Ellipsis:
        named = " and ".join(kind(argument) for argument in arguments)
    elif origin is tuple:
        named = f"list: {kind(arguments[0])}"
    elif origin is not None:
        named = f"by name: {kind(arguments[-1])}"
    else:
        named = PLAIN.get(annotation.__name__, annotation.__name__)
    return ", ".join([named, *bounds(limits)])


def bounds(limits: Iterable[Any]) -> list[str]:
    """The limits of a number, in words."""
    return [
        f"{word} {getattr(limit, attribute):,}"
        for limit in limits
        for bound, attribute, word in BOUNDS
        if isinstance(limit, bound)
    ]


def shown_default(field: FieldInfo) -> str:
    """A field's default as it is written; `-` where nothing is set."""
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        return "depends"
    default = field.default
    if default is None or default == () or default == "":
        return "-"
    if isinstance(default, tuple):
        return f"`{','.join(map(str, default))}`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"
