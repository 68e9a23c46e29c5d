import importlib.util
from pathlib import Path

import duckdb
import pytest
from pydantic import ValidationError

from mlops_assets.adapters.row_engine import EngineMissing
from mlops_assets.adapters.row_engines import Engines, engines_of
from mlops_assets.config import Settings


def test_duckdb_is_the_engine_where_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents that a user needs Java for the default."""
    monkeypatch.delenv("MLOPS_ENGINE", raising=False)
    engines = engines_of(Settings())
    assert engines == Engines("duckdb")
    engines.demand()


def test_the_engine_and_its_master_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents that a cluster is asked for and this machine computes."""
    monkeypatch.setenv("MLOPS_ENGINE", "spark")
    monkeypatch.setenv("MLOPS_SPARK_MASTER", "spark://there:7077")
    assert engines_of(Settings()) == Engines("spark", "spark://there:7077")


def test_another_engine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents that a name that was mistyped falls back to the default without a word."""
    monkeypatch.setenv("MLOPS_ENGINE", "polars")
    with pytest.raises(ValidationError, match="Input should be 'duckdb' or 'spark'"):
        Settings()


@pytest.mark.skipif(importlib.util.find_spec("pyspark") is not None, reason="pyspark is here")
def test_a_missing_pyspark_is_said_with_the_command_that_installs_it(tmp_path: Path) -> None:
    """Prevents an import error from the depth of a run."""
    with pytest.raises(EngineMissing, match=r"needs pyspark, .* `make setup-spark` makes \.venv-spark"):
        Engines("spark").demand()
    with duckdb.connect() as connection, pytest.raises(EngineMissing, match="needs pyspark"):
        Engines("spark").over(connection, tmp_path)
