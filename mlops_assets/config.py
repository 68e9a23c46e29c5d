"""Settings: where the loop keeps its state, which dataset it runs, and the addresses of its servers.

All come from the environment (`MLOPS_HOME`, `MLOPS_DATASET`, ...); the thresholds of the rules stand in the dataset's
contract instead. Where nothing is set, all state is in one folder and all servers on loopback; databases and servers
elsewhere take their places by settings alone.
"""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveFloat, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mlops_assets.datasets.contract import FLIGHTS
from mlops_assets.domain.location import absolute_location, holds_secret, masked
from mlops_assets.domain.log_period import Length

LOOPBACK = "127.0.0.1"
EngineName = Literal["duckdb", "spark"]


def _beside_the_rest(given: dict[str, Any]) -> str:
    return f"sqlite:///{given['home'].absolute() / 'ledger.db'}"


def _on_port(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda given: f"http://{LOOPBACK}:{given[name]}"


class Settings(BaseSettings):
    """The loop's settings; relative paths are taken from the working directory."""

    model_config = SettingsConfigDict(
        env_prefix="MLOPS_",
        env_ignore_empty=True,  # as compose files give what is not set
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,  # a URL may hold a password
    )

    home: Path = Path(".mlops")
    """Folder of all state: landed windows, stored windows, releases, databases, logs."""
    dataset: Path = FLIGHTS
    """The dataset's contract."""
    source: str | None = None
    """Where windows land: a folder, an object store (`s3://bucket/prefix`) or a database (`postgresql://...`).

    The folder `landing` under `home` where none is given.
    """

    @field_validator("source")
    @classmethod
    def _as_the_user_sees_it(cls, source: str | None) -> str | None:
        """The loop's programs work in another directory than the user. An empty one, as they are given, is none."""
        return absolute_location(source) if source else None

    engine: EngineName = "duckdb"
    """What validates, splits, samples and scores windows: `duckdb` on this machine, or `spark` on as many as it has."""
    spark_master: str = "local[*]"
    """Spark's master, where it is the engine: this machine, `spark://host:7077`, `k8s://https://host`."""

    features_url: str | None = Field(default=None, repr=False)
    """A PostgreSQL for the feature table, as `postgresql://user@host/database`; a file beside the releases where none
    is given."""

    @field_validator("features_url")
    @classmethod
    def _is_postgresql(cls, url: str | None) -> str | None:
        if url and not url.startswith(("postgresql://", "postgres://")):
            raise ValueError("is a URL such as postgresql://user@host/database")
        return url or None

    tracking_uri: str | None = Field(default=None, validation_alias="MLFLOW_TRACKING_URI")
    """MLflow server; a SQLite database under `home` where none is given."""

    @field_validator("tracking_uri")
    @classmethod
    def _says_no_password(cls, url: str | None) -> str | None:
        """It is shown, in a resource's configuration and among a program's arguments."""
        if url and holds_secret(url):
            raise ValueError(
                "holds a password: MLflow takes it from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
                "PostgreSQL from PGPASSWORD or PGPASSFILE"
            )
        return url

    ledger_url: str = Field(default_factory=_beside_the_rest)
    """The ledger's database, as `postgresql://user@host/database`; SQLite under `home` where none is given."""
    dagster_database_url: str | None = None
    """Dagster's own storage, likewise."""
    mlflow_database_url: str | None = Field(default=None, validation_alias="MLFLOW_BACKEND_STORE_URI")
    """The database of the MLflow server, where `mlops migrate` and `mlops backup` are to see to it."""

    @field_validator("ledger_url", "dagster_database_url", "mlflow_database_url")
    @classmethod
    def _holds_no_password(cls, url: str | None) -> str | None:
        """Dagster shows what a resource is configured with."""
        if url and holds_secret(url):
            raise ValueError("holds a password: PostgreSQL takes it from PGPASSWORD or PGPASSFILE")
        if url and not url.startswith(("postgresql://", "sqlite:///")):
            raise ValueError("is a URL such as postgresql://user@host/database")
        return url

    log_keep_days: PositiveFloat | None = None
    """Gathered answers and labels that are older than this are removed; all are kept where no number is given."""
    log_period: Length = "day"
    """What a window of answered traffic is: each whole `day`, `week` (from Monday) or `month`, in UTC."""
    dagster_port: int = 3000
    """Dagster's pages."""
    code_port: int = 4000
    """The code location, which Dagster asks over gRPC."""
    service_port: int = 8000
    """The prediction service."""
    service_key: SecretStr | None = None
    """API key of the prediction service with the scopes `read` and `predict`, where it asks for one."""
    notify: SecretStr = SecretStr("")
    """Who is told of what happens: URLs as Apprise has them, with a space or a comma between; nobody by default."""
    notify_alarms: SecretStr = SecretStr("")
    """Who is told of alarms and their end alone, as a pager."""
    reports_port: int = 8001
    """The pages of the drift reports."""
    mlflow_port: int = 5000
    """MLflow's pages, where `MLFLOW_TRACKING_URI` names no server."""
    service_url: str = Field(default_factory=_on_port("service_port"))
    """Where the loop finds the prediction service."""
    dagster_url: str = Field(default_factory=_on_port("dagster_port"))
    """Where a browser finds Dagster's pages."""
    reports_url: str = Field(default_factory=_on_port("reports_port"))
    """Where a browser finds Evidently's pages."""
    runbooks_url: str = "docs/runbooks.md"
    """Where whoever is told of something finds what to do."""
    watch_seconds: float = 19
    """How long a sensor's tick watches before it ends with nothing found.

    Ticks start every 5 s: one of 20 s just misses a start, and its sensor sees nothing for 5 s of every 25.
    """

    @cached_property
    def state(self) -> Path:
        """`home` as an absolute path."""
        return self.home.absolute()

    @property
    def landing(self) -> Path:
        """The folder where users drop windows, where no other source is named."""
        return self.state / "landing"

    @property
    def landing_location(self) -> str:
        """Where windows land."""
        return self.source or str(self.landing)

    @property
    def shown_location(self) -> str:
        """The same as it may be shown: without a password."""
        return masked(self.landing_location)

    @property
    def spool(self) -> Path:
        """Where what is fetched from elsewhere lies while it is read."""
        return self.state / "spool"

    @property
    def requeued(self) -> Path:
        """Where windows are named that are to be taken up again."""
        return self.state / "requeued"

    @property
    def windows(self) -> Path:
        """The window store."""
        return self.state / "windows"

    @property
    def reports(self) -> Path:
        """Evidently's pages."""
        return self.state / "reports"

    @property
    def scored(self) -> Path:
        """Windows that a model scored."""
        return self.state / "scored"

    @property
    def releases(self) -> Path:
        """The release bundles and the pointer."""
        return self.state / "releases"

    @property
    def prediction_log(self) -> Path:
        """Where the service writes what it answered, and what came true of it."""
        return self.state / "serving" / "log"

    @property
    def gathered_log(self) -> Path:
        """The same as Parquet, gathered."""
        return self.state / "prediction_log"

    @property
    def mlflow_uri(self) -> str:
        """MLflow's tracking store and registry."""
        return self.tracking_uri or f"sqlite:///{self.state / 'mlflow.db'}"

    @property
    def mlflow_database(self) -> str | None:
        """The database behind it; None where a server has one and nothing says where."""
        return self.mlflow_database_url or (None if self.mlflow_is_served_elsewhere else self.mlflow_uri)

    @property
    def mlflow_artifacts(self) -> Path | None:
        """Where artifacts go where MLflow is a database; a server decides for itself."""
        return None if self.tracking_uri else self.state / "mlartifacts"

    @property
    def mlflow_is_served_elsewhere(self) -> bool:
        """Whether the tracking URI is a server, and not a database that the loop serves itself."""
        return (self.tracking_uri or "").startswith("http")

    @property
    def mlflow_url(self) -> str:
        """MLflow's pages."""
        if self.mlflow_is_served_elsewhere:
            return self.mlflow_uri
        return f"http://{LOOPBACK}:{self.mlflow_port}"
