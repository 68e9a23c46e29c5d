"""What an operator may set: environment variables `SERVING_*`.

Only names, defaults and limits belong here; what they cause belongs to the module that reads them.
"""

import os
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Settings(BaseSettings):
    """The service's settings, read once at start."""

    model_config = SettingsConfigDict(
        env_prefix="SERVING_",
        frozen=True,
        hide_input_in_errors=True,  # a URL may hold a password
        use_attribute_docstrings=True,  # for --help
    )

    releases: Path = Path(".mlops/releases")
    """Folder with the bundles and `production.json`; it may appear after the service."""
    state: Path = Path(".mlops/serving")
    """Folder that the service writes: the prediction log, and what each worker serves."""
    host: str = "127.0.0.1"
    """Address to listen on; one that others can reach needs `keys`."""
    port: int = Field(default=8000, ge=1, le=65535)
    """Port to listen on."""
    workers: int = Field(default=1, ge=1, le=256)
    """Processes that answer, each with the model in its own memory; one per core is the most that helps."""
    poll_seconds: float = Field(default=0.2, gt=0)
    """How often the pointer is looked at."""
    rehearse_bytes: int = Field(default=16 * 1024 * 1024, ge=0)
    """Size of a model from which on it is loaded in a process of its own first."""
    rehearse_memory_bytes: int = Field(default=4 * 1024**3, ge=1)
    """Address space that such a process may use; an empty one takes about 1 GiB of it."""
    max_row_milliseconds: float = Field(default=50, gt=0)
    """What a model may take for a row; a slower one is refused, and the one before goes on."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What the service says of itself on stderr."""

    features: str | None = Field(default=None, repr=False)
    """A PostgreSQL that has the feature table, as `postgresql://user@host/database`; `features.sqlite` beside the
    releases where none is named."""
    features_timeout_seconds: float = Field(default=1.0, gt=0, le=60)
    """What a lookup in that database may take."""

    keys: Path | None = None
    """File of API keys, as `python -m serving.keys` writes it; without one every caller may ask everything."""
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ("127.0.0.1", "localhost", "[::1]")
    """Names that clients may call the service by, with commas between them, in the place of these; `*` takes all."""
    requests_per_second: float | None = Field(default=None, gt=0)
    """What one key, or without keys one address, may ask for; no limit where it is not set. Each worker grants its
    share of it, so a caller that reaches one worker alone gets less."""

    max_body_bytes: int = Field(default=8 * 1024 * 1024, ge=1024)
    """The largest body that is taken."""
    max_requests: int = Field(default=2048, ge=1)
    """Requests under way at once in a worker; one more is answered 503."""
    max_large_requests: int = Field(default=16, ge=1)
    """Those among them that are large enough for a thread, waiting ones included; one more is answered 503."""
    threads: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    """Threads of a worker for large requests."""
    read_seconds: float = Field(default=10, gt=0)
    """What a client has to send a request in, and to take its answer."""

    answer_seconds: float = Field(default=30, gt=0)
    """What a large request may take; then it is answered 503, and its thread is free when the model is done."""

    stuck_seconds: float = Field(default=30, ge=0)
    """How long a process may do nothing but one thing, as running a model that does not end; then it ends itself, for
    its supervisor to start another. 0 is for ever."""

    log_features: Literal["values", "hash"] = "values"
    """How the prediction log keeps what the model saw; of hashes no data window can be made."""
    log_sync_seconds: float = Field(default=1, ge=0)
    """How often the log is forced to the disk, for a machine that loses power; 0 is before each answer."""
    log_seal_seconds: float = Field(default=60, gt=0)
    """Age at which a segment is sealed, for the graph to gather."""
    log_segment_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    """Size at which it is sealed."""
    log_full: Literal["refuse", "serve-and-count"] = "refuse"
    """What becomes of a row that cannot be recorded: 503, or its answer, counted in `serving_unrecorded_rows`."""

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _apart(cls, hosts: object) -> object:
        if not isinstance(hosts, str):
            return hosts
        names = tuple(host.strip() for host in hosts.split(",") if host.strip())
        if odd := [name for name in names if not re.fullmatch(r"[\w.-]+|\*|\[[0-9a-fA-F:.]+\]", name)]:
            raise ValueError(f"{odd[0]!r} is no host name; give names with commas between them: a.example,b.example")
        return names

    @field_validator("features")
    @classmethod
    def _is_postgresql(cls, features: str | None) -> str | None:
        """An empty one, as compose files give it, is none."""
        if features and not features.startswith(("postgresql://", "postgres://")):
            raise ValueError("is a URL such as postgresql://user@host/database")
        return features or None

    @property
    def log(self) -> Path:
        """Folder of the prediction log."""
        return self.state / "log"

    @property
    def workers_folder(self) -> Path:
        """Where each worker says what it serves."""
        return self.state / "workers"

    @property
    def is_public(self) -> bool:
        """Whether others than this machine can reach the address."""
        try:
            return not ip_address(self.host).is_loopback
        except ValueError:
            return self.host != "localhost"
