from dataclasses import asdict
from io import StringIO
from pathlib import Path

from rich.console import Console

from mlops_assets.adapters.landing.requeue import Requeue
from mlops_assets.cli.history import WindowHistory
from mlops_assets.cli.status import _landing, status_view
from mlops_assets.config import Settings


def test_brackets_in_names_are_shown_as_they_are() -> None:
    """A file is called as its owner likes, which is no markup."""
    status = {
        "windows": [],
        "waiting": {},
        "source_fault": "no [/such] bucket",
        "ignored": ["a[/b].txt", "notes [old].txt"],
        "production": {"model_version": 1, "epoch": 1, "at": "now", "reason": "better at [/night]"},
        "hold": "on hold [/now]",
        "approval": None,
        "service": {"error": "down [/here]", "ready": False},
        "candidates": [],
    }
    output = StringIO()
    Console(file=output, width=120).print(status_view(status))
    for said in (
        "a[/b].txt: ignored",
        "notes [old].txt",
        "no [/such] bucket",
        "at [/night]",
        "down [/here]",
        "hold [/now]",
    ):
        assert said in output.getvalue()


def test_a_feature_that_went_silent_is_told() -> None:
    """The share may not have exceeded the threshold, and nothing else in the table would say so."""
    window = asdict(
        WindowHistory("2013-05", drift_share=0.06, silent_features=("temp: all null in the current window",))
    )
    status = {
        "windows": [window, asdict(WindowHistory("2013-06"))],
        "waiting": {},
        "source_fault": None,
        "ignored": [],
        "production": None,
        "hold": None,
        "approval": "version 3 waits for approval",
        "service": {"error": "down", "ready": False},
        "candidates": [],
    }
    output = StringIO()
    Console(file=output, width=120).print(status_view(status))
    assert "2013-05: went silent: temp: all null in the current window" in output.getvalue()
    assert output.getvalue().count("went silent") == 1
    assert "version 3 waits for approval" in output.getvalue()


def test_a_wish_for_a_window_that_landed_no_more_waits_for_all_to_see(tmp_path: Path) -> None:
    """Else it is kept for ever, and nothing says why nothing happens."""
    settings = Settings(home=tmp_path)
    settings.landing.mkdir()
    (settings.landing / "2013-01.csv").write_text("id\n")
    for window in ("2013-01", "2013-02"):
        Requeue(settings.requeued).ask(window)
    assert _landing(settings)["waiting"] == {"2013-02": "the window itself: it was requeued, and is not there"}


def test_a_default_landing_that_is_empty_has_no_fault(tmp_path: Path) -> None:
    """As `mlops up` makes it."""
    settings = Settings(home=tmp_path)
    settings.landing.mkdir()
    assert _landing(settings) == {"ignored": [], "waiting": {}, "source_fault": None}
