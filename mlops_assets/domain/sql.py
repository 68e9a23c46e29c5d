"""Names and texts as SQL takes them: every query of the project is put together of these."""

from collections.abc import Iterable


def quoted(name: str) -> str:
    """A column's name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL takes it."""
    return "'" + text.replace("'", "''") + "'"


def literals(texts: Iterable[str]) -> str:
    """Texts as SQL takes them between the parentheses of `IN`."""
    return ", ".join(literal(text) for text in texts)
