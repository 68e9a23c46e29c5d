"""`python -m serving`: runs the service until it gets SIGTERM or SIGINT."""

import argparse
import logging

import uvicorn

from serving.app import create_app
from serving.settings import Settings

GRACE_SECONDS = 3
"""For requests under way at SIGTERM; without a limit one slow client keeps the process alive."""


def main() -> None:
    """Reads the settings and serves."""
    argparse.ArgumentParser(
        prog="python -m serving",
        description="Serves the released model. Settings are environment variables: "
        + ", ".join(f"SERVING_{name.upper()}={field.default}" for name, field in Settings.model_fields.items()),
    ).parse_args()
    settings = Settings()
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        access_log=False,
        log_config=None,
        log_level=settings.log_level,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


if __name__ == "__main__":
    main()
