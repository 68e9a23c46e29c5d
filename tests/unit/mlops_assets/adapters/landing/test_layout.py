import pytest

from mlops_assets.adapters.landing.landed_window import ROWS, SourceDown
from mlops_assets.adapters.landing.layout import Entry, FoundWindow, find_windows
from mlops_assets.domain.dataset_tables import Source
from mlops_assets.domain.landing import Landed

ONE_FILE = Source()
TABLES = Source(tables=("users", "public.usage"), key="user_id", labels="truth")


def found(source: Source, *names: str) -> dict[str, FoundWindow]:
    """The windows that files of these names make up."""
    return find_windows([Entry(name) for name in names], source)[0]


def ignored(source: Source, *entries: Entry) -> list[str]:
    """What belongs to no window; nothing else is there."""
    windows, names = find_windows(entries, source)
    assert windows == {}
    return names


def landed(window: FoundWindow, now: float = 0) -> Landed:
    """As the rules see it, where no file can be seen to be whole."""
    return window.landed(now=now, is_whole=lambda _: False)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_window_is_one_file_with_its_late_labels_beside_it(suffix: str) -> None:
    """In either format, each on its own."""
    window = found(ONE_FILE, f"2024-01{suffix}", "2024-01.labels.csv")["2024-01"]
    assert [entry.name for entry in window.tables[ROWS]] == [f"2024-01{suffix}"]
    assert [entry.name for entry in window.labels] == ["2024-01.labels.csv"]
    assert window.waits_for is None


def test_a_window_is_a_folder_of_the_contracts_tables() -> None:
    """In the contract's order, with the table of the labels apart, and what nobody asked for said."""
    names = ["users.csv", "public.usage.parquet", "truth.csv", "extra.csv", "deeper/users.csv", "users.csv.gz"]
    window = found(TABLES, *(f"2024-01/{name}" for name in names))["2024-01"]
    assert {table: [entry.name for entry in entries] for table, entries in window.tables.items()} == {
        "users": ["2024-01/users.csv"],
        "public.usage": ["2024-01/public.usage.parquet"],
    }
    assert list(window.tables) == ["users", "public.usage"]
    assert [entry.name for entry in window.labels] == ["2024-01/truth.csv"]
    assert window.others == ["deeper/users.csv", "extra.csv", "users.csv.gz"]
    assert window.waits_for is None


@pytest.mark.parametrize(
    ("source", "names", "waits_for"),
    [
        (ONE_FILE, ["2024-01.labels.csv"], "the window itself (only its labels have landed)"),
        (ONE_FILE, ["2024-01.csv.sha256"], "the window itself (only its checksum has landed)"),
        (
            ONE_FILE,
            ["2024-01.csv", "2024-01.parquet"],
            "a choice: 2024-01.csv and 2024-01.parquet are both there, remove one of them",
        ),
        (
            ONE_FILE,
            ["2024-01.csv", "2024-01.labels.csv", "2024-01.labels.parquet"],
            "a choice: 2024-01.labels.csv and 2024-01.labels.parquet are both there, remove one of them",
        ),
        (TABLES, ["2024-01/users.csv"], "the table public.usage"),
        (TABLES, ["2024-01/truth.csv"], "the tables users, public.usage"),
        (
            TABLES,
            ["2024-01/users.csv", "2024-01/users.parquet"],
            "a choice: 2024-01/users.csv and 2024-01/users.parquet are both there, remove one of them",
        ),
    ],
)
def test_what_has_not_come_is_said(source: Source, names: list[str], waits_for: str) -> None:
    """It is listed, so that the user sees why nothing happens, and cannot be read."""
    window = found(source, *names)["2024-01"]
    assert landed(window).waits_for == waits_for
    assert not landed(window, now=1e9).is_ready
    with pytest.raises(SourceDown, match="2024-01 cannot be read: it waits for") as down:
        window.demand_whole()
    assert waits_for in str(down.value)


def test_an_empty_folder_is_a_window_that_waits() -> None:
    """Someone has begun to land it."""
    windows, _ = find_windows([Entry("2024-01", kind="folder")], TABLES)
    assert landed(windows["2024-01"]).waits_for == "the tables users, public.usage"


@pytest.mark.parametrize("name", ["2024 01", "a.b", "jänner", "..", "../2024-01", "2024-01\n", "x" * 300, "-a", ""])
def test_a_name_that_names_no_window_is_ignored_on_one_line(name: str) -> None:
    """Whatever a file can be called."""
    for listed in (
        ignored(ONE_FILE, Entry(f"{name}.csv")),
        ignored(TABLES, Entry(f"{name}/users.csv")),
        ignored(TABLES, Entry(name or "?", kind="folder")),
    ):
        assert len(listed) <= 1  # `..` is left out, as all that begins with a dot
        assert all(line.isprintable() for line in listed)


def test_what_is_no_regular_file_is_never_part_of_a_window() -> None:
    """A link may lead anywhere, and reading a pipe waits for ever."""
    assert ignored(ONE_FILE, Entry("a.csv", kind="other"), Entry("b.csv", kind="folder")) == ["a.csv", "b.csv"]
    assert ignored(TABLES, Entry("a", kind="other"), Entry("b", kind="file")) == ["a", "b"]
    windows, _ = find_windows([Entry("a/users.csv", kind="other"), Entry("a/_SUCCESS", kind="other")], TABLES)
    assert windows["a"].tables["users"] == []
    assert windows["a"].others == ["_SUCCESS", "users.csv"]
    assert windows["a"].marked is None


@pytest.mark.parametrize("name", [".a.csv", "a.csv.part", ".DS_Store", "a.parquet.tmp"])
def test_a_tools_own_files_are_left_out(name: str) -> None:
    """They come and go, and tell a user nothing."""
    assert ignored(ONE_FILE, Entry(name)) == []
    windows, names = find_windows([Entry("w", kind="folder"), Entry(f"w/{name}")], TABLES)
    assert names == windows["w"].others == []


def test_windows_come_oldest_period_first() -> None:
    """Whatever the order they are listed in."""
    assert list(found(ONE_FILE, "2024-03.csv", "2024-01.parquet", "2024-02.csv")) == ["2024-01", "2024-02", "2024-03"]


@pytest.mark.parametrize(
    "change",
    [
        Entry("w.csv", size=2, changed=1, mark="1"),
        Entry("w.csv", size=1, changed=1, mark="2"),
        Entry("w.labels.csv", size=1),
        Entry("w.csv.sha256", size=1),
    ],
)
def test_the_fingerprint_changes_with_anything_that_landed(change: Entry) -> None:
    """Size, time or ETag of a file, late labels, a corrected checksum."""
    before = Entry("w.csv", size=1, changed=1, mark="1")
    former, _ = find_windows([before], ONE_FILE)
    entries = [change] if change.name == before.name else [before, change]
    later, _ = find_windows(entries, ONE_FILE)
    assert landed(later["w"]).fingerprint != landed(former["w"]).fingerprint
    again, _ = find_windows([before], ONE_FILE)
    assert landed(again["w"]).fingerprint == landed(former["w"], now=99).fingerprint


def test_a_marker_is_no_change() -> None:
    """It says nothing of the rows; the window was taken up, settled, before it came."""
    without = found(TABLES, "w/users.csv", "w/public.usage.csv")["w"]
    marked = found(TABLES, "w/users.csv", "w/public.usage.csv", "w/_SUCCESS")["w"]
    assert landed(without).fingerprint == landed(marked).fingerprint
    assert landed(without).looks_complete is False
    assert landed(marked).looks_complete is True


def test_the_age_counts_from_the_newest_file() -> None:
    """A window that is still being written rests when its last file does."""
    windows, _ = find_windows([Entry("w.csv", changed=10), Entry("w.labels.csv", changed=30)], ONE_FILE)
    assert landed(windows["w"], now=42).age_seconds == 12


def test_a_file_with_a_checksum_need_not_settle() -> None:
    """Reading it tells whether it is whole; every file needs one."""
    assert landed(found(ONE_FILE, "w.csv", "w.csv.sha256")["w"]).looks_complete is True
    assert landed(found(ONE_FILE, "w.csv", "w.csv.sha256", "w.labels.csv")["w"]).looks_complete is False
    tables = ["w/users.csv", "w/public.usage.csv", "w/users.csv.sha256"]
    assert landed(found(TABLES, *tables)["w"]).looks_complete is False
    assert landed(found(TABLES, *tables, "w/public.usage.csv.sha256")["w"]).looks_complete is True
