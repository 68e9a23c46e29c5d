from pathlib import Path

import pytest

from mlops_assets.adapters.drift_page import PageOfAnotherShape, summary, write_page
from mlops_assets.domain.dataset_tables import Drift
from mlops_assets.domain.drift_columns import ColumnDrift

DRIFTED = ColumnDrift("a", "drifted", "psi", 0.3, 0.1, 3.0, counts_as_drifted=True)
STABLE = ColumnDrift("b", "stable", "psi", 0.01, 0.1, 0.1, counts_as_drifted=False)
SILENT = ColumnDrift("c", "unusable", "psi", counts_as_drifted=True, reason="all null", changed=True)
ODD = ColumnDrift("d", "unusable", "psi", reason="constant: 1 throughout")


def test_the_summary_counts_as_the_loop_does() -> None:
    """Evidently's headline leaves out what it was not given: it said no drift where the loop trained."""
    lines = summary(Drift(drift_share_threshold=0.5), [DRIFTED, STABLE, SILENT, ODD], share=2 / 3, not_enough_data=None)
    assert lines[0] == "drift_share 0.6667 exceeds the threshold 0.5000: 2 of 3 features count as drifted"
    assert lines[1] == (
        "Cannot be judged, and not among Evidently's figures below: c: all null (counts as: drifted); "
        "d: constant: 1 throughout (counts as: left out)"
    )
    assert "mode calibrated" in lines[2]
    assert "drift_share_threshold 0.5" in lines[2]


def test_a_share_of_just_the_threshold_does_not_exceed_it() -> None:
    """As in the decision."""
    lines = summary(Drift(drift_share_threshold=0.5), [DRIFTED, STABLE], share=0.5, not_enough_data=None)
    assert lines[0].startswith("drift_share 0.5000 does not exceed the threshold 0.5000: 1 of 2 ")
    assert len(lines) == 2


def test_too_little_data_has_no_share() -> None:
    """Neither drift nor no drift."""
    lines = summary(Drift(), [], share=None, not_enough_data="5 rows")
    assert lines[0] == "Not enough data: 5 rows"


@pytest.mark.parametrize("evidently", [None, "<html>\n<body>\n<div>theirs</div></body></html>"])
def test_what_is_said_stands_above_evidentlys_page_as_text(tmp_path: Path, evidently: str | None) -> None:
    """Columns are named by whoever made the data."""
    path = tmp_path / "reports" / "page.html"
    write_page(path, ["title", "<img src=x onerror=alert(1)> & Co"], evidently)
    page = path.read_text()
    assert "<img" not in page
    assert "<b>title</b><br>&lt;img src=x onerror=alert(1)&gt; &amp; Co</div>" in page
    assert page.count("<body>") == 1
    if evidently is not None:
        assert page.index("title") < page.index("theirs")


def test_a_page_without_a_place_for_it_is_an_error(tmp_path: Path) -> None:
    """A new version of Evidently may draw it otherwise; nothing is written then."""
    with pytest.raises(PageOfAnotherShape):
        write_page(tmp_path / "page.html", ["title"], "<html></html>")
    assert list(tmp_path.iterdir()) == []
