"""Whether a Parquet file can be seen to be complete: it begins and ends with its mark, the end being written last."""

import os
from typing import BinaryIO

MARK = b"PAR1"


def is_whole_parquet(file: BinaryIO) -> bool:
    """Whether an open file begins and ends as a Parquet file does."""
    if file.seek(0, os.SEEK_END) < 2 * len(MARK):
        return False
    file.seek(-len(MARK), os.SEEK_END)
    ending = file.read(len(MARK))
    file.seek(0)
    return ending == MARK and file.read(len(MARK)) == MARK
