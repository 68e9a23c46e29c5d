"""Versions after the fact: trained again, compared with each other, and described by their cards."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from mlops_assets.adapters.model_registry import SCORES
from mlops_assets.adapters.release_store import MODEL_CARD
from mlops_assets.cli.compare import compare_versions, show, write_page
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.reproduce import as_json, reproduce, told
from mlops_assets.cli.state import MARK
from tests.integration.conftest import CONTRACT, Loop, new_loop

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Iterator[Loop]:
    """Version 1 was production, version 2 is, version 3 was refused; a shop is a segment."""
    folder = tmp_path_factory.mktemp("versions")
    contract = folder / "small.toml"
    segmented = CONTRACT.replace("[limits]", 'segments = ["shop"]\n[limits]')
    contract.write_text(segmented.replace("[gate]\n", "[gate]\nsegment_min_rows = 20\nsegment_margin = 0.3\n"))
    with new_loop(folder, empty_mlflow, contract=contract) as loop:
        (loop.settings.state / MARK).write_text("small")
        for window, flipped in (("2024-01", False), ("2024-02", True), ("2024-03", True)):
            loop.land(window, flipped=flipped)
            assert loop.ingest(window).success
            assert loop.train(window).success
        assert loop.served_version() == 2
        yield loop


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_version_trained_again_is_the_same(loop: Loop, version: int) -> None:
    """Promoted or not: metrics, predictions, and the exported model to the byte."""
    before = sorted(path for path in loop.settings.state.rglob("*") if path.is_file())
    found = reproduce(loop.settings, version)
    assert found.is_equal
    assert found.same_model
    assert found.same_code
    assert found.same_lock
    assert found.rows > 100
    assert "equal on all" in "\n".join(told(found))
    assert json.loads(json.dumps(as_json(found)))["is_equal"] is True
    assert len(loop.registry.versions()) == 3, "it registers nothing"
    assert sorted(path for path in loop.settings.state.rglob("*") if path.is_file()) == before


def test_a_version_that_comes_out_otherwise_is_told(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """By how much; other code or other libraries may be why."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    def fewer_trees(**given: object) -> HistGradientBoostingClassifier:
        return HistGradientBoostingClassifier(max_iter=20, **given)

    monkeypatch.setattr("mlops_assets.domain.candidate.HistGradientBoostingClassifier", fewer_trees)
    found = reproduce(loop.settings, 2)
    assert not found.is_equal
    assert not found.same_model
    assert found.differing_rows > 0
    assert found.largest_difference > 0
    lines = told(found)
    assert lines[-1] == "not equal"
    assert any("rows differ, by up to" in line for line in lines)


def test_scores_that_someone_edited_prove_nothing(loop: Loop, tmp_path: Path) -> None:
    """Their hash stands in the evidence."""
    client = loop.registry._client()
    run_id = client.get_model_version("small", "3").run_id
    assert run_id is not None
    kept = loop.registry.download_scores(3, tmp_path)
    (tmp_path / "edited").mkdir()
    edited = tmp_path / "edited" / SCORES
    edited.write_bytes(kept.read_bytes() + b"!")
    client.log_artifact(run_id, str(edited))
    try:
        with pytest.raises(UserError, match="are not those that the gate saw"):
            reproduce(loop.settings, 3)
    finally:
        client.log_artifact(run_id, str(kept))


def test_what_a_version_was_made_of_must_be_there(loop: Loop, tmp_path: Path) -> None:
    """What is missing, and what to do."""
    with pytest.raises(UserError, match="there is no version 9; `mlops status` lists them"):
        reproduce(loop.settings, 9)
    stored = loop.windows.current("2024-01")
    assert stored is not None
    folder = loop.settings.windows / "2024-01"
    shutil.move(folder, tmp_path / "away")
    try:
        with pytest.raises(
            UserError, match=f"data version {stored.data_version} of the window 2024-01 is not in .* any"
        ):
            reproduce(loop.settings, 1)
    finally:
        shutil.move(tmp_path / "away", folder)


def test_two_versions_are_compared_on_the_newest_window(loop: Loop, tmp_path: Path) -> None:
    """In numbers, as JSON, and as a page of pictures that needs nothing else."""
    found = compare_versions(loop.settings, 1, 2, None)
    assert found.window == "2024-03"
    assert found.metrics[1]["auc"] > found.metrics[0]["auc"] + 0.3
    assert found.gain.gain == pytest.approx(found.metrics[1]["auc"] - found.metrics[0]["auc"])
    assert {segment.name for segment in found.segments} == {"shop = north", "shop = south"}
    assert found.shifted_share > 0.5
    assert list(found.pictures) == ["roc", "calibration", "score_shift", "gain_by_segment"]
    assert json.loads(json.dumps(found.as_json()))["versions"] == [1, 2]
    write_page(found, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count('src="data:image/png;base64,') == 4
    console = Console(record=True, width=120)
    show(found, console)
    said = console.export_text()
    assert "gain in AUC" in said
    assert "shop = north" in said


def test_the_other_way_round_says_the_opposite(loop: Loop) -> None:
    """On a window of one's choice."""
    there, back = (compare_versions(loop.settings, *pair, "2024-01") for pair in ((1, 2), (2, 1)))
    assert there.window == "2024-01"
    assert back.gain.gain == pytest.approx(-there.gain.gain)
    assert back.mean_shift == pytest.approx(-there.mean_shift)


@pytest.mark.parametrize(
    ("versions", "window", "said"),
    [
        ((1, 9), None, "there is no version 9"),
        ((1, 2), "2030-01", "no window 2030-01 is in use"),
    ],
)
def test_what_cannot_be_compared_is_told(loop: Loop, versions: tuple[int, int], window: str | None, said: str) -> None:
    """What is missing, and where to look."""
    with pytest.raises(UserError, match=said):
        compare_versions(loop.settings, *versions, window)


def test_a_page_that_cannot_be_written_is_told(loop: Loop, tmp_path: Path) -> None:
    """With its path."""
    with pytest.raises(UserError, match="cannot be written"):
        write_page(compare_versions(loop.settings, 1, 2, None), tmp_path / "none" / "page.html")


@pytest.mark.parametrize("version", [1, 2, 3])
def test_every_version_has_its_card(loop: Loop, version: int, tmp_path: Path) -> None:
    """In MLflow, on the asset's page, and in the release, where its hash protects it."""
    bundle = loop.registry.download_bundle(version, tmp_path)
    card = (bundle / MODEL_CARD).read_text()
    assert card.startswith(f"# small, version {version}")
    described = loop.registry._client().get_model_version("small", str(version)).description
    assert described
    assert card.startswith(described)
    assert loop.reported("candidate_model", f"2024-0{version}")["model_card"] == card
    if version < 3:
        assert (loop.settings.releases / str(version) / MODEL_CARD).read_text() == card
