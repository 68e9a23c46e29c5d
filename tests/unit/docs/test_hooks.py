import re
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import PluginError

from docs.hooks import named
from tests.documents import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(folder)))
    return folder


def test_the_generated_pages_are_part_of_the_site(site: Path) -> None:
    for page, text in (
        ("settings", "MLOPS_HOME"),
        ("contract", "min_gain"),
        ("commands", "mlops explain"),
        ("http", "/predict"),
        ("metrics", "mlops_drift_share_threshold"),
    ):
        assert text in (site / "reference" / f"{page}.html").read_text()
    assert (site / "reference" / "openapi.json").stat().st_size > 10_000


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        text = page.read_text()
        assert re.findall(r"<(?:script|img|iframe)[^>]*src=.?https?:", text) == []
        assert re.findall(r"<link(?![^>]*rel=.?canonical)[^>]*href=.?https?:", text) == []


def test_a_file_outside_the_site_is_named_and_must_be_there() -> None:
    assert named("the lock", "../../requirements.lock", "concepts/data.md") == "the lock (`requirements.lock`)"
    assert named("install", "../deploy/install", "scale.md") == "`deploy/install`"
    assert named("the gate", "../concepts/gate.md", "how-to/approve.md") == "[the gate](../concepts/gate.md)"
    with pytest.raises(PluginError, match=r"there is no deploy/gone"):
        named("gone", "../deploy/gone", "scale.md")


def test_the_site_holds_no_source(site: Path) -> None:
    assert list(site.rglob("*.py")) == []
    assert list(site.rglob("take-lineage")) == []
