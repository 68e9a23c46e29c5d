import time
from pathlib import Path

import duckdb
import pytest

from mlops_assets.adapters.engine import engine, first_line, number


def test_the_engine_holds_no_more_than_it_may_and_spills_beside_the_windows(tmp_path: Path) -> None:
    """What does not fit into memory goes to the disk that the windows are on, and is gone afterwards."""
    with engine(tmp_path, memory_mb=128) as connection:
        said = connection.execute(
            "SELECT current_setting('memory_limit'), current_setting('temp_directory')"
        ).fetchone()
        assert said is not None
        assert said[0] == "122.0 MiB"
        assert Path(said[1]).parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_the_engine_leaves_nothing_where_its_work_fails(tmp_path: Path) -> None:
    """Spilled rows of a failed run would fill the disk."""
    with pytest.raises(duckdb.CatalogException), engine(tmp_path) as connection:
        connection.execute("SELECT * FROM nothing_there")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_a_time_is_the_same_text_on_every_machine(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A split key that is a time must not change sides with the machine's zone."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        with engine() as connection:
            said = connection.execute("SELECT '2013-01-01 00:00:00+00'::TIMESTAMPTZ::TIMESTAMP::VARCHAR").fetchone()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert said == ("2013-01-01 00:00:00",)


def test_a_number_is_0_where_there_is_none() -> None:
    """The sum and the largest of no rows are null."""
    with engine() as connection:
        assert number(connection, "SELECT 7") == 7
        assert number(connection, "SELECT sum(a) FROM (SELECT 1 AS a) WHERE false") == 0
        assert number(connection, "SELECT 1 WHERE false") == 0


def test_an_error_is_said_without_the_query() -> None:
    """The user did not write the query, and it may be pages long."""
    with engine() as connection, pytest.raises(duckdb.Error) as broken:
        connection.execute("SELECT\nno_such_column\nFROM range(1)")
    assert "\n" not in first_line(broken.value)
    assert "no_such_column" in first_line(broken.value)
