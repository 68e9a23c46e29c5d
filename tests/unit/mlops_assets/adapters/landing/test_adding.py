import os
import shutil
from pathlib import Path

import pytest

from mlops_assets.adapters.landing.folder import FolderLanding
from mlops_assets.domain.windows import WindowNameInvalid, WindowUnfit
from tests.unit.mlops_assets.adapters.landing.contracts import one_file, tables
from tests.unit.mlops_assets.small_windows import land_small


@pytest.fixture
def landing(tmp_path: Path) -> FolderLanding:
    """A landing folder that is not there yet."""
    return FolderLanding(tmp_path / "landing", one_file())


@pytest.fixture
def of_tables(tmp_path: Path) -> FolderLanding:
    """The same, for windows of several tables."""
    return FolderLanding(tmp_path / "landing", tables())


@pytest.fixture
def month(tmp_path: Path) -> Path:
    """A window's file, elsewhere."""
    return land_small(tmp_path / "elsewhere" / "2013-01.parquet", 20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A window's tables, elsewhere, with a file beside them that is none of them."""
    return tables_in(tmp_path / "elsewhere" / "2024-01", "users.csv", "usage.csv", "notes.txt")


def tables_in(folder: Path, *names: str, content: str = "case_id\n1\n") -> Path:
    """A folder of small CSV files."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text(content)
    return folder


def content_of(folder: Path) -> list[str]:
    """All there is, hidden or not."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_an_added_file_lands_whole_under_its_windows_name(landing: FolderLanding, month: Path) -> None:
    """Nothing else is left in the folder, which is made where it is missing; its time stays its writer's."""
    os.utime(month, (1000, 1000))
    assert landing.add(month) == landing.folder / "2013-01.parquet"
    assert landing.add(month, "2014-01") == landing.folder / "2014-01.parquet"
    assert (landing.folder / "2013-01.parquet").read_bytes() == month.read_bytes()
    assert content_of(landing.folder) == ["2013-01.parquet", "2014-01.parquet"]
    assert [window.age_seconds for window in landing.landed(now=1007.5)] == [7.5, 7.5]


def test_labels_land_beside_their_window(landing: FolderLanding, tmp_path: Path) -> None:
    """Under the name of the window that is named."""
    labels = tmp_path / "2013-01.labels.csv"
    labels.write_text("case_id,late\n1,true\n")
    assert landing.add(labels) == landing.folder / "2013-01.labels.csv"
    assert landing.add(labels, "2013-02") == landing.folder / "2013-02.labels.csv"


def test_a_folder_of_tables_lands_whole(of_tables: FolderLanding, folder: Path) -> None:
    """What the contract does not speak of stays where it is."""
    assert of_tables.add(folder) == of_tables.folder / "2024-01"
    assert of_tables.add(folder, "2024-02") == of_tables.folder / "2024-02"
    assert content_of(of_tables.folder) == ["2024-01", "2024-02"]
    assert content_of(of_tables.folder / "2024-01") == ["usage.csv", "users.csv"]


def test_a_table_lands_in_its_windows_folder(of_tables: FolderLanding, folder: Path, tmp_path: Path) -> None:
    """As late labels do."""
    of_tables.add(folder)
    truth = tables_in(tmp_path / "late", "truth.csv") / "truth.csv"
    assert of_tables.add(truth, "2024-01") == of_tables.folder / "2024-01" / "truth.csv"
    with of_tables.fetch("2024-01") as window:
        assert window.labels is not None
    with pytest.raises(WindowUnfit, match="say of which window it is a table"):
        of_tables.add(truth)
    with pytest.raises(WindowUnfit, match=r"is none of the contract's tables \(users, usage, truth\)"):
        of_tables.add(tables_in(tmp_path / "odd", "odd.csv") / "odd.csv", "2024-01")


def test_what_can_be_no_window_is_not_added(landing: FolderLanding, month: Path, tmp_path: Path) -> None:
    """It would only fail later, in a run."""
    text = tmp_path / "2013-01.txt"
    text.write_bytes(month.read_bytes())
    truncated = tmp_path / "2013-02.parquet"
    truncated.write_bytes(month.read_bytes()[:-1])
    pipe = tmp_path / "2013-03.csv"
    os.mkfifo(pipe)
    for path, said in (
        (text, "its name must end in .parquet or .csv"),
        (truncated, "is not a complete Parquet file"),
        (tmp_path / "missing.parquet", "there is no such file"),
        (pipe, "there is no such file"),
        (tmp_path / "elsewhere", "is a folder; the contract names no tables"),
    ):
        with pytest.raises(WindowUnfit, match=said):
            landing.add(path)
    assert content_of(landing.folder) == []


def test_a_folder_that_lacks_a_table_is_not_added(of_tables: FolderLanding, tmp_path: Path) -> None:
    """It would wait for ever."""
    with pytest.raises(WindowUnfit, match=r"has no file of the table usage \(usage\.parquet or \.csv\)"):
        of_tables.add(tables_in(tmp_path / "2024-01", "users.csv"))
    both = land_small(tables_in(tmp_path / "2024-02", "users.csv", "usage.csv") / "users.parquet", 3)
    with pytest.raises(WindowUnfit, match="has one table as Parquet and as CSV"):
        of_tables.add(both.parent)
    assert content_of(of_tables.folder) == []


@pytest.mark.parametrize("window", ["../2013-01", "a/b", "", "2013-01\n", ".."])
def test_a_window_lands_in_the_folder_and_nowhere_else(
    landing: FolderLanding, of_tables: FolderLanding, month: Path, folder: Path, window: str
) -> None:
    """A name with a way in it would overwrite files elsewhere."""
    with pytest.raises(WindowNameInvalid):
        landing.add(month, window)
    for path in (folder, folder / "users.csv"):
        with pytest.raises(WindowNameInvalid):
            of_tables.add(path, window)
    assert content_of(landing.folder) == []


def test_a_landed_window_is_not_overwritten(landing: FolderLanding, month: Path, tmp_path: Path) -> None:
    """Its bytes may be what production learned from; nor does it land beside itself in the other format."""
    before = landing.add(month).read_bytes()
    csv = tmp_path / "2013-01.csv"
    csv.write_text("case_id\n1\n")
    for other in (land_small(tmp_path / "other" / "2013-01.parquet", 30), csv):
        with pytest.raises(WindowUnfit, match=r"2013-01\.parquet has landed already in .*; add it with `--replace`"):
            landing.add(other)
    assert (landing.folder / "2013-01.parquet").read_bytes() == before
    assert content_of(landing.folder) == ["2013-01.parquet"]


def test_a_corrected_window_takes_the_place_of_the_old(landing: FolderLanding, month: Path, tmp_path: Path) -> None:
    """In whatever format, with a checksum that spoke of the old bytes gone, and late labels left alone."""
    (landing.add(month).with_name("2013-01.parquet.sha256")).write_text("0" * 64)
    (landing.folder / "2013-01.labels.csv").write_text("case_id,late\n")
    former = landing.landed(now=0)[0]
    csv = tmp_path / "2013-01.csv"
    csv.write_text("case_id\n1\n")
    landing.add(csv, replace=True)
    assert content_of(landing.folder) == ["2013-01.csv", "2013-01.labels.csv"]
    assert landing.landed(now=0)[0].fingerprint != former.fingerprint


def test_a_corrected_folder_takes_the_place_of_the_old(of_tables: FolderLanding, folder: Path, tmp_path: Path) -> None:
    """Whole, with the labels that came late where it brings none."""
    of_tables.add(folder)
    of_tables.add(tables_in(tmp_path / "late", "truth.csv") / "truth.csv", "2024-01")
    corrected = tables_in(tmp_path / "corrected", "users.csv", "usage.csv", content="corrected")
    with pytest.raises(WindowUnfit, match="2024-01 has landed already"):
        of_tables.add(corrected, "2024-01")
    of_tables.add(corrected, "2024-01", replace=True)
    assert content_of(of_tables.folder) == ["2024-01"]
    assert content_of(of_tables.folder / "2024-01") == ["truth.csv", "usage.csv", "users.csv"]
    assert (of_tables.folder / "2024-01" / "users.csv").read_text() == "corrected"


def test_a_name_that_is_taken_while_it_is_copied_is_not_overwritten(
    landing: FolderLanding, of_tables: FolderLanding, month: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that add a window at the same time one must be told, and not with a bare OSError."""
    copy = shutil.copyfile

    def copy_while_another_lands(source: Path, to: Path) -> None:
        copy(source, to)
        (landing.folder / "2013-01.parquet").write_bytes(b"theirs")
        (landing.folder / "2024-01").mkdir(exist_ok=True)
        (landing.folder / "2024-01" / "users.csv").write_text("theirs")

    monkeypatch.setattr("shutil.copyfile", copy_while_another_lands)
    for into, path in ((landing, month), (of_tables, folder)):
        with pytest.raises(WindowUnfit, match="has landed already"):
            into.add(path)
    assert content_of(landing.folder) == ["2013-01.parquet", "2024-01"]
    assert (landing.folder / "2013-01.parquet").read_bytes() == b"theirs"
    assert (landing.folder / "2024-01" / "users.csv").read_text() == "theirs"


@pytest.mark.parametrize("step", ["shutil.copyfile", "os.link"])
def test_a_copy_that_fails_is_told_with_its_reason(
    landing: FolderLanding, month: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A full disk, or a file system without hard links; nothing is left in the folder."""
    copy = shutil.copyfile

    def fail(source: Path, to: Path) -> None:
        if step == "shutil.copyfile":
            copy(source, to)
        raise OSError("not possible here")

    monkeypatch.setattr(step, fail)
    with pytest.raises(WindowUnfit, match=r"2013-01\.parquet cannot be copied into .*: not possible here"):
        landing.add(month)
    assert content_of(landing.folder) == []


@pytest.mark.parametrize("replace", [True, False])
def test_a_folder_that_cannot_be_copied_leaves_what_was_there(
    of_tables: FolderLanding, folder: Path, monkeypatch: pytest.MonkeyPatch, replace: bool
) -> None:
    """The old window, whole, or nothing."""
    if replace:
        of_tables.add(folder)
    rename = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if target == of_tables.folder / "2024-01" and path.name.endswith(".new.tmp"):
            raise OSError("not possible here")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(WindowUnfit, match=r"cannot be copied into .*: not possible here"):
        of_tables.add(folder, replace=replace)
    assert content_of(of_tables.folder) == (["2024-01"] if replace else [])
