"""A good window, spoilt in every way we know of: each ends as the table says, and the next good window flows."""

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from mlops_assets.adapters.landing.folder import FolderLanding
from mlops_assets.adapters.landing.landed_window import SourceDown
from mlops_assets.adapters.window_records import CURRENT, DataWindow
from mlops_assets.adapters.window_store import CLEAN, QUARANTINED, WindowStore
from mlops_assets.checks.windows import row_results, window_results
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.domain.landing import SETTLED_SECONDS, next_to_take
from mlops_assets.domain.windows import WindowNameInvalid, WindowUnfit
from tests.integration import mutations
from tests.integration.conftest import Loop, new_loop
from tests.integration.mutations import (
    CONTRACT,
    CUTS,
    MUTATIONS,
    Fit,
    Ignored,
    Land,
    Mutation,
    Quarantined,
    Rows,
    Waits,
    bomb,
    cut_csv,
    cut_csv_at_a_line,
    cut_parquet,
    land_good,
)

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def shared_loop(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Iterator[Loop]:
    """One loop that sees all of the table: so a mutation that spoils it for others is noticed, too."""
    folder = tmp_path_factory.mktemp("mutations")
    contract = folder / "small.toml"
    contract.write_text(CONTRACT)
    with new_loop(folder, empty_mlflow, contract=contract) as loop:
        yield loop


@pytest.fixture
def mutated(shared_loop: Loop) -> Loop:
    """The loop, with nothing in its landing folder."""
    shutil.rmtree(shared_loop.settings.landing)
    shared_loop.settings.landing.mkdir()
    return shared_loop


@pytest.mark.parametrize(
    ("window", "mutation"),
    [pytest.param(f"2024-{at:03}", mutation, id=mutation.name) for at, mutation in enumerate(MUTATIONS)],
)
def test_a_mutation_ends_as_the_table_says_and_the_next_good_window_flows(
    mutated: Loop, window: str, mutation: Mutation
) -> None:
    """Prevents a bad file from being taken for a good one, from stopping the loop, and from going lost."""
    settings, store = mutated.settings, store_of(mutated)
    if mutation.earlier is not None:
        assert mutated.ingest(mutation.earlier(settings.landing, window)).success
    mutation.land(settings.landing, window)
    landed, used, before = seen(settings.landing), used_versions(store), store.current(window)

    if isinstance(mutation.outcome, Waits | Ignored):
        demand_not_taken(landing_of(mutated), window, mutation.outcome)
    else:
        assert would_take(landing_of(mutated)) == window
        result = mutated.ingest(window)
        assert result.success, "a bad window is no broken system"
        demand_outcome(result, store, window, mutation.outcome, before)
        if before is not None:
            assert stored_rows(store, before) == before.counts.rows, "the version before is kept"

    assert seen(settings.landing) == landed, "what landed stays as it is"
    assert nothing_half_done(mutated)
    assert mutated.served_version() is None
    now_used = used_versions(store)
    assert {name: now_used[name] for name in used if name != window} == {
        name: used[name] for name in used if name != window
    }, "other windows stay as they are"
    demand_good_window_is_taken(landing_of(mutated), store, f"{window}-next")


@pytest.mark.parametrize("at", CUTS)
@pytest.mark.parametrize(
    ("cut", "says"),
    [
        (cut_parquet, "cannot be read as Parquet"),
        (cut_csv, "does not end with a line end"),
        (cut_csv_at_a_line, "has the SHA-256"),
    ],
    ids=["Parquet", "CSV in a line", "CSV at a line end, with its checksum"],
)
def test_a_file_cut_off_anywhere_is_never_taken_for_a_whole_one(
    tmp_path: Path, cut: Callable[[Path, str, int], None], at: int, says: str
) -> None:
    """Prevents a window with half of its rows from looking like a small month."""
    landing, store = apart(tmp_path)
    cut(landing.folder, "2024-01", at)
    landed = seen(landing.folder)
    fault = fault_of(landing, store, "2024-01")

    assert fault
    assert says in fault or (at == 0 and "is empty" in fault)
    assert seen(landing.folder) == landed
    assert store.current("2024-01") is None
    demand_good_window_is_taken(landing, store, "2024-02")


@pytest.mark.parametrize("cut", [cut_parquet, cut_csv], ids=["Parquet", "CSV"])
def test_a_file_that_is_still_being_written_is_not_taken_up(
    tmp_path: Path, cut: Callable[[Path, str, int], None]
) -> None:
    """Prevents half a file from costing a run and a red check, only for its writer being slow."""
    landing, _ = apart(tmp_path)
    cut(landing.folder, "2024-01", 10)
    now = time.time()
    assert next_to_take(landing.landed(now=now), {}) is None
    assert next_to_take(landing.landed(now=now + SETTLED_SECONDS + 1), {}) is not None


def test_a_cut_file_goes_through_the_graph_as_any_bad_window(mutated: Loop) -> None:
    """Prevents the cuts above, which leave the graph out, from hiding a crash in it."""
    cut_csv_at_a_line(mutated.settings.landing, "2026-01", 10)
    result = mutated.ingest("2026-01")
    assert result.success
    demand_outcome(result, store_of(mutated), "2026-01", Quarantined("has the SHA-256"), None)
    demand_good_window_flows(mutated, "2026-02")


@pytest.mark.parametrize(
    ("land", "says"),
    [
        (bomb(column="shop"), "has a row group that unpacks to 2,"),
        (bomb(column="colour"), "None"),
        (bomb(column="shop", group_bytes=64_000_000), "has a column with values of 1,0"),
        (bomb(column="shop", dictionary=True), "rows break the contract"),
    ],
    ids=["one row group", "one row group, extra column", "many row groups", "one text that all rows refer to"],
)
def test_a_decompression_bomb_is_answered_in_bounded_memory(tmp_path: Path, land: Land, says: str) -> None:
    """Prevents a file of some MB from taking the machine's memory, and with it the service's."""
    landing, store = apart(tmp_path)
    land(landing.folder, "2024-01")
    assert (landing.folder / "2024-01.parquet").stat().st_size < 5_000_000
    done = subprocess.run(
        [sys.executable, "-c", TAKE, str(tmp_path)], capture_output=True, text=True, timeout=120, check=True
    )
    told = json.loads(done.stdout)

    assert told["peak_mb"] < 1500
    assert says in str(told["fault"])
    demand_good_window_is_taken(landing, store, "2024-02")


TAKE = f"""
import json, sys
from pathlib import Path
from {__name__} import apart, fault_of
landing, store = apart(Path(sys.argv[1]))
fault = fault_of(landing, store, "2024-01")
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(json.dumps({{"fault": fault, "peak_mb": int(status["VmHWM"].split()[0]) / 1000}}))
"""
"""A process of its own, for its peak of memory; the kernel counts that anew after an exec, unlike `ru_maxrss`."""


@pytest.mark.parametrize("name", ["../evil", "a/b", "..", "", ".hidden", "a\nb", "a\0b", "a" * 300, "a.b", "é"])
def test_nothing_lands_under_a_name_that_is_no_windows(tmp_path: Path, name: str) -> None:
    """Prevents a name from becoming a path: S17."""
    landing, _ = apart(tmp_path)
    land_good(tmp_path, "good")
    before = seen(tmp_path)
    with pytest.raises(WindowNameInvalid):
        landing.add(tmp_path / "good.parquet", name)
    assert seen(tmp_path) == before


def test_a_partition_with_a_path_for_a_name_writes_nothing_outside_the_store(mutated: Loop) -> None:
    """Prevents a name that someone adds in Dagster's page from becoming a path: S17."""
    before = seen(mutated.settings.state)
    mutated.ingest("../evil")
    assert seen(mutated.settings.state).keys() == before.keys()


def test_links_are_no_part_of_a_window_of_tables(tmp_path: Path) -> None:
    """Prevents a link in a window's folder, or a linked folder, from bringing in files from elsewhere: S17."""
    landing, _ = apart(tmp_path, more='[source]\ntables = ["visits"]\n')
    outside = tmp_path / "outside"
    outside.mkdir()
    mutations.good_frame("2024-01").to_parquet(outside / "visits.parquet")
    (landing.folder / "2024-01").symlink_to(outside)
    (landing.folder / "2024-02").mkdir()
    (landing.folder / "2024-02" / "visits.parquet").symlink_to(outside / "visits.parquet")

    assert landing.ignored() == ["2024-01"]
    (linked,) = landing.landed(now=time.time())
    assert linked.waits_for == "the table visits"
    with pytest.raises(SourceDown, match="waits for the table visits"), landing.fetch("2024-02"):
        pass


def demand_outcome(
    result: dg.ExecuteInProcessResult,
    store: WindowStore,
    window: str,
    outcome: Fit | Rows | Quarantined,
    before: DataWindow | None,
) -> None:
    """Demands the outcome of the store's record, and that the checks say the same."""
    intake = store.latest(window)
    assert intake is not None
    stored = store.stored(window, intake.data_version)
    red = failed_checks(result, dg.AssetCheckSeverity.ERROR)
    amber = failed_checks(result, dg.AssetCheckSeverity.WARN)
    if isinstance(outcome, Quarantined):
        assert intake.fault
        assert outcome.says.format(window=window) in intake.fault
        assert outcome.says.format(window=window) in red[outcome.red]
        assert store.current(window) == before
        assert (stored and stored.counts.rows) == outcome.rows
    else:
        assert intake.fault is None
        assert stored is not None
        assert store.current(window) == stored
        assert intake.replaces == (before and before.data_version)
        assert red == {}
        assert stored.counts.rows == outcome.rows
        if isinstance(outcome, Rows):
            assert stored.counts.by_reason == {outcome.reason: outcome.count}
            assert stored.counts.quarantined == outcome.count
            assert list(amber.values()) == [f"{outcome.reason} ({outcome.count} rows)"]
        else:
            assert stored.counts.quarantined == 0
            assert list(amber) == ([outcome.warns] if outcome.warns else [])
    if stored is not None:
        assert stored_rows(store, stored) == stored.counts.rows, "every row is clean or in quarantine"


def demand_not_taken(landing: FolderLanding, window: str, outcome: Waits | Ignored) -> None:
    """Demands that no run is asked for, and that the landing says why."""
    assert would_take(landing) is None
    found = {landed.window: landed.waits_for for landed in landing.landed(now=time.time())}
    if isinstance(outcome, Waits):
        assert outcome.waits_for.format(window=window) in str(found[window])
    else:
        assert found == {}
        assert landing.ignored() == ([outcome.shown_as.format(window=window)] if outcome.shown_as else [])


def demand_good_window_flows(loop: Loop, window: str) -> None:
    """Demands that a good window beside all that has landed is used, with every check green."""
    result = loop.ingest(land_good(loop.settings.landing, window))
    assert result.success
    assert store_of(loop).current(window) is not None
    assert all(evaluation.passed for evaluation in result.get_asset_check_evaluations())


def demand_good_window_is_taken(landing: FolderLanding, store: WindowStore, window: str) -> None:
    """The same without a run of Dagster's, which costs half a second."""
    land_good(landing.folder, window)
    with landing.fetch(window) as landed:
        intake, stored = store.take(landed)
    assert stored is not None
    assert store.current(window) == stored
    results = [*window_results(store, intake, stored), *row_results(store, intake, stored)]
    assert [result.check_name for result in results if not result.passed] == []


def failed_checks(result: dg.ExecuteInProcessResult, severity: dg.AssetCheckSeverity) -> dict[str, str]:
    """What the checks of this severity say that did not pass."""
    evaluations = result.get_asset_check_evaluations()
    assert evaluations, "a window is judged"
    return {e.check_name: str(e.description) for e in evaluations if not e.passed and e.severity == severity}


def would_take(landing: FolderLanding) -> str | None:
    """The window that the sensor would take up, once what landed has settled."""
    taken = next_to_take(landing.landed(now=time.time() + SETTLED_SECONDS + 1), {})
    return taken.window if taken else None


def stored_rows(store: WindowStore, stored: DataWindow) -> int:
    """How many rows the version's files really hold."""
    folder = store.folder / stored.window / stored.data_version
    return sum(pq.read_metadata(folder / name).num_rows for name in (CLEAN, QUARANTINED))


def seen(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All that is in a folder: what kind it is, and its bytes or the path that it links to."""
    found = {}
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        content = path.read_bytes() if stat.S_ISREG(mode) else b""
        found[str(path.relative_to(folder))] = (mode, os.fsencode(path.readlink()) if path.is_symlink() else content)
    return found


def used_versions(store: WindowStore) -> dict[str, bytes]:
    """By window, the record of the version in use."""
    return {path.parent.name: path.read_bytes() for path in store.folder.glob(f"*/{CURRENT}")}


def nothing_half_done(loop: Loop) -> bool:
    """Whether the store holds no temporary file or folder, and the spool nothing at all."""
    left = [path for path in loop.settings.windows.rglob("*") if path.name.startswith(".") or path.name == "work"]
    return not left and not list(loop.settings.spool.rglob("*"))


def store_of(loop: Loop) -> WindowStore:
    """The loop's windows."""
    return WindowStore(loop.settings.windows, read_dataset(loop.settings.dataset))


def landing_of(loop: Loop) -> FolderLanding:
    """The loop's landing."""
    return FolderLanding(loop.settings.landing, read_dataset(loop.settings.dataset))


def apart(folder: Path, *, more: str = "") -> tuple[FolderLanding, WindowStore]:
    """A landing and a store without a graph."""
    contract = folder / "small.toml"
    contract.write_text(CONTRACT + more)
    (folder / "landing").mkdir(exist_ok=True)
    dataset = read_dataset(contract)
    return FolderLanding(folder / "landing", dataset), WindowStore(folder / "windows", dataset)


def fault_of(landing: FolderLanding, store: WindowStore, window: str) -> str | None:
    """Why a landed window is not used; None where it is."""
    try:
        with landing.fetch(window) as landed:
            intake, stored = store.take(landed)
    except WindowUnfit as error:
        return str(error)
    assert stored is None or stored.counts.rows == stored_rows(store, stored)
    left = [path for path in store.folder.rglob("*") if path.name.startswith(".") or path.name == "work"]
    assert not left, "nothing half done stays"
    return intake.fault
