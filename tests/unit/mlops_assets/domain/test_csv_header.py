import io

import pytest

from mlops_assets.domain.csv_header import read_header


@pytest.mark.parametrize(
    ("text", "names", "delimiter"),
    [
        ("id,x\n1,2\n", ["id", "x"], ","),
        ("id;x,y;z\n", ["id", "x,y", "z"], ";"),
        ("id\tx\n", ["id", "x"], "\t"),
        ("id|x\n", ["id", "x"], "|"),
        ("id\n", ["id"], ","),
        ('"a;b",c,d\n', ["a;b", "c", "d"], ","),
        ("", [], ","),
    ],
)
def test_the_delimiter_is_the_one_that_makes_the_most_names(text: str, names: list[str], delimiter: str) -> None:
    """What `mlops init` drafts from must be what the window store reads."""
    assert read_header(io.StringIO(text, newline="")) == (names, delimiter)
