from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.datasets.drafting.draft import contract_text
from mlops_assets.datasets.drafting.table_files import DataUnreadable
from tests.unit.mlops_assets.datasets.drafting.small_data import (
    AMOUNTS,
    IDS,
    LATE,
    ROWS,
    cases,
    contract_of,
    doubts_of,
    drafted,
    drafted_cases,
    why_left_out,
    write,
)

STREAMFLOW = Path(__file__).parents[5] / ".." / "shared" / "data" / "streamflow"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_each_column_becomes_the_feature_that_its_values_are(tmp_path: Path, suffix: str) -> None:
    draft = drafted_cases(
        tmp_path,
        suffix,
        member=[row % 5 < 2 for row in range(ROWS)],
        visits=[row % 7 if row % 11 else None for row in range(ROWS)],
        colour=[("red", "green", "blue")[row % 11 % 3] for row in range(ROWS)],
    )
    contract = contract_of(draft)
    features = contract.features
    assert {name: feature.type for name, feature in features.items()} == {
        "amount": "float",
        "member": "boolean",
        "visits": "integer",
        "colour": "category",
    }
    assert features["colour"].categories == ("blue", "green", "red")
    assert [name for name, feature in features.items() if feature.nullable] == ["visits"]
    assert list(features["amount"].range or ()) == [0, 50]  # seen from 0.5 to 30.5
    assert (contract.target, contract.target_values, contract.row_id) == ("late", None, "case_id")


def test_what_no_feature_can_be_is_left_out_with_the_cause(tmp_path: Path) -> None:
    draft = drafted_cases(
        tmp_path,
        note=[f"words {row}" for row in range(ROWS)],
        country=["NL"] * ROWS,
        nothing=[None] * ROWS,
        born=[date(1990, 1, 1) + timedelta(row * 37 % 50) if row else None for row in range(ROWS)],
        refund_id=range(ROWS),
        _own=AMOUNTS,
        prediction=AMOUNTS,
        Amount=AMOUNTS,
    )
    assert [one.name for one in draft.features] == []
    assert "an id by its name" in why_left_out(draft, "refund_id")
    assert "60 different values" in why_left_out(draft, "note")
    assert "one value" in why_left_out(draft, "country")
    assert "null throughout" in why_left_out(draft, "nothing")
    assert "is a time" in why_left_out(draft, "born")
    assert "begin with '_'" in why_left_out(draft, "_own")
    assert "model's own scores" in why_left_out(draft, "prediction")
    assert "'amount' differs in case alone" in why_left_out(draft, "Amount")
    assert "'Amount' differs in case alone" in why_left_out(draft, "amount")


@pytest.mark.parametrize(
    "column",
    [
        [f"said {late}" for late in LATE],
        [10.0 * late + row / ROWS for row, late in enumerate(LATE)],
        ["2024-05-01" if late else "" for late in LATE],
    ],
    ids=["text", "number", "null where not"],
)
def test_a_column_that_says_the_target_is_left_out_as_a_leak(tmp_path: Path, column: Sequence[object]) -> None:
    draft = drafted_cases(
        tmp_path, verdict=[f"x{value}" if value and value == "2024-05-01" else value for value in column]
    )
    assert "unsure: says the target" in why_left_out(draft, "verdict")
    assert [one.name for one in draft.features] == ["amount"]


def test_a_rare_outcome_makes_no_leak_of_an_honest_column(tmp_path: Path) -> None:
    """Where 1 row in 100 is late, `never` is right in 99 %."""
    rows = range(2000)
    columns: dict[str, Sequence[object]] = {
        "case_id": [f"c{row}" for row in rows],
        "late": [row % 100 == 0 for row in rows],
        "colour": [("red", "green")[row // 7 % 2] for row in rows],
    }
    assert [one.name for one in drafted(write(tmp_path / "a.csv", columns)).features] == ["colour"]


@pytest.mark.parametrize(
    ("said", "expected", "is_unsure"),
    [
        (("no", "yes"), ("no", "yes"), False),
        (("yes", "no"), ("no", "yes"), False),  # the words, not the counts
        (("alpha", "beta"), ("alpha", "beta"), True),  # the less frequent is the yes
        (("1", "0"), None, False),
        (("FALSE", "TRUE"), None, False),
    ],
)
def test_the_target_says_yes_by_its_words_or_else_by_the_rarer_value(
    tmp_path: Path, said: tuple[str, str], expected: tuple[str, str] | None, is_unsure: bool
) -> None:
    draft = drafted_cases(tmp_path, late=[said[late] for late in LATE])
    assert contract_of(draft).target_values == expected
    assert bool(draft.target_values_choice.unsure) is is_unsure


def test_other_candidates_for_the_target_are_listed(tmp_path: Path) -> None:
    draft = drafted_cases(tmp_path, is_new=[row % 5 == 0 for row in range(ROWS)])
    assert draft.target.value == "late"
    assert draft.target.unsure == "could also be 'is_new'"


def test_without_a_target_a_placeholder_is_written(tmp_path: Path) -> None:
    columns: dict[str, Sequence[object]] = {"case_id": IDS, "amount": AMOUNTS, "has_defaulted": LATE}
    draft = drafted(write(tmp_path / "a.csv", columns))
    text = contract_text(draft, "a.csv")
    assert 'target = "..."  # unsure: no column with two values and a telling name found; name it' in text
    assert "'has_defaulted'" in str(draft.target.unsure)
    assert any(line.startswith("target: ") for line in draft.unsure)


def test_rows_without_an_id_get_a_placeholder(tmp_path: Path) -> None:
    draft = drafted(write(tmp_path / "a.csv", {"late": LATE, "amount": AMOUNTS}))
    assert contract_of(draft).row_id == "... row id"
    assert "no column is unique" in str(draft.row_id.unsure)


def test_an_id_that_repeats_in_one_window_is_no_row_id(tmp_path: Path) -> None:
    write(tmp_path / "2024-01.csv", cases(order_no=range(ROWS)))
    write(tmp_path / "2024-02.csv", cases(order_no=range(ROWS)) | {"case_id": [IDS[0], *IDS[:-1]]})
    assert drafted(tmp_path).row_id.value == "order_no"


def test_rows_of_one_customer_stay_together(tmp_path: Path) -> None:
    draft = drafted_cases(tmp_path, customer_id=[f"k{row % 25}" for row in range(ROWS)])
    assert (draft.split_by.value, draft.entity_key.value) == ("customer_id", "customer_id")
    assert "customer_id" not in contract_of(draft).features


def test_rows_of_one_day_stay_together_where_nobody_is_named(tmp_path: Path) -> None:
    draft = drafted_cases(tmp_path, day=[date(2024, 1, 1) + timedelta(row % 25) for row in range(ROWS)])
    assert draft.split_by.value == "day"
    assert draft.split_by.unsure


def test_an_event_time_moves_on_from_window_to_window(tmp_path: Path) -> None:
    for month in (1, 2):
        days: dict[str, Any] = {
            "signup_date": [date(2020, 1, 1) + timedelta(row % 19) for row in range(ROWS)],
            "seen_at": [date(2024, month, 1) + timedelta(row % 19) for row in range(ROWS)],
        }
        write(tmp_path / f"2024-0{month}.csv", cases(**days))
    draft = drafted(tmp_path)
    assert draft.event_time.value == "seen_at"
    assert "is a time" in why_left_out(draft, "signup_date")


def test_categories_of_some_windows_only_are_doubtful(tmp_path: Path) -> None:
    for month, last in enumerate(("blue", "green"), start=1):
        write(tmp_path / f"2024-0{month}.csv", cases(colour=[("red", last)[row % 7 % 2] for row in range(ROWS)]))
    draft = drafted(tmp_path)
    assert contract_of(draft).features["colour"].categories == ("blue", "green", "red")
    assert "'blue', 'green'" in doubts_of(draft, "colour")["categories"]
    assert 'new_categories = "as_missing"' in doubts_of(draft, "colour")["categories"]


def test_texts_that_mean_null_are_nulls(tmp_path: Path) -> None:
    draft = drafted_cases(tmp_path, visits=["NA" if row % 9 == 0 else row % 5 for row in range(ROWS)])
    assert contract_of(draft).features["visits"].nullable
    assert "'NA' is read as null" in doubts_of(draft, "visits")["nullable"]


def test_codes_with_leading_zeros_are_no_numbers(tmp_path: Path) -> None:
    draft = drafted_cases(tmp_path, post=[f"0{row % 7}" for row in range(ROWS)])
    assert contract_of(draft).features["post"].categories[0] == "00"


def test_whole_numbers_beyond_float32_are_doubtful_floats(tmp_path: Path) -> None:
    draft = drafted_cases(tmp_path, big=[2**24 + 1 + row % 7 for row in range(ROWS)])
    assert contract_of(draft).features["big"].type == "float"
    assert "2^24" in doubts_of(draft, "big")["type"]


def test_a_window_is_asked_for_half_the_rows_of_the_smallest_and_50_at_least(tmp_path: Path) -> None:
    assert drafted_cases(tmp_path / "small").min_rows == 50
    for window, rows in {"a": 2000, "b": 1000}.items():
        columns = {"case_id": range(rows), "late": [row % 3 == 0 for row in range(rows)]}
        write(tmp_path / "large" / f"{window}.csv", columns)
    assert drafted(tmp_path / "large").min_rows == 500


def test_late_labels_beside_a_file_hold_the_target(tmp_path: Path) -> None:
    write(tmp_path / "2024-01.csv", {"case_id": IDS, "amount": AMOUNTS, "copied": LATE})
    write(tmp_path / "2024-01.labels.csv", {"case_id": IDS, "arrived": LATE})
    draft = drafted(tmp_path)
    contract = contract_of(draft)
    assert (contract.target, contract.row_id, contract.source.tables) == ("arrived", "case_id", ())
    assert "says the target" in why_left_out(draft, "copied")


def test_tables_are_joined_by_the_key_that_is_unique_in_each(tmp_path: Path) -> None:
    for month in ("2024-01", "2024-02"):
        write(tmp_path / month / "orders.parquet", {"case_id": IDS, "amount": AMOUNTS, "both": AMOUNTS})
        write(tmp_path / month / "rebates.csv", {"case_id": IDS[:30], "rebate": AMOUNTS[:30], "both": AMOUNTS[:30]})
        write(tmp_path / month / "outcomes_seen.csv", {"case_id": IDS, "late": LATE})
    draft = drafted(tmp_path)
    source = contract_of(draft).source
    assert (source.tables, source.key, source.labels) == (("orders", "rebates"), "case_id", "outcomes_seen")
    assert "orders and rebates" in why_left_out(draft, "both")
    assert [one.name for one in draft.features] == ["amount", "rebate"]
    assert contract_of(drafted(tmp_path / "2024-01")).source == source


def test_what_holds_no_table_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataUnreadable, match=r"holds no \.parquet"):
        drafted(tmp_path)
    with pytest.raises(DataUnreadable, match="holds no rows"):
        drafted(write(tmp_path / "a.csv", {"case_id": [], "late": []}))
    (tmp_path / "b.parquet").write_text("no")
    with pytest.raises(DataUnreadable, match=r"b\.parquet cannot be read as parquet"):
        drafted(tmp_path / "b.parquet")


@pytest.mark.skipif(not STREAMFLOW.exists(), reason=f"the public data is not at {STREAMFLOW}")
def test_the_churn_tables_are_understood() -> None:
    """Two months of six tables: the shape of data that users bring."""
    draft = drafted(STREAMFLOW)
    contract = contract_of(draft)
    assert (contract.target, contract.row_id, contract.entity_key) == ("churn_label", "user_id", "user_id")
    assert (contract.source.key, contract.source.labels, contract.source.tables[0]) == ("user_id", "labels", "users")
    assert set(contract.source.tables) == {
        "users", "subscriptions", "payments_agg_90d", "support_agg_90d", "usage_agg_30d",
    }  # fmt: skip
    types = {name: feature.type for name, feature in contract.features.items()}
    assert types["user_is_senior"] == types["plan_stream_tv"] == "boolean"
    assert types["months_active"] == types["skips_7d"] == "integer"
    assert types["monthly_fee"] == "float"
    assert contract.features["contract_type"].categories == ("Month-to-month", "One year", "Two year")
    assert contract.features["plan_stream_tv"].nullable
    assert not contract.features["paperless_billing"].nullable


def test_labels_that_have_not_come_for_the_newest_window_are_no_hindrance(tmp_path: Path) -> None:
    for month in ("2024-01", "2024-02"):
        write(tmp_path / month / "orders.csv", {"case_id": IDS, "amount": AMOUNTS, "copied": LATE})
    write(tmp_path / "2024-01" / "labels.csv", {"case_id": IDS, "late": LATE, "said_by": AMOUNTS})
    draft = drafted(tmp_path)
    contract = contract_of(draft)
    assert (contract.target, contract.source.labels, contract.source.tables) == ("late", "labels", ("orders",))
    assert "says the target" in why_left_out(draft, "copied")
    assert "may come late" in why_left_out(draft, "said_by")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_path_is_no_pattern_when_a_contract_is_drafted(tmp_path: Path, suffix: str) -> None:
    """Of `data1` the engine would say what the columns of `data[1]` hold."""
    write(tmp_path / "data1" / f"2024-01.{suffix}", {**cases(), "amount": [1e6] * len(cases()["case_id"])})
    write(
        tmp_path / "data[1]" / f"2024-01.{suffix}", cases(amount=[5.5 + row for row in range(len(cases()["case_id"]))])
    )
    feature = contract_of(drafted(tmp_path / "data[1]")).features["amount"]
    assert feature.range is not None
    assert feature.range[1] < 1e6
