"""The databases of servers, made and updated before anything else starts.

Prevents a loop on PostgreSQL that starts and then stores nothing, and a start that needs a server someone prepared.
"""

from pathlib import Path

import dagster as dg
import psycopg
import pytest
from rich.console import Console
from sqlalchemy import make_url

from mlops_assets.adapters.ledger import Ledger
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.history import dagster_instance
from mlops_assets.cli.migrate import MARK, make_database, migrate
from mlops_assets.cli.stack import LoopRuns, only_stack
from mlops_assets.config import Settings
from mlops_assets.domain.backup import INTERRUPTED
from tests.integration.servers import PostgresServer

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(postgres: PostgresServer, tmp_path: Path) -> Settings:
    """A loop whose three databases are on a server that does not have them yet."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        for name in ("ledger", "dagster", "mlflow"):
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    return Settings(
        home=tmp_path,
        ledger_url=database(postgres, "ledger"),
        dagster_database_url=database(postgres, "dagster"),
        MLFLOW_BACKEND_STORE_URI=database(postgres, "mlflow"),
    )


def database(postgres: PostgresServer, name: str) -> str:
    """The address of one of the server's databases; on its socket it asks for no password."""
    return make_url(postgres.url)._replace(database=name, password=None).render_as_string()


def test_databases_are_made_and_a_second_time_changes_nothing(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """The job runs at every start of the containers."""
    migrate(settings, Console())
    assert "made the database ledger" in capsys.readouterr().out
    assert Ledger(settings.ledger_url).history() == []
    with psycopg.connect(settings.mlflow_database_url or "") as connection:
        (heads,) = connection.execute("SELECT count(*) FROM alembic_version").fetchone() or (None,)
    assert heads == 1
    migrate(settings, Console())
    assert "made the database" not in capsys.readouterr().out


def test_a_materialization_is_stored_and_read_back(settings: Settings) -> None:
    """With SQLAlchemy's own choice of driver the server refused every one, while runs and ticks went well."""
    migrate(settings, Console())

    @dg.asset
    def data_window() -> None: ...

    with dagster_instance(settings) as instance:
        assert dg.materialize([data_window], instance=instance).success
    with dagster_instance(settings) as instance:
        assert len(instance.fetch_materializations(dg.AssetKey("data_window"), limit=5).records) == 1
    assert not (settings.state / "dagster" / "history").exists()  # where SQLite would keep it


def test_a_loop_that_runs_is_left_alone(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """Compose runs the job again beside it; a newer version must not change tables that running programs know."""
    with only_stack(settings), pytest.raises(LoopRuns, match="runs already"):
        migrate(settings, Console())
    migrate(settings, Console())
    with only_stack(settings):
        migrate(settings, Console())
        assert "the loop runs, and its databases are up to date" in capsys.readouterr().out
        (settings.state / MARK).write_text("dagster 1.0, mlflow 1.0")
        with pytest.raises(LoopRuns):
            migrate(settings, Console())


def test_an_interrupted_restore_is_found_before_anything_is_made(settings: Settings) -> None:
    """Else the restore, begun again, would find databases that are not empty."""
    (settings.state / INTERRUPTED).write_text("{}")
    with pytest.raises(UserError):
        migrate(settings, Console())
    with psycopg.connect(make_url(settings.ledger_url)._replace(database="postgres").render_as_string()) as connection:
        names = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
    assert not names & {"ledger", "dagster", "mlflow"}


def test_a_server_that_is_not_there_is_named_with_its_database() -> None:
    """The user sees which of the settings is meant."""
    with pytest.raises(UserError, match=r"the database ledger on 127\.0\.0\.1"):
        make_database("postgresql://mlops@127.0.0.1:1/ledger")
