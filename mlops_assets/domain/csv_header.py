"""Rules of a CSV file's first line: the delimiter that it is written with, and the names of the columns."""

import csv
from typing import TextIO

DELIMITERS = ",;\t|"


def read_header(file: TextIO) -> tuple[list[str], str]:
    """The names, and the delimiter that makes the most of them; a comma where none does. Of an empty file no names.

    Args:
        file: Opened with `newline=""`; it is left somewhere behind its first line.

    Raises:
        csv.Error: the first line cannot be split.
        UnicodeDecodeError: it is of another encoding than the file was opened with.
    """
    found = []
    for mark in DELIMITERS:
        file.seek(0)
        found.append((next(csv.reader(file, delimiter=mark), []), mark))
    return max(found, key=lambda header: len(header[0]))
