"""The file of known cases beside a contract: read with errors that name the line, and drafted by `mlops init`.

What a case is belongs to `mlops_assets.domain.known_cases`.
"""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mlops_assets.domain.known_cases import KnownCase

TABLE = "case"


class KnownCasesInvalid(ValueError):
    """A file of known cases is wrong; the message has a line for each fault: file, line, what is expected."""


def read_known_cases(path: Path) -> list[KnownCase]:
    """Reads the cases; whether they fit the contract is not asked here.

    Raises:
        KnownCasesInvalid: the file is missing, not TOML, or holds something else than cases.
    """
    try:
        text = path.read_text(encoding="utf-8")
        read = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise KnownCasesInvalid(f"{path}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise KnownCasesInvalid(f"{path}: is not TOML: {error}") from error
    listed = read.pop(TABLE, [])
    if read or not isinstance(listed, list):
        raise KnownCasesInvalid(f"{path}: holds `{next(iter(read), TABLE)}`; each case is a table `[[{TABLE}]]`")
    starts = [number for number, line in enumerate(text.splitlines(), start=1) if line.strip() == f"[[{TABLE}]]"]
    cases, faults = [], []
    for at, of_case in enumerate(listed):
        try:
            cases.append(_case(of_case))
        except ValidationError as error:
            line = starts[at] if len(starts) == len(listed) else 1
            for fault in error.errors():
                where = ".".join(map(str, fault["loc"]))
                said = fault["msg"].removeprefix("Value error, ")
                faults.append(f"{path}:{line}: case {at + 1}: {f'{where}: ' if where else ''}{said}")
    if faults:
        raise KnownCasesInvalid("\n".join(faults))
    return cases


def _case(read: Any) -> KnownCase:  # noqa: ANN401 -- whatever TOML holds
    """A bound may be written as a whole number."""
    if isinstance(read, dict):
        read = {
            key: float(value) if key in ("at_least", "at_most") and type(value) is int else value
            for key, value in read.items()
        }
    return KnownCase.model_validate(read)
