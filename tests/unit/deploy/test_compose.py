"""docker-compose.yml as it is written, profiles and one-off programs too, which the smoke test starts in part."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
ENDS_BY_ITSELF = {"migrate", "keys", "backup"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_program_is_confined(name: str) -> None:
    """Prevents one that takes the machine's memory, reaches out of its container, or is reached from elsewhere."""
    service = SERVICES[name]
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert all(port.startswith("127.0.0.1:${") for port in service.get("ports", []))
    assert service.get("user") != "root"
    if not service["image"].startswith("closed-loop-mlops/"):  # ours name their user in the Dockerfile
        assert service["user"]


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - ENDS_BY_ITSELF))
def test_every_server_says_whether_it_is_well_and_comes_back(name: str) -> None:
    """Prevents `up --wait` from saying that all is well of one that is not."""
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    if name == "service":
        assert "\nHEALTHCHECK " in (ROOT / "deploy" / "serving.Dockerfile").read_text()
    else:
        assert service["healthcheck"]["test"]


def test_what_waits_for_another_waits_until_it_is_well() -> None:
    """Prevents a start that works on a fast machine alone."""
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if needed in ENDS_BY_ITSELF else "service_healthy"
            assert how == {"condition": wanted}, f"{name} on {needed}"


def test_every_setting_is_on_its_page() -> None:
    """Prevents one that is found in the file alone."""
    page = (ROOT / "docs" / "compose.md").read_text()
    assert {name for name in re.findall(r"\$\{(\w+)", TEXT) if f"`{name}`" not in page} == set()
