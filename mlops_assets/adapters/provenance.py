"""Where a model's code comes from: hashes of the package's source and of the lock that it was installed from."""

import hashlib
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
LOCK = PACKAGE.parent / "requirements.lock"


def code_sha256() -> str:
    """Hash of every Python and TOML file of the package, by name and content."""
    digest = hashlib.sha256()
    for path in sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.toml")]):
        digest.update(str(path.relative_to(PACKAGE)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def lock_sha256() -> str:
    """Hash of `requirements.lock` beside the package; `none` where the package runs without its repository."""
    return hashlib.sha256(LOCK.read_bytes()).hexdigest() if LOCK.exists() else "none"
