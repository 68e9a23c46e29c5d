"""Functions of one value that mean what DuckDB makes of it, on whatever engine they run.

How a text is read as a number or a time, and how a number is written as a text, is an engine's own: Spark takes `1.5f`
for a number and writes 1E300. Rules name such a function; each engine runs the one definition that stands beside its
name. What the functions are belongs to the rules that need them.
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import ibis.expr.types as ir

Gives = Literal["string", "float64", "boolean", "timestamp", "int32"]


@dataclass(frozen=True)
class DuckdbFunction:
    """A function of the value `x`."""

    name: str
    """Under which engines know it."""
    sql: str
    """What DuckDB says of `x`."""
    gives: Gives
    """Its answer's type, as Ibis calls it."""
    leaves: str | None = None
    """A condition, in SQL that every engine takes, of values that are their own answer: of those nobody need ask."""

    def __call__(self, value: "ir.Value") -> Any:  # noqa: ANN401 -- an expression of the type that it gives
        """Its answer to a value, as an expression."""
        return _expression(self)(value)


def functions_in(expression: "ir.Expr") -> set[DuckdbFunction]:
    """The functions that an expression names, which its engine must know before it runs."""
    import ibis.expr.operations as ops

    return {node.__config__["function"] for node in expression.op().find(ops.ScalarUDF)}


@cache
def _expression(function: DuckdbFunction) -> Any:  # noqa: ANN401 -- Ibis says no more of it
    import ibis

    def call(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        """The engine has it."""

    build = ibis.udf.scalar.builtin(name=function.name, signature=((None,), function.gives), function=function)
    return build(call)
