"""API keys: who may ask what. `python -m serving.keys` adds, lists and revokes them.

The file holds a hash of each key and never a key. Which scope a request needs is decided by `serving.door`.
"""

import argparse
import hashlib
import os
import secrets
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec

Scope = Literal["predict", "read", "admin"]
"""`predict` asks for predictions and sends labels, `read` looks at model, schema and metrics, `admin` does all."""
PREFIX = "mlops_"
"""Tells a key from other secrets, for those who search their files and logs for leaked ones."""
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class KeysInvalid(Exception):
    """The file of keys cannot be used; the message says why."""


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is kept of a key."""

    name: str
    """By which it is shown, limited and revoked; several keys of one owner have names of their own."""
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    """Of the key itself, which has 256 random bits: no slower hash would protect it better."""
    scopes: tuple[Scope, ...]
    created_at: Moment
    expires_at: Moment | None = None

    def allows(self, scope: Scope) -> bool:
        """Whether the key's scopes hold this one."""
        return scope in self.scopes or "admin" in self.scopes

    def is_live(self, now: datetime) -> bool:
        """Whether it has not expired."""
        return self.expires_at is None or now < self.expires_at


class Keys:
    """The keys of a file at one moment."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self._by_hash = {bytes.fromhex(key.sha256): key for key in keys}

    def find(self, presented: bytes) -> Key | None:
        """The live key of these bytes; they are hashed first, so the time that it takes tells nothing of a key."""
        key = self._by_hash.get(hashlib.sha256(presented).digest())
        return key if key is not None and key.is_live(datetime.now(UTC)) else None

    def __len__(self) -> int:
        return len(self._by_hash)


def read_keys(path: Path) -> list[Key]:
    """The keys of a file.

    Raises:
        KeysInvalid: it is not there, no list of keys, or others could add one.
    """
    try:
        if path.stat().st_mode & 0o022:
            raise KeysInvalid(f"{path}: others than its owner can write it; chmod 600 it")
        return msgspec.json.decode(path.read_bytes(), type=list[Key])
    except OSError as error:
        raise KeysInvalid(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KeysInvalid(f"{path}: {error}") from error


def create(path: Path, name: str, scopes: Sequence[Scope], *, days: float | None, replace: bool = False) -> str:
    """Adds a key to the file, which is made where there is none.

    Args:
        path: The file.
        name: The key's, by which it is shown and revoked.
        scopes: What it may be used for.
        days: Until it expires; None for ever.
        replace: Whether it takes the place of a key of this name, which is dead then.

    Returns:
        The key, which is kept nowhere.

    Raises:
        KeysInvalid: the file cannot be used, or has a key of this name.
    """
    if days is not None and days <= 0:
        raise KeysInvalid(f"a key for {days:g} days would be dead at once; give a number above 0")
    keys = read_keys(path) if path.exists() else []
    others = [key for key in keys if key.name != name]
    if len(others) < len(keys) and not replace:
        raise KeysInvalid(f"{path}: has a key {name!r} already; revoke it first, or give the new one another name")
    secret = PREFIX + secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    added = Key(
        name=name,
        sha256=hashlib.sha256(secret.encode()).hexdigest(),
        scopes=tuple(scopes),
        created_at=now,
        expires_at=None if days is None else now + timedelta(days=days),
    )
    _write(path, [*others, added])
    return secret


def revoke(path: Path, name: str) -> None:
    """Takes a key out of the file; running services refuse it from their next look on.

    Raises:
        KeysInvalid: the file cannot be used, or has no such key.
    """
    keys = read_keys(path)
    if all(key.name != name for key in keys):
        raise KeysInvalid(f"{path}: has no key {name!r}; it has {', '.join(key.name for key in keys) or 'none'}")
    _write(path, [key for key in keys if key.name != name])


def _write(path: Path, keys: Sequence[Key]) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(keys)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m serving.keys", description="API keys of the prediction service.")
    commands = parser.add_subparsers(dest="command", required=True)
    for command, text in (("create", "add a key and print it"), ("list", "show the keys"), ("revoke", "take one out")):
        asked = commands.add_parser(command, help=text, description=text)
        asked.add_argument("file", type=Path, help="the file that SERVING_KEYS names")
        if command != "list":
            asked.add_argument("name", help="by which the key is shown and revoked")
        if command == "create":
            asked.add_argument(
                "--scope", action="append", required=True, choices=get_args(Scope), help="may be repeated"
            )
            asked.add_argument("--days", type=float, help="until it expires; for ever where not given")
            asked.add_argument("--replace", action="store_true", help="take the place of a key of this name")
    given = parser.parse_args(arguments)
    try:
        if given.command == "create":
            secret = create(given.file, given.name, given.scope, days=given.days, replace=given.replace)
            sys.stdout.write(secret + "\n")
        elif given.command == "revoke":
            revoke(given.file, given.name)
        else:
            for key in read_keys(given.file):
                until = f"until {key.expires_at:%Y-%m-%d %H:%M} UTC" if key.expires_at else "for ever"
                state = "" if key.is_live(datetime.now(UTC)) else "  expired"
                # The hash's beginning tells which key it is whose text one has: `printf %s KEY | sha256sum`.
                sys.stdout.write(f"{key.name}  {','.join(key.scopes)}  {until}  {key.sha256[:12]}{state}\n")
    except KeysInvalid as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
