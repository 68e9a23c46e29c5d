"""`python -m serving`: runs the service until it gets SIGTERM or SIGINT."""

import argparse
import logging
import sys
import textwrap
from typing import Literal, get_args, get_origin

from pydantic import ValidationError

from serving.keys import KeysInvalid, read_keys
from serving.server import run
from serving.settings import Settings


def main() -> None:
    """Reads the settings, refuses those that are not safe, and serves."""
    argparse.ArgumentParser(
        prog="python -m serving",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Serves the released model. Settings are environment variables:\n\n" + described_settings(),
    ).parse_args()
    try:
        settings = Settings()
        demand_safe(settings)
    except ValidationError as error:
        sys.exit("\n".join(f"SERVING_{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors()))
    except KeysInvalid as error:
        sys.exit(f"serving: {error}")
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    run(settings)


def described_settings() -> str:
    """A paragraph for each setting: name, default, what it may be and what it is for."""
    paragraphs = []
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        shown = ",".join(default) if isinstance(default, tuple) else "" if default is None else default
        choices = f"One of {', '.join(get_args(field.annotation))}. " if get_origin(field.annotation) is Literal else ""
        text = textwrap.wrap(choices + (field.description or ""), 96, initial_indent="    ", subsequent_indent="    ")
        paragraphs.append("\n".join([f"SERVING_{name.upper()}={shown}", *text]))
    return "\n".join(paragraphs)


def demand_safe(settings: Settings) -> None:
    """Demands keys of a service that others can reach.

    Raises:
        KeysInvalid: there are none, or they cannot be read.
    """
    keys = read_keys(settings.keys) if settings.keys else []
    if settings.is_public and not keys:
        raise KeysInvalid(
            f"SERVING_HOST={settings.host} can be reached by others, and there are no keys. Make one with "
            "`python -m serving.keys create keys.json NAME --scope predict`, and set SERVING_KEYS=keys.json, and in "
            "SERVING_ALLOWED_HOSTS the name that clients call it by"
        )


if __name__ == "__main__":
    main()
