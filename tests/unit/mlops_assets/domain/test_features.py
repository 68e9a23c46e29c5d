import pytest

from mlops_assets.domain.features import why_kept


@pytest.mark.parametrize(
    ("there", "wanted", "removed", "kept"),
    [
        ("2024-02", "2024-02", False, False),
        ("2024-02", "2024-03", False, False),
        ("2024-02", "2024-01", False, True),
        ("2024-02", "2024-01", True, False),
    ],
)
def test_an_older_window_takes_no_newer_ones_place_unless_that_was_removed(
    there: str, wanted: str, removed: bool, kept: bool
) -> None:
    """Prevents that a late window, or a state folder begun anew, makes the features older."""
    said = why_kept(there=there, wanted=wanted, there_was_taken_out_of_use=removed)
    assert (said is not None) is kept
    assert said is None or "it stays" in said
