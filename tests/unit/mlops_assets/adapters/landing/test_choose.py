import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.adapters.landing.choose import landing_at
from mlops_assets.adapters.landing.database import DatabaseLanding
from mlops_assets.adapters.landing.folder import FolderLanding
from mlops_assets.adapters.landing.landed_window import SourceDown, SourceInvalid
from mlops_assets.adapters.landing.object_store import ObjectStoreLanding
from tests.unit.mlops_assets.adapters.landing.contracts import one_file, tables

IN_TABLES = tables(window_column="month")


@pytest.mark.parametrize(
    ("location", "kind"),
    [
        ("landing", FolderLanding),
        ("/data/landing", FolderLanding),
        ("~/landing", FolderLanding),
        ("file:///data/landing", FolderLanding),
        ("s3://bucket/prefix", ObjectStoreLanding),
        ("gs://bucket", ObjectStoreLanding),
        ("abfs://container/folder", ObjectStoreLanding),
        ("s3://bucket/prefix:with@signs", ObjectStoreLanding),
        ("memory://landing", ObjectStoreLanding),
        ("postgresql://user:secret@host/database", DatabaseLanding),
        ("postgres://host/database", DatabaseLanding),
        ("postgresql+psycopg://host/database", DatabaseLanding),
        ("sqlite:///landing.db", DatabaseLanding),
    ],
)
def test_a_location_says_what_it_is(location: str, kind: type[object], tmp_path: Path) -> None:
    """Nothing is connected to yet."""
    assert type(landing_at(location, IN_TABLES, tmp_path)) is kind


def test_a_folder_is_the_one_that_is_named(tmp_path: Path) -> None:
    """With the home folder written out."""
    landing = landing_at("~/landing", one_file(), tmp_path)
    assert isinstance(landing, FolderLanding)
    assert landing.folder == Path.home() / "landing"


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("s4://me:secret@bucket", "s4:// is no place where windows can land"),
        ("mysqll+pymysql://me:secret@host/db", "the source is no database URL"),
        ("mysql+nosuch://me:secret@host/db", "the source is no database URL"),
        ("postgresql://me:secret@host:port/db", "the source is no database URL"),
        ("mysql+pymysql://me:secret@host/db", "its driver is missing; install what gives the module pymysql"),
        (" ", "the source is empty"),
        ("s3://KEY:secret@bucket", r"s3://KEY:\*\*\*@bucket: no key can stand in this URL"),
        ("s3://KEY:se/secret@bucket", r"s3://KEY:\*\*\*@bucket: no key can stand in this URL"),
    ],
)
def test_what_is_no_place_is_told_without_its_password(location: str, said: str, tmp_path: Path) -> None:
    """A mistyped scheme must not become a folder of that name."""
    with pytest.raises(SourceInvalid, match=said) as error:
        landing_at(location, IN_TABLES, tmp_path)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "location",
    [
        "postgresql://127.0.0.1:1/db?user=me&password=hunter2",
        "postgresql://me:hunter2@127.0.0.1:1/db",
        "ftp://me:hun/ter2@127.0.0.1:1/prefix",
        "ftp://me:hunter2@127.0.0.1:1/prefix",
    ],
)
def test_what_is_down_is_told_without_its_password(location: str, tmp_path: Path) -> None:
    """The message stands on Dagster's page, in `mlops status` and in its JSON."""
    with pytest.raises(SourceDown, match="does not answer") as down:
        landing_at(location, IN_TABLES, tmp_path).landed(now=0)
    for secret in ("hunter2", "hun/ter2", "hun", "ter2"):
        assert secret not in str(down.value)


def test_a_database_needs_tables_and_a_window_column(tmp_path: Path) -> None:
    """Nothing else says which rows are a window."""
    for dataset in (one_file(), tables()):
        with pytest.raises(SourceInvalid, match="needs `tables` and `window_column`"):
            landing_at("sqlite:///landing.db", dataset, tmp_path)


def test_a_folder_costs_no_heavy_import() -> None:
    """The sensors' process imports this, and most landings are folders."""
    heavy = {"fsspec", "s3fs", "sqlalchemy", "psycopg", "pyarrow", "boto3", "botocore"}
    code = (
        "import sys; from mlops_assets.adapters.landing.choose import landing_at; "
        f"print(sorted({heavy!r} & sys.modules.keys()))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
