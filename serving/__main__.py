"""`python -m serving`: runs the service until it gets SIGTERM or SIGINT."""

import argparse
import logging
import sys

from pydantic import ValidationError

from serving.keys import KeysInvalid, read_keys
from serving.server import run
from serving.settings import Settings


def main() -> None:
    """Reads the settings, refuses those that are not safe, and serves."""
    argparse.ArgumentParser(
        prog="python -m serving",
        description="Serves the released model. Settings are environment variables: "
        + ", ".join(f"SERVING_{name.upper()}={field.default}" for name, field in Settings.model_fields.items()),
    ).parse_args()
    try:
        settings = Settings()
        demand_safe(settings)
    except (ValidationError, KeysInvalid) as error:
        sys.exit(f"serving: {error}")
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    run(settings)


def demand_safe(settings: Settings) -> None:
    """Demands keys of a service that others can reach.

    Raises:
        KeysInvalid: there are none, or they cannot be read.
    """
    keys = read_keys(settings.keys) if settings.keys else []
    if settings.is_public and not keys:
        raise KeysInvalid(
            f"SERVING_HOST={settings.host} can be reached by others, and there are no keys. Make one with "
            "`python -m serving.keys create keys.json NAME --scope predict`, and set SERVING_KEYS=keys.json"
        )


if __name__ == "__main__":
    main()
