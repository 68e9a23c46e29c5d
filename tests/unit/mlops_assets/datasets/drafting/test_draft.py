import tomllib
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlops_assets.datasets.drafting.draft import contract_text, printable, toml_list, toml_text
from tests.unit.mlops_assets.datasets.drafting.small_data import (
    IDS,
    LATE,
    ROWS,
    contract_of,
    drafted,
    drafted_cases,
    write,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
TRICKY = TEXTS | st.sampled_from(
    ['"""', "a.b", "'", "x\n[limits]", "# no", "\x7f", "\\u12", "Late", "_a", "prediction", ""]
)


@given(TEXTS)
@example("\x7f")
def test_any_text_reads_back_from_toml(text: str) -> None:
    assert tomllib.loads(f"key = {toml_text(text)}") == {"key": text}


@given(st.lists(TEXTS, max_size=40))
def test_any_list_reads_back_from_toml(texts: list[str]) -> None:
    assert tomllib.loads(f"key = {toml_list(tuple(texts))}") == {"key": texts}


@given(TEXTS)
def test_any_text_stays_in_its_comment(text: str) -> None:
    assert tomllib.loads(f"# {printable(text)}\nkey = 1") == {"key": 1}


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(TRICKY, unique=True, max_size=4),
    values=st.lists(st.none() | TRICKY, min_size=1, max_size=6),
)
def test_any_frame_with_a_target_gives_a_contract_that_holds(names: list[str], values: list[str | None]) -> None:
    """Names and texts are the user's: quotes, line ends and control characters must not break out."""
    own: dict[str, Sequence[object]] = {"case_id": IDS, "late": LATE}
    odd = {name: [values[(row + at) % len(values)] for row in range(ROWS)] for at, name in enumerate(names)}
    with TemporaryDirectory() as folder:
        draft = drafted(write(Path(folder) / "2024-01.parquet", {**odd, **own}))
    text = contract_text(draft, "x\ny = 1")
    assert "y" not in tomllib.loads(text)
    clashes = {name.lower() for name in names} & {"late", "case_id"}
    if draft.target.value != "..." or not clashes:
        assert contract_of(draft).target == draft.target.value != "..."


def test_every_doubt_is_marked_in_the_text(tmp_path: Path) -> None:
    draft = drafted_cases(tmp_path)
    text = contract_text(draft, "data")
    assert "range = [0, 50]  # unsure: widened from 0.5 to 30.5" in text
    assert "min_rows = 50  # unsure: half of the smallest window, which has 60 rows" in text
    assert "# from 0.5 to 30.5; never null in 60 rows" in text
