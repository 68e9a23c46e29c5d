"""What an operator may set: environment variables `SERVING_*`.

Only names, defaults and limits belong here; what they cause belongs to the module that reads them.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The service's settings, read once at start."""

    model_config = SettingsConfigDict(
        env_prefix="SERVING_",
        frozen=True,
        hide_input_in_errors=True,  # a URL may hold a password
    )

    releases: Path = Path(".mlops/releases")
    """Folder with the bundles and `production.json`; it may appear after the service."""
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    poll_seconds: float = Field(default=0.2, gt=0)
    """How often the pointer is looked at."""
    features: str | None = Field(default=None, repr=False)
    """A PostgreSQL that has the feature table, as `postgresql://user@host/database`; `features.sqlite` beside the
    releases where none is named."""
    features_timeout_seconds: float = Field(default=1.0, gt=0, le=60)
    """What a lookup in that database may take."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("features")
    @classmethod
    def _is_postgresql(cls, features: str | None) -> str | None:
        """An empty one, as compose files give it, is none."""
        if features and not features.startswith(("postgresql://", "postgres://")):
            raise ValueError("is a URL such as postgresql://user@host/database")
        return features or None
