import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.gate import CHECKS
from mlops_assets.domain.model_card import FEATURES, model_card, summary
from tests.unit.mlops_assets.small_evidence import CASE, SEGMENT, small_evidence
from tests.unit.mlops_assets.small_windows import small_contract, small_dataset

IMPORTANCE = {"visits": 0.2, "amount": 0.1}
CARD = model_card(small_dataset(description="Who is late?"), small_evidence(), IMPORTANCE)


def tables(card: str) -> list[list[list[str]]]:
    """The card's tables, as rows of cells."""
    found: list[list[list[str]]] = []
    for before, line in zip(["", *card.splitlines()], card.splitlines(), strict=False):
        if line.startswith("|"):
            if not before.startswith("|"):
                found.append([])
            found[-1].append([cell.strip() for cell in re.sub(r"\\.", "", line).split("|")[1:-1]])
    return found


def test_a_card_says_what_an_auditor_asks() -> None:
    """What for, from what, how good beside what, by which rules, and how to make it again."""
    for said in (
        "# small, version 2",
        "Who is late?",
        "2013-01 (abb), 2013-02 (abc); 300 rows",
        "100 rows of 2013-02 (abc)",
        "| production then, version 1 | 0.7000 |",
        "`mlops reproduce 2`",
        "Dagster run run",
        "| shop = north | 60 | 0.0200 | -0.0100 | yes |",
        "| a good visit | 0.7000 | at least 0.5 | yes |",
        "| age | float | null |",
    ):
        assert said in CARD
    for name, check in CHECKS.items():
        assert name.replace("_", "\\_") in CARD
        assert check(small_evidence()).passed


def test_features_are_ranked_by_what_they_matter() -> None:
    """A reader looks at the first ones."""
    features = [row[0] for row in tables(CARD)[-1][2:]]
    assert features[:2] == ["visits", "amount"]
    assert set(features) == set(small_dataset().features)


def test_a_refused_candidate_has_a_card_too() -> None:
    """It says why."""
    card = model_card(small_dataset(), small_evidence(candidate_auc=0.7), IMPORTANCE)
    assert r"| candidate\_beats\_production | failed | candidate AUC 0.7000 is not greater than" in card


def test_a_first_model_has_a_card_without_a_comparison() -> None:
    """Nothing is said of a production that was not there."""
    first = small_evidence(production_auc=None, gain=None, segments=(), known_cases=())
    card = model_card(small_dataset(), first, {})
    assert "production then" not in card
    assert "## Segments" not in card
    assert "## Known cases" not in card


ODD = st.text(max_size=12) | st.sampled_from(["a|b", "a\nb", "`x`", "<script>", "[x](y)", "\\|", "![](data:)", "| |"])


@given(text=ODD, named=ODD)
def test_texts_of_users_stay_in_their_cells(text: str, named: str) -> None:
    """A card is shown in MLflow's and Dagster's pages."""
    contract = small_contract()
    contract["description"] = text
    features = dict(contract["features"])  # type: ignore[call-overload]
    features["amount"] = {"type": "float", "description": text}
    dataset = Dataset.model_validate({**contract, "features": features})
    seen = small_evidence(
        segments=(SEGMENT.model_copy(update={"value": named}),), known_cases=(CASE.model_copy(update={"name": named}),)
    )
    card = model_card(dataset, seen, IMPORTANCE)
    assert [len(table) for table in tables(card)] == [len(table) for table in tables(CARD)]
    for table in tables(card):
        assert len({len(row) for row in table}) == 1
    assert "<" not in card
    assert not re.search(r"(?<!\\)\]\(", card), "no link of theirs"


@pytest.mark.parametrize("longest", [100, 500, 10_000])
def test_a_summary_fits_its_place_and_ends_with_a_whole_line(longest: int) -> None:
    """MLflow's column refuses what is longer."""
    short = summary(CARD, longest=longest)
    assert len(short) <= longest
    assert CARD.startswith(short)
    assert CARD[len(short)] == "\n"
    assert FEATURES not in short
