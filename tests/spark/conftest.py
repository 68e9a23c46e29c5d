"""Tests of Spark as the engine, beside DuckDB; `make test-spark` runs them in an environment that has pyspark."""

import importlib.util
from collections.abc import Iterator

import pytest

from mlops_assets.adapters.row_engines import Engines

collect_ignore_glob = [] if importlib.util.find_spec("pyspark") else ["test_*.py"]


@pytest.fixture(scope="session")
def spark() -> Iterator[Engines]:
    """The engine on this machine's cores; its session serves all tests."""
    engines = Engines("spark", "local[2]")
    yield engines
    from mlops_assets.adapters.spark_session import spark_session

    spark_session(engines.spark_master).stop()
