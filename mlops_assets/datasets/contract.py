"""Reads a dataset contract from its TOML file; a wrong file answers with the line and what is expected.

Here belongs the way from text to contract. What a contract holds belongs to `mlops_assets.domain.dataset`.
"""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from mlops_assets.domain.dataset import Dataset

FLIGHTS = Path(__file__).with_name("flights.toml")


class DatasetInvalid(ValueError):
    """A contract's file is wrong; the message has a line for each fault: file, line, key, what is expected."""


def read_dataset(path: Path) -> Dataset:
    """Reads and validates a contract.

    Raises:
        DatasetInvalid: the file is missing, not TOML, or breaks the contract's rules.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetInvalid(f"{path}: cannot be read: {error}") from error
    try:
        return Dataset.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise DatasetInvalid(f"{path}: is not TOML: {error}") from error
    except ValidationError as error:
        faults = [
            f"{path}:{line_of(text, fault['loc'])}: {'.'.join(map(str, fault['loc'])) or 'contract'}: {fault['msg']}"
            for fault in error.errors()
        ]
        raise DatasetInvalid("\n".join(faults)) from error


def line_of(text: str, location: Sequence[str | int]) -> int:
    """The line (from 1) where a key stands, or that of the nearest table above it that does.

    Args:
        text: The TOML text.
        location: Way to the value, such as `("features", "distance", "range", 0)`.
    """
    keys = [str(part) for part in location if isinstance(part, str)]
    table: list[str] = []
    best, best_depth = 1, 0
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[+([^\[\]]+)\]+\s*(#.*)?$", line):
            table = [part.strip().strip("\"'") for part in header[1].split(".")]
            here = table
        elif assignment := re.match(r"\s*([^=#]+?)\s*=", line):
            here = [*table, *(part.strip().strip("\"'") for part in assignment[1].split("."))]
        else:
            continue
        if len(here) > best_depth and here == keys[: len(here)]:
            best, best_depth = number, len(here)
    return best
