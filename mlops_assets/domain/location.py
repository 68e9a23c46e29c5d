"""Locations where windows land, as texts: made absolute, and shown without what they keep secret.

Which landing a location means belongs to `mlops_assets.adapters.landing.choose`.
"""

import re
from pathlib import Path
from urllib.parse import unquote

FILE_SCHEMES = ("file", "local")
_SQLITE_FILE = re.compile(r"(?P<database>sqlite(?:\+\w+)?:///)(?!:|file:)(?P<path>.+)", re.DOTALL)
_USER_AND_PASSWORD = re.compile(r"([^:]*):(.*)@", re.DOTALL)
_TELLING = 3  # characters; shorter pieces are found in every text
_SECRET_OPTION = re.compile(r"(?:^|[&;])[^=&;]*(?:pass|pwd|secret|token|key)[^=&;]*=([^&;]*)", re.IGNORECASE)


def absolute_location(location: str) -> str:
    """The same location for a program that runs elsewhere: paths from the working directory on, `~` written out."""
    if sqlite := _SQLITE_FILE.fullmatch(location):
        return f"{sqlite['database']}{_absolute_path(sqlite['path'])}"
    scheme, is_url, rest = location.partition("://")
    if not is_url:
        return _absolute_path(location) if location.strip() else location
    return f"{scheme}://{_absolute_path(rest)}" if scheme in FILE_SCHEMES else location


def masked(location: str) -> str:
    """A location as it may be shown: without password, and without options, which may hold one."""
    scheme, is_url, rest = location.partition("://")
    if not is_url:
        return location
    rest, _, options = rest.partition("?")
    if "@" in options:
        # The question mark may be the password's own: nothing tells which part is the host.
        return f"{scheme}://***"
    # A password may hold `/`, `:` and `@` itself, so all up to the last `@` is taken for it.
    shown = _USER_AND_PASSWORD.sub(r"\1:***@", rest, count=1)
    return f"{scheme}://{shown}"


def holds_secret(location: str) -> bool:
    """Whether a URL says a password, before the host or among its options."""
    return any(_secrets_of(location))


def without_secrets(said: str, location: str) -> str:
    """What a library says of a location, without the location's secrets."""
    said = said.replace(location, masked(location))
    secrets = _secrets_of(location)
    # Where it holds what ends a host's name, a parser complains of a piece of it.
    secrets += [piece for secret in secrets for piece in re.split(r"[/?#@:]", secret) if len(piece) >= _TELLING]
    forms = {form for secret in secrets for form in (secret, unquote(secret)) if form}
    for secret in sorted(forms, key=len, reverse=True):
        said = said.replace(secret, "***")
    return said


def _secrets_of(location: str) -> list[str]:
    """The password of a URL, and what its options hide."""
    rest = location.partition("://")[2]
    user_and_password = _USER_AND_PASSWORD.match(rest)
    own = [user_and_password[2]] if user_and_password else []
    return own + _SECRET_OPTION.findall(rest.partition("?")[2])


def _absolute_path(path: str) -> str:
    return str(Path(path).expanduser().absolute())
