from pathlib import Path

import pytest

from mlops_assets.domain.location import absolute_location, masked, without_secrets


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("data/2024?x@y", "data/2024?x@y"),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("postgresql://host:5432/database", "postgresql://host:5432/database"),
        ("sftp://me@host/prefix", "sftp://me@host/prefix"),
        ("postgresql://me:hunter2@host/database", "postgresql://me:***@host/database"),
        ("postgresql://host/database?user=me&password=hunter2", "postgresql://host/database"),
        ("sftp://me:hun/ter2@host", "sftp://me:***@host"),
        ("s3://KEY:hun/ter2@bucket/prefix", "s3://KEY:***@bucket/prefix"),
        ("sftp://me:hun:t@er2@host", "sftp://me:***@host"),
        ("sftp://me@company.org:hunter2@host", "sftp://me@company.org:***@host"),
        ("sftp://me:hun?ter2@host", "sftp://***"),
        ("sftp://me:h@un?ter2@host", "sftp://***"),
        ("postgresql://host/database?password=hun@ter2", "postgresql://***"),
    ],
)
def test_a_location_is_shown_without_its_secrets(location: str, shown: str) -> None:
    """Wherever in a URL a password may stand, and whatever it is made of."""
    assert masked(location) == shown


def test_a_piece_of_a_password_is_a_secret_too() -> None:
    """The parser of a URL takes what stands before the slash for a port, and says it is none."""
    assert without_secrets("no port: 'hun'", "sftp://me:hun/ter2@host") == "no port: '***'"


@pytest.mark.parametrize(
    ("location", "secret"),
    [
        ("postgresql://host/x?user=me&password=hunter2", "hunter2"),
        ("sftp://me:hun%2Fter2@host", "hun/ter2"),
        ("s3://KEY:hun/ter2@bucket", "hun/ter2"),
    ],
)
def test_what_a_library_says_is_shown_without_the_secrets(location: str, secret: str) -> None:
    """Drivers repeat the URL, or a part of it, as it stands or decoded."""
    said = without_secrets(f"cannot open {location}: wrong password {secret}", location)
    assert secret not in said
    assert said.endswith("wrong password ***")
    assert masked(location) in said


@pytest.mark.parametrize(
    ("location", "absolute"),
    [
        ("data", "{work}/data"),
        ("~/data", "{home}/data"),
        ("/data", "/data"),
        ("file://data", "file://{work}/data"),
        ("sqlite:///landing.db", "sqlite:///{work}/landing.db"),
        ("sqlite+pysqlite:///~/landing.db", "sqlite+pysqlite:///{home}/landing.db"),
        ("sqlite:////data/landing.db", "sqlite:////data/landing.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite:///file:landing.db?uri=true", "sqlite:///file:landing.db?uri=true"),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("postgresql://me@host/database", "postgresql://me@host/database"),
        (" ", " "),
    ],
)
def test_a_path_means_the_same_from_every_directory(
    location: str, absolute: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sensor works in another one than the user who names it."""
    monkeypatch.chdir(tmp_path)
    assert absolute_location(location) == absolute.format(work=tmp_path, home=Path.home())
