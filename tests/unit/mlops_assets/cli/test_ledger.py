import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from mlops_assets.adapters.ledger import Ledger
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.ledger import read_ledger, served_at, set_hold, show_ledger
from mlops_assets.cli.main import app
from mlops_assets.cli.state import leave_mark
from mlops_assets.config import Settings
from tests.unit.mlops_assets.small_bundles import request_for


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A state folder in which versions 1 and 2 were promoted, and a third is not through."""
    settings = Settings(home=tmp_path / "home")
    leave_mark(settings)
    monkeypatch.setenv("MLOPS_HOME", str(settings.home))
    ledger = Ledger(settings.ledger_url)
    for version, expected in ((1, None), (2, 1)):
        ledger.conclude(ledger.intend(request_for(version, "a" * 64, expected_epoch=expected)).epoch, "done")
    ledger.intend(request_for(3, "a" * 64, expected_epoch=2))
    return settings


def shown(settings: Settings) -> str:
    """What `mlops ledger` prints, with runs of blanks as one."""
    console = Console(width=120, markup=False)
    with console.capture() as captured:
        show_ledger(read_ledger(settings), console)
    return " ".join(captured.get().split())


def test_the_ledger_says_who_what_when_why_and_on_which_evidence(settings: Settings) -> None:
    """An auditor asks for all of it, the newest first."""
    told = shown(settings)
    places = [
        told.index(f"epoch {epoch}: version {epoch}, {said}") for epoch, said in ((3, "open"), (2, "done"), (1, "done"))
    ]
    assert places == sorted(places)
    assert "by test, evidence eeeeeeeeeeee version 2 is better" in told
    assert "hold" not in told
    read = json.loads(CliRunner().invoke(app, ["ledger", "--json"]).stdout)
    assert [promotion["epoch"] for promotion in read["promotions"]] == [3, 2, 1]
    assert read["promotions"][0]["evidence_sha256"] == "e" * 64


def test_a_hold_is_put_shown_and_lifted(settings: Settings) -> None:
    """By the commands, with the names of who did it."""
    put = CliRunner().invoke(app, ["hold", "on", "--reason", "incident [/7]", "--by", "ann"])
    assert put.exit_code == 0
    assert "by ann: incident [/7]; `mlops hold off` lifts it" in put.stdout
    assert "by ann: incident [/7]" in shown(settings)
    assert CliRunner().invoke(app, ["hold", "off"]).stdout == "the loop promotes again\n"
    assert read_ledger(settings)["hold"] is None
    with pytest.raises(UserError, match="are not on hold"):
        set_hold(settings, is_on=False, reason="again", by=None)


def test_going_back_needs_a_reason_and_stopping_does_not(settings: Settings) -> None:
    """The one is what an auditor reads, the other what someone types at three in the morning."""
    assert CliRunner().invoke(app, ["rollback"]).exit_code == 2
    assert CliRunner().invoke(app, ["hold", "on"]).exit_code == 0
    assert read_ledger(settings)["hold"]["reason"] == "no reason given"


def test_the_evidence_of_a_promotion_is_printed_with_it(settings: Settings) -> None:
    """As it was kept; one that was promoted by an earlier version has none."""
    assert {promotion["evidence"] for promotion in read_ledger(settings)["promotions"]} == {None}
    Ledger(settings.ledger_url).keep_evidence("e" * 64, '{"window": "2013-01"}')
    assert read_ledger(settings)["promotions"][0]["evidence"] == {"window": "2013-01"}


def test_what_was_served_at_a_time_is_told(settings: Settings) -> None:
    """With the zone, or in UTC."""
    assert served_at(settings, "2001-01-01T00:00:00") == "at 2001-01-01T00:00:00+00:00 nothing was in production"
    now = datetime.now(timezone(timedelta(hours=5))).isoformat(timespec="seconds")
    assert served_at(settings, now).startswith(f"at {now} version 2 was in production, epoch 2, since ")
    with pytest.raises(UserError, match="2999-01-01T00:00:00\\+05:00 is yet to come"):
        served_at(settings, "2999-01-01T00:00:00+05:00")
    with pytest.raises(UserError, match="'yesterday' is no time"):
        served_at(settings, "yesterday")


def test_without_a_loop_there_is_no_ledger(tmp_path: Path) -> None:
    """A wrong MLOPS_HOME must not make an empty one."""
    with pytest.raises(UserError, match="there is no loop in"):
        read_ledger(Settings(home=tmp_path))
    assert list(tmp_path.iterdir()) == []
