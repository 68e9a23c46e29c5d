"""`mlops init`: looks at a user's data and writes the draft of its contract, and of a file of known cases beside it.

Here belong the files that are written and what is said of it. What is guessed belongs to `mlops_assets.datasets`.
"""

import re
import shlex
from pathlib import Path

from rich.console import Console

from mlops_assets.cli.errors import UserError
from mlops_assets.datasets.drafting.draft import contract_text, printable
from mlops_assets.datasets.drafting.drafted import Draft
from mlops_assets.datasets.drafting.found_windows import FoundData, find_windows
from mlops_assets.datasets.drafting.inference import draft_contract
from mlops_assets.datasets.drafting.known_cases_draft import known_cases_text
from mlops_assets.datasets.drafting.table_files import DataUnreadable


def init(path: Path, output: Path, console: Console) -> None:
    """Writes the draft of a contract, and says what was found and what to do next.

    Args:
        path: A file, a folder of window files or window folders, or one window folder.
        output: Where the contract goes.
        console: Where it is said.

    Raises:
        UserError: the data cannot be read, or the contract's file is there already or cannot be written.
    """
    cases = output.with_name(f"{output.stem}.known_cases.toml")
    for file in (output, cases):
        if file.exists():
            raise UserError(f"{file} is there already; delete it, or name another with --output")
    try:
        found = find_windows(path)
        draft = draft_contract(found, _name(path.absolute(), found))
    except DataUnreadable as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    _write(cases, known_cases_text(draft))
    _write(output, contract_text(draft, str(path), known_cases=cases.name))
    for line in _report(draft, found, path, output, cases):
        console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


def _write(file: Path, text: str) -> None:
    try:
        with file.open("x", encoding="utf-8", newline="\n") as opened:
            opened.write(text)
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}; name another with --output") from error


def _name(path: Path, found: FoundData) -> str:
    """The dataset's: that of the file or folder that says more than a period does."""
    named = path.stem if path.is_file() else found.landing.name
    return named if re.match(r"[A-Za-z]", named) else found.landing.name


def _report(draft: Draft, found: FoundData, path: Path, output: Path, cases: Path) -> list[str]:
    windows = f"{len(found.windows)} window{'s' * (len(found.windows) > 1)}"
    looked_at = f" (looked at {', '.join(draft.windows)})" if len(draft.windows) < len(found.windows) else ""
    tables = f", tables {', '.join(draft.tables)}" if draft.tables else ""
    labels = f", labels {draft.labels.value}" if draft.labels.value else ""
    unsure = draft.unsure
    source = shlex.quote(str(path if path.absolute() == found.landing else found.landing))
    file = shlex.quote(str(output))
    return [
        f"found {windows}{looked_at}: {draft.rows} rows, {draft.columns} columns{tables}{labels}",
        f"target {draft.target.value}, row id {draft.row_id.value}, split by {draft.split_by.value}, "
        f"{len(draft.features)} features, {len(draft.left_out)} columns left out",
        f"unsure of {len(unsure)}:",
        *(f"  - {line}" for line in unsure),
        "next:",
        f"  1. read and correct {file}; write what must hold of every model into {shlex.quote(str(cases))}",
        f"  2. mlops check --dataset {file} --source {source}",
        f"  3. MLOPS_HOME=.{draft.name} mlops up --dataset {file} --source {source}",
    ]
