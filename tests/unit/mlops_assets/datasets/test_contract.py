from pathlib import Path

import pytest

from mlops_assets.datasets.contract import FLIGHTS, DatasetInvalid, line_of, read_dataset

CONTRACT = """\
name = "small"
target = "late"
row_id = "case_id"
split_by = "customer"

[limits]
min_rows = 10

[features.amount]
type = "float"
range = [0, 10]

# A comment that says type = "text"
[features.colour]
type = "category"
categories = [
    "red",
    "type = 1",
]
"""


def faults_of(folder: Path, text: str) -> list[str]:
    """What is said of a contract, a fault a line, without the file's name."""
    path = folder / "small.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DatasetInvalid) as refused:
        read_dataset(path)
    lines = str(refused.value).splitlines()
    assert all(line.startswith(f"{path}:") for line in lines)
    return [line.removeprefix(f"{path}:") for line in lines]


def line_with(text: str, part: str) -> int:
    """The number of the first line that begins with a text."""
    return next(number for number, line in enumerate(text.splitlines(), start=1) if line.startswith(part))


def test_the_built_in_contract_reads() -> None:
    """The loop starts with it."""
    flights = read_dataset(FLIGHTS)
    assert flights.name == "flights"
    assert (flights.target, flights.row_id, flights.split_by) == ("late", "flight_id", "flight_date")
    assert len(flights.features) == 17
    assert list(flights.features["sched_hour"].range or ()) == [0, 23]
    assert flights.training.train_windows == 3


def test_a_contract_reads_as_it_is_written(tmp_path: Path) -> None:
    """The order of features and categories is the order of the model's inputs and codes."""
    path = tmp_path / "small.toml"
    path.write_text(CONTRACT)
    dataset = read_dataset(path)
    assert list(dataset.features) == ["amount", "colour"]
    assert dataset.features["colour"].categories == ("red", "type = 1")
    assert dataset.limits.min_rows == 10


@pytest.mark.parametrize(
    ("before", "after", "line", "said"),
    [
        ("min_rows = 10", "min_row = 10", "min_row", "limits.min_row: there is no such key"),
        ('target = "late"', 'goal = "late"\ntarget = "late"', "goal", "goal: there is no such key"),
        ('type = "float"', 'type = "text"', 'type = "text"', "features.amount.type: Input should be 'float'"),
        ('type = "float"', 'typ = "float"', "typ =", "features.amount.typ: there is no such key"),
        ("range = [0, 10]", 'range = [0, "ten"]', "range", "features.amount.range.1: Input should be a valid number"),
        ("range = [0, 10]", "range = [10, 0]", "range", "features.amount: `range` is"),
        ('type = "float"\n', "", "[features.amount]", "features.amount.type: Field required"),
        ("min_rows = 10", "min_rows = 0", "min_rows", "limits.min_rows: Input should be greater than or equal to 1"),
        ("[limits]\nmin_rows = 10", "limits.min_rows = 0", "limits.min_rows", "limits.min_rows: Input should be"),
        ("[limits]\nmin_rows = 10", "limits = { min_rows = 0 }", "limits", "limits.min_rows: Input should be"),
        ("[features.amount]", '[features . "amount"]\nmin = 1', "min =", "features.amount.min: there is no such key"),
        ('target = "late"\n', "", 'name = "small"', "target: Field required"),
        ('target = "late"', 'target = "amount"', 'target = "amount"', "contract: `target` is the column"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path: Path, before: str, after: str, line: str, said: str) -> None:
    """The user must find the place without counting."""
    text = CONTRACT.replace(before, after, 1)
    assert text != CONTRACT
    faults = faults_of(tmp_path, text)
    assert any(fault.startswith(f"{line_with(text, line)}: {said}") for fault in faults), faults


@pytest.mark.parametrize(
    ("table", "at", "said"),
    [
        ("drift", "min_rows = 500\nsample_rows = 200", "drift: `min_rows` is 500, of samples of 200 rows"),
        (
            "drift",
            "category_threshold = 0.9",
            "drift: `category_threshold` is 0.9, and jensenshannon is never above",
        ),
        (
            "drift",
            'numeric_threshold = 1.5\nnumeric_method = "hellinger"',
            "drift: `numeric_threshold` is 1.5, and hellinger is never above 1.00",
        ),
        ("drift", "drift_share_threshold = 1.0", "drift.drift_share_threshold: Input should be less than 1"),
        ("drift", 'drift_share_threshold = "0.1"', "drift.drift_share_threshold: Input should be a valid number"),
        ("drift", "sample_rows = 20000.0", "drift.sample_rows: Input should be a valid integer"),
        ("retraining", "budget_trainings = true", "retraining.budget_trainings: Input should be a valid integer"),
        ("retraining", "drifted_windows = 2", "retraining: `drifted_windows` is 2, of the last 1 windows"),
        ("serving", "max_feature_age_days = -1", "serving.max_feature_age_days: Input should be greater than 0"),
        ("serving", "max_feature_age = 1", "serving.max_feature_age: there is no such key; did you mean"),
    ],
)
def test_settings_that_cannot_work_are_refused(tmp_path: Path, table: str, at: str, said: str) -> None:
    """They would switch drift off without a word."""
    text = f"{CONTRACT}\n[{table}]\n{at}\n"
    faults = faults_of(tmp_path, text)
    assert any(fault.startswith(f"{line_with(text, at.splitlines()[0])}: {said}") for fault in faults), faults


def test_an_age_of_features_without_an_entity_is_refused_at_its_table(tmp_path: Path) -> None:
    """Prevents a limit that the user believes to be held, of a table that there is not."""
    text = f"{CONTRACT}\n[serving]\nmax_feature_age_days = 30\n"
    (fault,) = faults_of(tmp_path, text)
    assert fault.startswith(f"{line_with(text, '[serving]')}: contract: `serving` says how old"), fault


def test_whole_numbers_are_numbers(tmp_path: Path) -> None:
    """TOML has `1` and `1.0`."""
    path = tmp_path / "small.toml"
    path.write_text(f"{CONTRACT}\n[drift]\nnumeric_threshold = 1\n[retraining]\nbudget_days = 7\n")
    assert read_dataset(path).drift.numeric_threshold == 1


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    """One fault a run would take the user as many runs."""
    text = CONTRACT.replace('"float"', '"text"').replace("min_rows = 10", "min_rows = 0").replace("late", "")
    text = text.replace('row_id = "case_id"\n', "").replace("[0, 10]", '["a", "b"]')
    faults = faults_of(tmp_path, text)
    assert [fault.split(": ")[1] for fault in faults] == [
        "row_id",
        "features.amount.type",
        "features.amount.range.0",
        "features.amount.range.1",
        "limits.min_rows",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [(CONTRACT.replace('"late"', '"late'), 2), (CONTRACT + "[limits]\n", 20), (CONTRACT + "= 1", 20)],
)
def test_text_that_is_not_toml_is_refused_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    """A missing quote is the most frequent fault."""
    (fault,) = faults_of(tmp_path, text)
    assert fault.startswith(" is not TOML: ")
    assert f"(at line {line}, column " in fault


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    """A typo in MLOPS_DATASET must not end in a traceback."""
    with pytest.raises(DatasetInvalid, match=r"missing\.toml: there is no such file; `mlops init` writes a contract"):
        read_dataset(tmp_path / "missing.toml")
    with pytest.raises(DatasetInvalid, match="cannot be read"):
        read_dataset(tmp_path)


def test_a_file_of_another_encoding_is_refused(tmp_path: Path) -> None:
    """Not with a UnicodeDecodeError from somewhere below."""
    path = tmp_path / "small.toml"
    path.write_bytes(CONTRACT.replace("red", "röt").encode("latin-1"))
    with pytest.raises(DatasetInvalid, match="cannot be read"):
        read_dataset(path)


@pytest.mark.parametrize(
    ("location", "line"),
    [
        ((), 1),
        (("nowhere",), 1),
        (("limits",), 6),
        (("limits", "min_rows"), 7),
        (("limits", "max_quarantined_share"), 6),
        (("features",), 9),
        (("features", "amount", "range", 0), 11),
        (("features", "colour", "categories", 1), 16),
        (("features", "other", "type"), 1),
    ],
)
def test_a_place_that_does_not_stand_there_is_that_of_the_table_above(
    location: tuple[str | int, ...], line: int
) -> None:
    """A missing key has no line of its own, and the nearest is the next best."""
    assert line_of(CONTRACT, location) == line


@pytest.mark.parametrize(
    ("line", "instead", "said"),
    [
        (
            'split_by = "flight_date"',
            'split_bye = "flight_date"',
            r"split_bye: there is no such key; did you mean `split_by`",
        ),
        ("[features.carrier]", "[feature.carrier]", r"feature: there is no such key; did you mean `features`"),
        ("min_rows = 500", "min_row = 500", r"limits\.min_row: there is no such key; did you mean `min_rows`"),
        (
            'target = "late"',
            'target = "carrier"',
            r"contract: `target` is the column 'carrier', which is also a feature",
        ),
    ],
)
def test_a_fault_is_told_at_its_line_with_what_was_meant(tmp_path: Path, line: str, instead: str, said: str) -> None:
    """In a contract of 200 lines, "extra inputs" in line 1 helps nobody."""
    text = FLIGHTS.read_text().replace('known_cases = "flights_known_cases.toml"', "")
    contract = tmp_path / "dataset.toml"
    contract.write_text(text.replace(line, instead, 1))
    number = text[: text.index(line)].count("\n") + 1
    with pytest.raises(DatasetInvalid, match=rf"dataset\.toml:{number}: {said}"):
        read_dataset(contract)
