"""The lock files, as far as it can be told without a package index: `make lock-check` asks one for the rest."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
EXTRAS = {
    "requirements.lock": ("serving", "graph", "dev"),
    "deploy/serving.lock": ("serving",),
    "deploy/graph.lock": ("graph",),
    "deploy/spark.lock": ("graph", "spark"),
}
LOCKS = pytest.mark.parametrize("lock", EXTRAS)
ENTRY = re.compile(
    r"(?P<name>[a-z0-9.-]+)==(?P<version>\S+)(?P<marker> ; [^\\]+)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n"
)


def entries(lock: str) -> list[re.Match[str]]:
    """What the lock pins; fails on anything else in it, as an entry without a hash."""
    text = re.sub(r"^ *#.*\n", "", (ROOT / lock).read_text(), flags=re.MULTILINE)
    found = list(ENTRY.finditer(text))
    rest = ENTRY.sub("", text)
    assert rest == "", f"{lock}: neither a version with its hashes nor a comment: {rest[:200]}"
    return found


def pins(lock: str) -> dict[str, set[str]]:
    """The versions by name; several where they differ by platform or Python."""
    versions: dict[str, set[str]] = {}
    for entry in entries(lock):
        versions.setdefault(entry["name"], set()).add(entry["version"])
    return versions


@LOCKS
def test_every_entry_has_its_hashes_and_nothing_names_a_registry(lock: str) -> None:
    """Prevents an install of something else under the same version, and a lock that works in one place alone."""
    assert len(entries(lock)) > 40
    assert "://" not in (ROOT / lock).read_text()
    assert "--index" not in (ROOT / lock).read_text()


@LOCKS
def test_a_lock_holds_what_pyproject_asks_for(lock: str) -> None:
    """Prevents a dependency that was added, or raised, without `make lock`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = project["dependencies"] + [
        requirement for extra in EXTRAS[lock] for requirement in project["optional-dependencies"][extra]
    ]
    pinned = pins(lock)
    missing = [
        requirement
        for requirement in map(Requirement, asked)
        if not any(
            requirement.specifier.contains(version, prereleases=True)
            for version in pinned.get(canonicalize_name(requirement.name), ())
        )
    ]
    assert missing == []


@pytest.mark.parametrize("lock", ["deploy/serving.lock", "deploy/graph.lock"])
def test_an_image_has_the_versions_that_the_tests_ran_with(lock: str) -> None:
    """Prevents an image that was never tested as it is."""
    tested = pins("requirements.lock")
    assert {name: versions for name, versions in pins(lock).items() if tested.get(name) != versions} == {}
