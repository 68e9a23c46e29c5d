import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import Connection

from mlops_assets.adapters import ledger as ledger_module
from mlops_assets.adapters.ledger import Hold, Ledger, ProductionMoved, Promotion, PromotionHeld
from tests.unit.mlops_assets.small_bundles import request_for

SHA = "0" * 64


@pytest.fixture
def new_url(tmp_path: Path) -> Callable[[], str]:
    """Says at each call where a ledger can be that is not there yet."""
    numbers = count()
    return lambda: f"sqlite:///{tmp_path / f'{next(numbers)}.db'}"


@pytest.fixture
def url(new_url: Callable[[], str]) -> str:
    """A database that is not there yet."""
    return new_url()


@pytest.fixture
def ledger(url: str) -> Ledger:
    """An empty ledger."""
    return Ledger(url)


def promote(ledger: Ledger, version: int) -> Promotion:
    """Takes a version from the intent to the outcome."""
    now = ledger.production()
    promotion = ledger.intend(request_for(version, SHA, expected_epoch=now.epoch if now else None))
    ledger.conclude(promotion.epoch, "done")
    return promotion


def test_an_empty_ledger_knows_no_production(ledger: Ledger) -> None:
    """Before the first promotion there is none, and nothing is open."""
    assert ledger.production() is None
    assert ledger.unfinished() == []
    assert ledger.history() == []


def test_epochs_grow_by_one(ledger: Ledger) -> None:
    """The service and the evidence name a promotion by its epoch; a roll back is one more."""
    assert [promote(ledger, version).epoch for version in (1, 2, 3, 2)] == [1, 2, 3, 4]
    production = ledger.production()
    assert production is not None
    assert (production.epoch, production.model_version) == (4, 2)


def test_what_was_asked_is_what_is_written(ledger: Ledger, url: str) -> None:
    """Who, why and on which evidence must survive a restart."""
    asked = request_for(7, SHA)
    promotion = ledger.intend(asked)
    ledger.conclude(promotion.epoch, "done")
    read = Ledger(url).production()
    assert read == promotion
    assert vars(asked).items() <= vars(promotion).items()
    assert promotion.at.endswith("+00:00")


@pytest.mark.parametrize("expected", [None, 1, 3])
def test_a_request_that_expects_another_production_writes_nothing(ledger: Ledger, expected: int | None) -> None:
    """Its evidence was gathered against a model that no longer is production, or never was."""
    promote(ledger, 1)
    promote(ledger, 2)
    before = ledger.history()
    with pytest.raises(ProductionMoved, match="production is of epoch 2"):
        ledger.intend(request_for(3, SHA, expected_epoch=expected))
    assert ledger.history() == before


def test_a_first_request_that_expects_a_production_writes_nothing(ledger: Ledger) -> None:
    """The same where there is none."""
    with pytest.raises(ProductionMoved, match="of epoch 1, but production is of epoch none"):
        ledger.intend(request_for(1, SHA, expected_epoch=1))
    assert ledger.history() == []


def test_while_a_promotion_is_open_no_other_begins(ledger: Ledger) -> None:
    """Both would replace the same production, and the second would undo the first without having seen it."""
    first = ledger.intend(request_for(1, SHA))
    with pytest.raises(ProductionMoved, match="promotion of epoch 1 is not finished"):
        ledger.intend(request_for(2, SHA))
    assert ledger.unfinished() == [first]
    ledger.conclude(first.epoch, "void")
    assert ledger.intend(request_for(2, SHA)).epoch == 2


def test_a_void_promotion_changes_no_production_and_keeps_its_epoch(ledger: Ledger) -> None:
    """An epoch that was used once must never name another promotion."""
    promote(ledger, 1)
    void = ledger.intend(request_for(2, SHA, expected_epoch=1))
    ledger.conclude(void.epoch, "void")
    production = ledger.production()
    assert production is not None
    assert production.epoch == 1
    assert ledger.unfinished() == []
    assert promote(ledger, 3).epoch == 3


@pytest.mark.parametrize("outcomes", [("done", "void"), ("void", "done")])
def test_the_first_outcome_stays(ledger: Ledger, outcomes: tuple[str, str]) -> None:
    """A repeated step after a crash must not turn a promotion into its opposite."""
    promotion = ledger.intend(request_for(1, SHA))
    for outcome in outcomes:
        ledger.conclude(promotion.epoch, outcome)  # type: ignore[arg-type]
    assert ledger.history() == [(promotion, outcomes[0])]


def test_the_history_is_complete_and_newest_first(ledger: Ledger) -> None:
    """Open ones too: they are what a crash left."""
    promote(ledger, 1)
    void = ledger.intend(request_for(2, SHA, expected_epoch=1))
    ledger.conclude(void.epoch, "void")
    ledger.intend(request_for(3, SHA, expected_epoch=1))
    history = [(promotion.epoch, promotion.model_version, outcome) for promotion, outcome in ledger.history()]
    assert history == [(3, 3, "open"), (2, 2, "void"), (1, 1, "done")]


def test_of_two_threads_exactly_one_wins(new_url: Callable[[], str]) -> None:
    """Both saw the same production; without the epoch's uniqueness both would replace it."""
    for _ in range(10):
        url = new_url()
        Ledger(url)
        together = Barrier(4)

        def race(version: int, url: str = url, together: Barrier = together) -> int | None:
            ledger = Ledger(url)
            together.wait()
            try:
                return ledger.intend(request_for(version, SHA)).epoch
            except ProductionMoved:
                return None

        with ThreadPoolExecutor(4) as threads:
            epochs = list(threads.map(race, range(1, 5)))
        assert sorted(epochs, key=str) == [1, None, None, None]
        assert [promotion.epoch for promotion, _ in Ledger(url).history()] == [1]


RACER = """
import sys, time
from mlops_assets.adapters.ledger import Ledger, ProductionMoved
from tests.unit.mlops_assets.small_bundles import request_for
while time.time() < float(sys.argv[2]): pass
try:
    print(Ledger(sys.argv[1]).intend(request_for(1, "0" * 64)).epoch)
except ProductionMoved:
    print("moved")
"""


def test_of_two_processes_on_a_new_database_exactly_one_wins(url: str) -> None:
    """They make the tables at the same time, too: the first start of the loop has several processes."""
    import time

    start = str(time.time() + 2)
    racers = [
        subprocess.Popen([sys.executable, "-c", RACER, url, start], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [racer.communicate(timeout=60) for racer in racers]
    assert sorted(out.decode().strip() for out, _ in said) == ["1", "moved"], said


def test_many_openings_of_a_new_database_do_not_collide(new_url: Callable[[], str]) -> None:
    """Making a table that another has made meanwhile must not fail a start."""
    for _ in range(5):
        url = new_url()
        together = Barrier(4)

        def opened(_: int, url: str = url, together: Barrier = together) -> Ledger:
            together.wait()
            return Ledger(url)

        with ThreadPoolExecutor(4) as threads:
            for ledger in threads.map(opened, range(4)):
                assert ledger.history() == []


def test_a_promotion_that_begins_while_another_is_being_taken_waits_and_loses(
    ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read of production holds until the intent is written."""
    other, look = Ledger(url), ledger_module._production
    begun: list[Future[Promotion]] = []

    def look_before_another_promotes(connection: Connection) -> Promotion | None:
        seen = look(connection)
        monkeypatch.setattr(ledger_module, "_production", look)
        begun.append(people.submit(other.intend, request_for(9, SHA)))
        wait(begun, timeout=0.5)
        return seen

    monkeypatch.setattr(ledger_module, "_production", look_before_another_promotes)
    with ThreadPoolExecutor(1) as people:
        ledger.intend(request_for(1, SHA))
        with pytest.raises(ProductionMoved, match="epoch 1 is not finished"):
            begun[0].result()
    assert [(promotion.epoch, promotion.model_version) for promotion, _ in ledger.history()] == [(1, 1)]


def test_a_hold_keeps_the_loop_from_promoting_until_it_is_lifted(ledger: Ledger) -> None:
    """Someone looks into an incident; the next good candidate must not move production under their hands."""
    promote(ledger, 1)
    ledger.set_hold(is_on=True, actor="ann", reason="incident 7")
    hold = ledger.hold()
    assert hold is not None
    assert (hold.actor, hold.reason) == ("ann", "incident 7")
    before = ledger.history()
    with pytest.raises(PromotionHeld, match="by ann: incident 7; `mlops hold off` lifts it"):
        promote(ledger, 2)
    assert ledger.history() == before
    ledger.set_hold(is_on=False, actor="bob", reason="solved")
    assert ledger.hold() is None
    assert promote(ledger, 2).epoch == 2


def test_once_a_hold_is_set_no_promotion_begins(ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sets it is told so, looks, and sees all that still moves; not one more a moment later."""
    other, look = Ledger(url), ledger_module._hold
    holding: list[Future[list[tuple[Promotion, str]]]] = []

    def hold_and_look() -> list[tuple[Promotion, str]]:
        other.set_hold(is_on=True, actor="ann", reason="incident 7")
        return other.history()

    def look_before_someone_holds(connection: Connection) -> Hold | None:
        seen = look(connection)
        holding.append(people.submit(hold_and_look))
        wait(holding, timeout=0.5)
        return seen

    monkeypatch.setattr(ledger_module, "_hold", look_before_someone_holds)
    with ThreadPoolExecutor(1) as people:
        ledger.intend(request_for(1, SHA))
        assert holding[0].result() == ledger.history()
    assert len(ledger.history()) == 1


def test_going_back_asks_for_no_hold_and_puts_one(ledger: Ledger) -> None:
    """In the same transaction: a crash after it must not leave the loop free to promote over it."""
    promote(ledger, 1)
    promote(ledger, 2)
    back = ledger.intend(request_for(1, SHA, expected_epoch=2), rolls_back=True)
    hold = ledger.hold()
    assert hold is not None
    assert hold.reason == "rolled back: version 1 is better"
    ledger.conclude(back.epoch, "done")
    again = ledger.intend(request_for(2, SHA, expected_epoch=3), rolls_back=True)
    assert again.epoch == 4


def test_a_refused_way_back_puts_no_hold(ledger: Ledger) -> None:
    """Nothing half done stays."""
    promote(ledger, 1)
    with pytest.raises(ProductionMoved):
        ledger.intend(request_for(1, SHA, expected_epoch=7), rolls_back=True)
    assert ledger.hold() is None


def test_what_was_production_at_a_time_is_known(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer of last month is traced to its model; from the outcome on, for an intent serves nothing."""
    start = datetime(2026, 3, 1, 12, tzinfo=UTC)
    minutes = iter(range(100))
    monkeypatch.setattr(
        ledger_module, "_now", lambda: (start + timedelta(minutes=next(minutes))).isoformat(timespec="seconds")
    )
    for version in (1, 2, 1):  # intents at minutes 0, 2 and 4, outcomes at 1, 3 and 5
        promote(ledger, version)

    def at(minute: float) -> int | None:
        found = ledger.production_at(start + timedelta(minutes=minute))
        return found[0].epoch if found else None

    assert [at(minute) for minute in (-60, 0, 0.5, 1, 2.9, 3, 4.5, 5, 10_000)] == [
        None, None, None, 1, 1, 2, 2, 3, 3,
    ]  # fmt: skip
    elsewhere = (start + timedelta(minutes=3)).astimezone(timezone(timedelta(hours=5)))
    found = ledger.production_at(elsewhere)
    assert found is not None
    promotion, since = found
    assert promotion.epoch == 2
    assert since == (start + timedelta(minutes=3)).isoformat(timespec="seconds"), "from the outcome on"


def test_evidence_is_kept_as_it_was_written(ledger: Ledger, url: str) -> None:
    """By its hash; another record under the same hash does not replace it."""
    assert ledger.evidence(SHA) is None
    ledger.keep_evidence(SHA, '{"auc": 0.1}')
    ledger.keep_evidence(SHA, '{"auc": 0.9}')
    assert Ledger(url).evidence(SHA) == '{"auc": 0.1}'
    assert ledger.evidence("1" * 64) is None
