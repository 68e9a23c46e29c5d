"""Settings: where the loop keeps its state, which dataset it runs, and the addresses of its servers.

All come from the environment (`MLOPS_HOME`, `MLOPS_DATASET`, ...); the thresholds of the rules stand in the dataset's
contract instead.
"""

from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mlops_assets.datasets.contract import FLIGHTS
from mlops_assets.domain.location import absolute_location, masked
from mlops_assets.domain.log_period import Length

LOOPBACK = "127.0.0.1"
EngineName = Literal["duckdb", "spark"]


class Settings(BaseSettings):
    """The loop's settings; relative paths are taken from the working directory."""

    model_config = SettingsConfigDict(
        env_prefix="MLOPS_",
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
    log_keep_days: PositiveFloat | None = None
    """Gathered answers and labels that are older than this are removed; all are kept where no number is given."""
    log_period: Length = "day"
    """What a window of answered traffic is: each whole `day`, `week` (from Monday) or `month`, in UTC."""
    dagster_port: int = 3000
    code_port: int = 4000
    service_port: int = 8000
    service_key: SecretStr | None = None
    """API key of the prediction service with the scopes `read` and `predict`, where it asks for one."""
    reports_port: int = 8001
    mlflow_port: int = 5000
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
    def ledger_url(self) -> str:
        """The ledger's database."""
        return f"sqlite:///{self.state / 'ledger.db'}"

    @property
    def mlflow_uri(self) -> str:
        """MLflow's tracking store and registry."""
        return self.tracking_uri or f"sqlite:///{self.state / 'mlflow.db'}"

    @property
    def mlflow_artifacts(self) -> Path | None:
        """Where artifacts go where MLflow is a database; a server decides for itself."""
        return None if self.tracking_uri else self.state / "mlartifacts"

    @property
    def service_url(self) -> str:
        """The prediction service."""
        return f"http://{LOOPBACK}:{self.service_port}"

    @property
    def dagster_url(self) -> str:
        """Dagster's pages."""
        return f"http://{LOOPBACK}:{self.dagster_port}"

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

    @property
    def reports_url(self) -> str:
        """Evidently's pages, served."""
        return f"http://{LOOPBACK}:{self.reports_port}"
