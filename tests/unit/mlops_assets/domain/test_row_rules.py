from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.row_rules import row_rules
from tests.unit.mlops_assets.small_windows import small_contract, small_dataset


def test_every_row_rule_gives_a_reason_of_its_own() -> None:
    """Two rules with one reason could not be told apart in the quarantine."""
    reasons = [rule.reason for rule in row_rules(small_dataset())]
    assert reasons == [
        "case_id: missing",
        "case_id: not unique",
        "customer: missing",
        "late: not true or false",
        "late: contradictory labels",
        "amount: missing",
        "amount: not a number",
        "amount: not finite",
        "amount: out of range",
        "visits: missing",
        "visits: not a number",
        "visits: not finite",
        "visits: not a whole number",
        "visits: out of range",
        "age: not a number",
        "age: not finite",
        "colour: missing",
        "colour: unknown category",
        "plan: unknown category",
    ]


def full_dataset() -> Dataset:
    """A contract with everything that a row can be asked for."""
    features = {**small_contract()["features"], "member": {"type": "boolean"}}  # type: ignore[dict-item]
    return small_dataset(
        features=features,
        entity_key="machine",
        event_time="at",
        target_values=["stayed", "left"],
        source={"tables": ["a", "b", "c"], "key": "case_id"},
    )


def test_roles_and_joined_tables_bring_rules_of_their_own() -> None:
    """And each says the column or table that it is about."""
    reasons = [rule.reason for rule in row_rules(full_dataset())]
    assert len(set(reasons)) == len(reasons)
    plain = {rule.reason for rule in row_rules(small_dataset())}
    assert [reason for reason in reasons if reason not in plain] == [
        "b: several rows for one case_id",
        "c: several rows for one case_id",
        "machine: missing",
        "at: not a time",
        "at: missing",
        "late: not stayed or left",
        "member: missing",
        "member: not true or false",
    ]
