from pathlib import Path

import pytest

from mlops_assets.datasets.contract import DatasetInvalid, read_dataset
from mlops_assets.datasets.known_cases import KnownCasesInvalid, read_known_cases

GOOD = """# two visits
[[case]]
name = "a poor visit"
at_most = 1
[case.row]
price = 1.5

[[case]]
name = "a good visit"
above = "a poor visit"
row = { price = 9 }
"""
CONTRACT = """name = "small"
target = "bought"
row_id = "visit"
split_by = "customer"
known_cases = "cases.toml"
[features.price]
type = "float"
range = [0, 10]
"""


def written(folder: Path, cases: str, contract: str = CONTRACT) -> Path:
    """A contract with its file of known cases."""
    (folder / "cases.toml").write_text(cases)
    (folder / "dataset.toml").write_text(contract)
    return folder / "dataset.toml"


def test_cases_are_read_with_their_contract(tmp_path: Path) -> None:
    """From the file beside it, wherever the program runs; a bound may be a whole number."""
    dataset = read_dataset(written(tmp_path, GOOD))
    assert [(case.name, case.at_most, case.above) for case in dataset.known_cases] == [
        ("a poor visit", 1.0, None),
        ("a good visit", None, "a poor visit"),
    ]


def test_cases_are_no_part_of_what_rows_depend_on(tmp_path: Path) -> None:
    """A new case must not make every stored window a stranger."""
    contract = written(tmp_path, GOOD)
    with_cases = read_dataset(contract)
    contract.write_text(CONTRACT.replace('known_cases = "cases.toml"\n', ""))
    without = read_dataset(contract)
    assert (with_cases.rules, with_cases.shape) == (without.rules, without.shape)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("at_most = 1", "at_mots = 1"), r"cases.toml:2: case 1: at_mots: Extra inputs"),
        (GOOD.replace("at_most = 1", "at_most = 1.5"), r"cases.toml:2: case 1: at_most: .*less than or equal to 1"),
        (GOOD.replace('above = "a poor visit"', ""), r"cases.toml:8: case 2: it asks for nothing"),
        (GOOD.replace('name = "a good visit"', ""), r"cases.toml:8: case 2: name: Field required"),
        (GOOD.replace("[[case]]", "[[cases]]"), r"holds `cases`; each case is a table `\[\[case\]\]`"),
        ("[case]\nname = 'a'", r"holds `case`; each case is a table `\[\[case\]\]`"),
        ("[[case]", r"cases.toml: is not TOML"),
        ("case = [1]", r"case 1: "),
    ],
)
def test_a_wrong_file_says_where_and_what(tmp_path: Path, text: str, said: str) -> None:
    """With the line of the case, as a contract's faults have theirs."""
    with pytest.raises(DatasetInvalid, match=said):
        read_dataset(written(tmp_path, text))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """By its path."""
    with pytest.raises(KnownCasesInvalid, match=r"none.toml: cannot be read"):
        read_known_cases(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("cases", "said"),
    [
        (GOOD.replace("price = 9", "price = 11"), "outside its range"),
        (GOOD.replace("price = 9", "cost = 9"), "there is no feature 'cost'"),
        (GOOD.replace('above = "a poor visit"', 'above = "none"'), "there is no other case 'none'"),
    ],
)
def test_a_case_that_does_not_fit_is_told_at_the_contracts_line(tmp_path: Path, cases: str, said: str) -> None:
    """It fits neither the contract nor the service."""
    with pytest.raises(DatasetInvalid, match=rf"dataset.toml:5: .*{said}"):
        read_dataset(written(tmp_path, cases))


def test_what_names_no_file_is_told(tmp_path: Path) -> None:
    """A list in its place is a likely guess."""
    contract = written(tmp_path, GOOD, CONTRACT.replace('"cases.toml"', '["cases.toml"]'))
    with pytest.raises(DatasetInvalid, match=r"dataset.toml:5: known_cases: is the name of a file beside"):
        read_dataset(contract)
