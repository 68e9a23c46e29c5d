"""Reads a dataset contract from its TOML file; a wrong file answers with the line and what is expected.

Here belongs the way from text to contract. What a contract holds belongs to `mlops_assets.domain.dataset`.
"""

import difflib
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from mlops_assets.datasets.known_cases import KnownCasesInvalid, read_known_cases
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.dataset_tables import (
    Drift,
    Gate,
    Limits,
    PromotionPolicy,
    Retraining,
    ServingPolicy,
    Source,
    Training,
)
from mlops_assets.domain.feature import Feature
from mlops_assets.domain.known_cases import KnownCase

UNKNOWN_KEY = "Extra inputs are not permitted"
"""Pydantic's words."""
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
    except FileNotFoundError as error:
        raise DatasetInvalid(f"{path}: there is no such file; `mlops init` writes a contract of your data") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetInvalid(f"{path}: cannot be read: {error}") from error
    try:
        read = tomllib.loads(text)
        if "known_cases" in read:
            read["known_cases"] = _known_cases(path, text, read["known_cases"])
        return Dataset.model_validate(read)
    except tomllib.TOMLDecodeError as error:
        raise DatasetInvalid(f"{path}: is not TOML: {error}") from error
    except ValidationError as error:
        faults = [_fault(path, text, fault["loc"], fault["msg"]) for fault in error.errors()]
        raise DatasetInvalid("\n".join(faults)) from error


def _known_cases(path: Path, text: str, name: object) -> list[KnownCase]:
    """The cases of the file that a contract names, which lies where the contract does."""
    if not isinstance(name, str):
        line = line_of(text, ("known_cases",))
        raise DatasetInvalid(f"{path}:{line}: known_cases: is the name of a file beside the contract")
    try:
        return read_known_cases(path.parent / name)
    except KnownCasesInvalid as error:
        raise DatasetInvalid(str(error)) from error


def _fault(path: Path, text: str, location: tuple[int | str, ...], said: str) -> str:
    said, at = said.removeprefix("Value error, "), location
    if named := re.search(r"`(\w+)`", said):  # what is wrong between two keys is told of their table, and names one
        at = (*location, named[1])
    if said == UNKNOWN_KEY:
        known = _known_keys(location)
        meant = difflib.get_close_matches(str(location[-1]), known, n=1)
        said = f"there is no such key; {f'did you mean `{meant[0]}`?' if meant else 'there are: ' + ', '.join(known)}"
    return f"{path}:{line_of(text, at)}: {'.'.join(map(str, location)) or 'contract'}: {said}"


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """The keys that stand beside an unknown one."""
    if len(location) == 1:
        return list(Dataset.model_fields)
    tables: dict[str, type[BaseModel]] = {
        "features": Feature,
        "limits": Limits,
        "drift": Drift,
        "retraining": Retraining,
        "training": Training,
        "gate": Gate,
        "promotion": PromotionPolicy,
        "serving": ServingPolicy,
        "source": Source,
    }
    return list(tables[str(location[0])].model_fields)


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
        depth = min(len(here), len(keys))
        # `[features.amount]` is also where `features` stands, if nothing says it better.
        if depth > best_depth and here[:depth] == keys[:depth]:
            best, best_depth = number, depth
    return best
