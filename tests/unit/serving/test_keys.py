"""Prevents that a key is kept in clear, outlives its time, or is let in for what it is not for."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from serving import keys
from serving.keys import Key, Keys, KeysInvalid, create, main, read_keys, revoke


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where keys will be."""
    return tmp_path / "keys.json"


def test_a_key_is_found_and_not_kept(file: Path) -> None:
    """Prevents that whoever reads the file can ask with what stands there."""
    secret = create(file, "web", ["predict"], days=None)
    assert secret not in file.read_text()
    found = Keys(read_keys(file)).find(secret.encode())
    assert found is not None
    assert found.name == "web"
    digest = hashlib.sha256(secret.encode()).hexdigest()
    assert Keys(read_keys(file)).find(digest.encode()) is None


def test_a_key_has_256_random_bits(file: Path) -> None:
    """Prevents keys that can be guessed, or made from one another."""
    secrets = {create(file, str(number), ["read"], days=None) for number in range(50)}
    assert len(secrets) == 50
    assert {len(secret) for secret in secrets} == {len(keys.PREFIX) + 43}


@pytest.mark.parametrize("wrong", [b"", b"x", b"mlops_", b"\xff\xfe", b"a" * 10_000])
def test_what_is_no_key_is_not_found(file: Path, wrong: bytes) -> None:
    """Prevents an open door, and an error where there should be a refusal."""
    create(file, "web", ["predict"], days=None)
    assert Keys(read_keys(file)).find(wrong) is None


def test_several_keys_live_at_once_and_one_is_revoked(file: Path) -> None:
    """Prevents that a key cannot be exchanged without an outage."""
    old, new = create(file, "old", ["predict"], days=None), create(file, "new", ["predict"], days=None)
    assert all(Keys(read_keys(file)).find(key.encode()) for key in (old, new))
    revoke(file, "old")
    left = Keys(read_keys(file))
    assert (left.find(old.encode()), left.find(new.encode()) is not None) == (None, True)


def test_an_expired_key_is_not_found(file: Path) -> None:
    """Prevents a key for ever."""
    assert Keys(read_keys(file) if file.exists() else []).find(b"x") is None
    gone, lives = create(file, "gone", ["read"], days=1e-9), create(file, "lives", ["read"], days=1)
    found = Keys(read_keys(file))
    assert (found.find(gone.encode()), found.find(lives.encode()) is not None) == (None, True)


@pytest.mark.parametrize("days", [0, -1])
def test_a_key_that_would_be_dead_at_once_is_not_made(file: Path, days: float) -> None:
    """Prevents that a slip is found out by the client."""
    with pytest.raises(KeysInvalid, match="would be dead at once"):
        create(file, "web", ["read"], days=days)
    assert not file.exists()


def test_scopes_hold_themselves_and_admin_all() -> None:
    """Prevents that a key for reading predicts, and that one for all does not read."""
    now = datetime.now(UTC)
    reader = Key(name="r", sha256="", scopes=("read",), created_at=now)
    admin = Key(name="a", sha256="", scopes=("admin",), created_at=now, expires_at=now + timedelta(1))
    assert [reader.allows(scope) for scope in ("read", "predict", "admin")] == [True, False, False]
    assert all(admin.allows(scope) for scope in ("read", "predict", "admin"))


def test_a_name_is_taken_once_and_revoked_by_name(file: Path) -> None:
    """Prevents that a revocation hits another key."""
    create(file, "web", ["read"], days=None)
    with pytest.raises(KeysInvalid, match="has a key 'web' already"):
        create(file, "web", ["read"], days=None)
    with pytest.raises(KeysInvalid, match="has no key 'wbe'; it has web"):
        revoke(file, "wbe")


def test_a_key_takes_the_place_of_one_of_its_name_and_of_no_other(file: Path) -> None:
    """Prevents that whoever lost a key goes on with it in force."""
    lost, other = create(file, "web", ["read"], days=None), create(file, "app", ["read"], days=None)
    new = create(file, "web", ["read"], days=None, replace=True)
    keys = Keys(read_keys(file))
    assert keys.find(lost.encode()) is None
    assert keys.find(new.encode()) is not None
    assert keys.find(other.encode()) is not None


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (b"[]", 0o666, "others than its owner can write it"),
        (b"[", 0o600, "truncated"),
        (b'[{"name": "x"}]', 0o600, "missing required field"),
        (b"\xff", 0o600, "malformed"),
        (
            b'[{"name": "x", "sha256": "' + b"0" * 64 + b'", "scopes": [], "created_at": "2026-01-01T00:00:00Z", '
            b'"expires_at": "2026-01-01T00:00:00"}]',
            0o600,
            "timezone",
        ),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused(file: Path, content: bytes, mode: int, said: str) -> None:
    """Prevents that others add a key of theirs, and that a torn file lets all in."""
    file.write_bytes(content)
    file.chmod(mode)
    with pytest.raises(KeysInvalid, match=said):
        read_keys(file)


def test_the_file_is_for_its_owner_alone(file: Path) -> None:
    """Prevents that it is left readable by a careless umask."""
    create(file, "web", ["read"], days=None)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_the_commands_add_show_and_revoke(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prevents commands that do otherwise than the functions."""
    main(["create", str(file), "web", "--scope", "predict", "--scope", "read", "--days", "90"])
    secret = capsys.readouterr().out.strip()
    main(["list", str(file)])
    shown = capsys.readouterr().out
    assert shown.startswith("web  predict,read  until ")
    assert hashlib.sha256(secret.encode()).hexdigest()[:12] in shown
    assert secret not in shown
    main(["revoke", str(file), "web"])
    assert msgspec.json.decode(file.read_bytes()) == []
    with pytest.raises(SystemExit, match="has no key 'web'"):
        main(["revoke", str(file), "web"])
