"""Promotions whose process is killed, on a real MLflow. Prevents what an exception cannot show.

SIGKILL runs no `finally` and no rollback, and leaves locks, transactions and files as they are.
"""

import fcntl
import multiprocessing
import shutil
import signal
from collections.abc import Callable
from contextlib import nullcontext
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from time import monotonic

import msgspec
import pytest

from mlops_assets.adapters.ledger import PromotionHeld
from serving import slot
from serving.release import read_pointer
from tests.integration.dying_promoter import State, promote, reconcile, roll_back
from tests.unit.serving.bundles import ROW, probability

pytestmark = pytest.mark.integration

MOMENTS = (
    *("before intend", "after intend", "before download", "after download"),
    *("before publish", "before rename", "after rename", "after publish"),
    *("before move", "before tag", "after tag", "after move"),
    *("before point", "before replace", "after replace", "after point", "before conclude", "after conclude"),
)
WITHIN_INTEND = ("before hold", "after hold")
POINTED = MOMENTS[MOMENTS.index("after replace") :]
KILLS_FROM_OUTSIDE = 20

# It forks each process from one that has imported everything, MLflow's own late imports too: 0.2 s for each, not 2 s.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(
    ["pytest", "tests.integration.dying_promoter", "mlflow.store.tracking.sqlalchemy_store"]
)

Work = Callable[[Path, str | None], None]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Path:
    """Version 1 is production; 2 and 3 are registered."""
    folder = tmp_path_factory.mktemp("prepared")
    shutil.copyfile(empty_mlflow, folder / "mlflow.db")
    state = State(folder)
    for version in (1, 2, 3):
        state.register(version)
    state.promoter.promote(state.request(1))
    return folder


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Path:
    """A state folder of the test's own."""
    return Path(shutil.copytree(prepared, tmp_path / "state"))


@pytest.fixture
def folder_to_go_back(folder: Path) -> Path:
    """Version 2 is production; the bundle of version 1 is gone, so that the way back downloads and publishes too."""
    state = State(folder)
    state.promoter.promote(state.request(2))
    shutil.rmtree(state.releases / "1")
    return folder


@pytest.fixture(scope="module")
def seconds(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long a process takes that nobody kills; the second one, for the first waits for what it is forked from."""
    for _ in range(2):
        process = started(promote, Path(shutil.copytree(prepared, tmp_path_factory.mktemp("whole") / "state")))
        since = monotonic()
        process.join(60)
        assert process.exitcode == 0
    return monotonic() - since


def started(work: Work, folder: Path, moment: str | None = None) -> ForkServerProcess:
    """A process at work, which kills itself at a moment if one is named."""
    process = processes.Process(target=work, args=(folder, moment), daemon=True)
    process.start()
    return process


def kill_at(work: Work, folder: Path, moment: str) -> None:
    """Lets a process work until it kills itself."""
    process = started(work, folder, moment)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


def kill_after(work: Work, folder: Path, seconds: float) -> None:
    """Kills a process at work from outside; it may have ended by then."""
    process = started(work, folder)
    process.join(seconds)
    process.kill()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)


def served(folder: Path) -> int:
    """The version that the service answers with, whenever it starts: loaded and asked as it does."""
    pointer = read_pointer(folder / "releases")
    assert pointer is not None
    answers = slot.load(folder / "releases", pointer).predict(msgspec.json.encode([ROW]))
    assert answers == pytest.approx([probability(ROW, pointer.model_version)], abs=1e-6)
    return pointer.model_version


def assert_free(folder: Path) -> None:
    """The dead hold no lock."""
    with (folder / "releases" / ".promotion.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def assert_one_story(state: State, version: int) -> None:
    """Ledger, alias, status tags, pointer and service say the same, and nothing is open."""
    production, pointer = state.ledger.production(), read_pointer(state.releases)
    assert production is not None
    assert pointer is not None
    assert (production.model_version, state.registry.production_version(), served(state.folder)) == (version,) * 3
    assert (pointer.epoch, pointer.manifest_sha256) == (production.epoch, production.manifest_sha256)
    assert [of.version for of in state.registry.versions() if of.status == "production"] == [version]
    assert state.ledger.unfinished() == []
    epochs = [promotion.epoch for promotion, _ in state.ledger.history()]
    assert epochs == list(range(len(epochs), 0, -1))


def assert_the_next_start_finishes(folder: Path, version: int) -> State:
    """And the next promotion goes its way."""
    assert_free(folder)
    state = State(folder)
    state.promoter.reconcile()
    assert_one_story(state, version)
    assert state.promoter.reconcile() == []
    return state


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_promotion_leaves_a_service_that_answers_and_is_finished(folder: Path, moment: str) -> None:
    """With the older version or the newer one, wherever it happened; the next promotion finds its way free."""
    kill_at(promote, folder, moment)
    assert served(folder) == (2 if moment in POINTED else 1)
    state = assert_the_next_start_finishes(folder, 1 if moment == "before intend" else 2)
    state.promoter.promote(state.request(3))
    assert_one_story(state, 3)


@pytest.mark.parametrize("moment", MOMENTS[MOMENTS.index("before download") :])
def test_a_kill_while_finishing_is_finished_too(folder: Path, moment: str) -> None:
    """A machine that goes down again while it starts."""
    kill_at(promote, folder, "after intend")
    kill_at(reconcile, folder, moment)
    assert served(folder) == (2 if moment in POINTED else 1)
    assert_the_next_start_finishes(folder, 2)


@pytest.mark.parametrize("moment", [*MOMENTS, *WITHIN_INTEND])
def test_a_killed_roll_back_is_finished_with_its_hold_or_never_began(folder_to_go_back: Path, moment: str) -> None:
    """Without the hold the loop would promote over it what a person has just gone back from."""
    folder = folder_to_go_back
    kill_at(roll_back, folder, moment)
    began = moment not in ("before intend", *WITHIN_INTEND)
    assert served(folder) == (1 if moment in POINTED else 2)
    ledger = State(folder).ledger
    assert (len(ledger.history()) == 3, ledger.hold() is not None) == (began, began)
    state = assert_the_next_start_finishes(folder, 1 if began else 2)
    with pytest.raises(PromotionHeld) if began else nullcontext():
        state.promoter.promote(state.request(3))
    assert_one_story(state, 1 if began else 3)


@pytest.mark.parametrize("number", range(KILLS_FROM_OUTSIDE))
def test_a_kill_from_outside_at_any_moment_is_finished(folder: Path, seconds: float, number: int) -> None:
    """Between any two instructions, and again while finishing: what no list of steps thinks of."""
    # Spread over the time that it takes, and a quarter more: on a busy machine a process is late.
    moment = 1.25 * seconds * number / KILLS_FROM_OUTSIDE
    kill_after(promote, folder, moment)
    assert served(folder) in (1, 2)
    kill_after(reconcile, folder, moment)
    assert served(folder) in (1, 2)
    newest, _ = State(folder).ledger.history()[0]
    assert_the_next_start_finishes(folder, newest.model_version)
