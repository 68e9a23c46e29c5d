"""What an operator may set: environment variables `SERVING_*`.

Only names, defaults and limits belong here; what they cause belongs to the module that reads them.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The service's settings, read once at start."""

    model_config = SettingsConfigDict(env_prefix="SERVING_", frozen=True)

    releases: Path = Path(".mlops/releases")
    """Folder with the bundles and `production.json`; it may appear after the service."""
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    poll_seconds: float = Field(default=0.2, gt=0)
    """How often the pointer is looked at."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
