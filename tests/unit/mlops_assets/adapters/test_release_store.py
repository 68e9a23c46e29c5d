import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.adapters.release_store import (
    MODEL_CARD,
    Lineage,
    ReleaseStore,
    ServedModel,
    cases_of,
    features_of,
    write_bundle,
)
from mlops_assets.domain.candidate import export_onnx, score, train
from serving import release
from serving.release import Pointer, ReleaseInvalid
from serving.slot import load
from tests.unit.mlops_assets.small_bundles import small_bundle
from tests.unit.mlops_assets.small_windows import COLOURS, as_drawn, small_dataset, small_frame

DATASET = small_dataset()
OPEN = small_dataset(
    features={
        "amount": {"type": "float"},
        "member": {"type": "boolean", "nullable": True},
        "plan": {"type": "category", "categories": ["free", "paid"], "nullable": True, "new_categories": "as_missing"},
    }
)
"""A contract with a boolean, and with a category that may get new values."""

pytestmark = pytest.mark.filterwarnings("ignore:Field onnx:DeprecationWarning")  # of skl2onnx in onnx


@pytest.fixture
def releases(tmp_path: Path) -> ReleaseStore:
    """A release store before its first bundle."""
    return ReleaseStore(tmp_path / "releases")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of version 1, somewhere else."""
    small_bundle(tmp_path / "elsewhere", 1)
    return tmp_path / "elsewhere"


def sha_of(bundle: Path) -> str:
    """The hash by which a bundle is known."""
    return release.sha256_of(bundle / release.MANIFEST)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pointer(version: int, epoch: int, sha: str = "0" * 64) -> Pointer:
    """A pointer to a bundle."""
    return Pointer(model_version=version, epoch=epoch, manifest_sha256=sha, promoted_at="2013-01-01T00:00:00+00:00")


def test_a_bundle_says_what_it_was_made_of(bundle: Path) -> None:
    """The service validates requests by it, and the user reads the lineage from it."""
    manifest = release.verify(bundle, manifest_sha256=sha_of(bundle), model_version=1)
    assert [feature.name for feature in manifest.features] == list(DATASET.features)
    assert manifest.features == features_of(DATASET)
    assert manifest.features[0].minimum == -1000
    assert manifest.features[3].categories == COLOURS
    assert (manifest.target, manifest.metrics) == ("late", {"auc": 0.7})
    assert [(part.window, part.data_version) for part in manifest.training_windows] == [
        ("2013-01", "aaaa"),
        ("2013-02", "bbbb"),
    ]
    assert manifest.validation_window.window == "2013-02"
    assert (manifest.dagster_run_id, manifest.mlflow_run_id) == ("run", "mlflow-1")
    assert set(manifest.files) == {release.MODEL, release.CASES, MODEL_CARD}


def test_a_unit_stands_with_the_description() -> None:
    """The service's documentation shows one text."""
    features = {"t": {"type": "float", "unit": "degF", "description": "Temperature"}, "n": {"type": "integer"}}
    assert [feature.description for feature in features_of(small_dataset(features=features))] == [
        "Temperature [degF]",
        "",
    ]


def test_cases_are_rows_as_a_client_sends_them() -> None:
    """Whole numbers as such, null as null, the shortest text of each float32, and the very answers of the pipeline."""
    frame = as_drawn(small_frame(60))
    answers = np.linspace(0, 1, 60)
    cases = cases_of(DATASET, frame, answers)
    assert [case.probability for case in cases] == answers.tolist()
    for case, (_, row) in zip(cases, frame.iterrows(), strict=True):
        assert list(case.row) == list(DATASET.features)
        assert isinstance(case.row["visits"], int)
        assert np.float32(str(case.row["amount"])) == row["amount"]
        assert len(str(case.row["amount"])) < 12
        assert case.row["age"] == (None if np.isnan(row["age"]) else float(str(np.float32(row["age"]))))
        assert case.row["plan"] == (None if pd.isna(row["plan"]) else row["plan"])


def open_frame(rows: int) -> pd.DataFrame:
    """Rows of the contract `OPEN` as a window holds them: the boolean is 1, 0 or NaN in float32."""
    member = np.resize(np.array([1, 0, np.nan, 0], np.float32), rows)
    frame = as_drawn(small_frame(rows)).assign(member=member)
    return frame.assign(late=(frame["amount"] + 90 * np.nan_to_num(member) - 40 * frame["plan"].isna()) > 0)


def test_a_bundle_says_what_becomes_of_new_values() -> None:
    """The service must refuse or accept what the window set aside or read as null."""
    assert [(feature.type, feature.new_categories) for feature in features_of(OPEN)] == [
        ("float", "quarantine"),
        ("boolean", "quarantine"),
        ("category", "as_missing"),
    ]


def test_a_boolean_of_a_case_is_true_false_or_null() -> None:
    """The service refuses 1.0, and with it the whole bundle."""
    cases = cases_of(OPEN, open_frame(4), np.zeros(4))
    answers = [case.row["member"] for case in cases]
    assert all(answer is said for answer, said in zip(answers, (True, False, None, False), strict=True))


def test_the_service_answers_a_bundle_with_booleans_and_new_values(releases: ReleaseStore, tmp_path: Path) -> None:
    """What was trained on floats and nulls is asked with true, false and texts that nobody knew then."""
    frame = open_frame(300)
    fitted = train(OPEN, frame)
    answers = score(fitted, OPEN, frame)
    (tmp_path / "open").mkdir()
    sha = write_bundle(
        tmp_path / "open",
        model=export_onnx(fitted),
        cases=cases_of(OPEN, frame, answers),
        dataset=OPEN,
        lineage=Lineage("small", 1, {"2013-01": "aaaa"}, ("2013-02", "bbbb"), "run", "mlflow"),
        importance={"amount": 0.125},
        card="",
        metrics={},
    )
    releases.publish(tmp_path / "open", model_version=1, manifest_sha256=sha)
    slot = load(releases.folder, pointer(1, 1, sha))
    assert np.allclose(ServedModel(export_onnx(fitted), features_of(OPEN)).score(frame), answers, atol=1e-6, rtol=0)
    gold, null, free = slot.predict(
        b'[{"amount": 20, "member": false, "plan": "gold"}, {"amount": 20, "member": false, "plan": null},'
        b' {"amount": 20, "member": false, "plan": "free"}]'
    )
    assert gold == null < free
    member, other, unknown = slot.predict(
        b'[{"amount": -60, "member": true}, {"amount": -60, "member": false}, {"amount": -60, "member": null}]'
    )
    assert member > max(other, unknown)


def test_fewer_answers_than_rows_make_no_cases() -> None:
    """A case with another row's answer would fail a good release."""
    with pytest.raises(ValueError, match="shorter"):
        cases_of(DATASET, as_drawn(small_frame(3)), np.array([0.5]))


def test_a_published_bundle_is_the_bundle(releases: ReleaseStore, bundle: Path) -> None:
    """Byte by byte, and nothing beside it."""
    releases.publish(bundle, model_version=1, manifest_sha256=sha_of(bundle))
    assert contents(releases.folder) == {f"1/{name}": content for name, content in contents(bundle).items()}
    assert releases.cases(1) == []


def test_publishing_twice_changes_nothing(releases: ReleaseStore, bundle: Path) -> None:
    """A step of a promotion is repeated after a crash, while the service has the files open."""
    for _ in range(2):
        releases.publish(bundle, model_version=1, manifest_sha256=sha_of(bundle))
        inodes = {path.name: path.stat().st_ino for path in (releases.folder / "1").iterdir()}
    releases.publish(bundle, model_version=1, manifest_sha256=sha_of(bundle))
    assert {path.name: path.stat().st_ino for path in (releases.folder / "1").iterdir()} == inodes


@pytest.mark.parametrize("name", [release.MODEL, release.CASES, release.MANIFEST])
def test_a_bundle_with_a_changed_byte_is_not_published(releases: ReleaseStore, bundle: Path, name: str) -> None:
    """What the gate judged is what is served, or nothing is."""
    sha = sha_of(bundle)
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(bytes(content))
    with pytest.raises(ReleaseInvalid):
        releases.publish(bundle, model_version=1, manifest_sha256=sha)
    assert contents(releases.folder) == {}


def break_off(bundle: Path) -> None:
    """The model is gone."""
    (bundle / release.MODEL).unlink()


def put_beside(bundle: Path) -> None:
    """A file that nobody judged."""
    (bundle / "extra.pkl").write_bytes(b"x")


def put_folder(bundle: Path) -> None:
    """A folder where files belong."""
    (bundle / "nested").mkdir()


def link_model(bundle: Path) -> None:
    """The model lies elsewhere and can change there."""
    shutil.move(bundle / release.MODEL, bundle.parent / "model.onnx")
    (bundle / release.MODEL).symlink_to(bundle.parent / "model.onnx")


@pytest.mark.parametrize("spoil", [break_off, put_beside, put_folder, link_model, shutil.rmtree])
def test_a_bundle_of_other_files_is_not_published(releases: ReleaseStore, bundle: Path, spoil: object) -> None:
    """Each with the exception that voids the promotion: any other would leave it open for ever."""
    sha = sha_of(bundle)
    assert callable(spoil)
    spoil(bundle)
    with pytest.raises(ReleaseInvalid):
        releases.publish(bundle, model_version=1, manifest_sha256=sha)
    assert contents(releases.folder) == {}


def test_a_bundle_of_another_version_is_not_published(releases: ReleaseStore, bundle: Path) -> None:
    """Two versions must not share a name."""
    with pytest.raises(ReleaseInvalid, match="is of version 1, expected 2"):
        releases.publish(bundle, model_version=2, manifest_sha256=sha_of(bundle))
    assert contents(releases.folder) == {}


def test_a_broken_copy_is_replaced(releases: ReleaseStore, bundle: Path) -> None:
    """A disk that lost a byte must not keep a version from ever being promoted again."""
    sha = sha_of(bundle)
    releases.publish(bundle, model_version=1, manifest_sha256=sha)
    (releases.folder / "1" / release.MODEL).write_bytes(b"broken")
    releases.publish(bundle, model_version=1, manifest_sha256=sha)
    release.verify(releases.folder / "1", manifest_sha256=sha, model_version=1)


def test_a_bundle_that_does_not_match_leaves_the_published_one(releases: ReleaseStore, bundle: Path) -> None:
    """It may be the one that is served."""
    releases.publish(bundle, model_version=1, manifest_sha256=sha_of(bundle))
    before = contents(releases.folder)
    with pytest.raises(ReleaseInvalid):
        releases.publish(bundle, model_version=1, manifest_sha256="f" * 64)
    assert contents(releases.folder) == before


def test_the_pointer_says_what_it_was_told_last(releases: ReleaseStore) -> None:
    """The ledger decides what is newer; a pointer that someone forged must not shield itself by a high epoch."""
    releases.folder.mkdir()
    assert releases.pointer() is None
    for version, epoch in ((1, 1), (2, 99), (1, 3)):
        releases.point_to(pointer(version, epoch))
        assert releases.pointer() == pointer(version, epoch)
    assert list(contents(releases.folder)) == [release.POINTER]


def test_production_is_scored_only_when_it_is_whole(releases: ReleaseStore, tmp_path: Path) -> None:
    """A candidate compared with a broken production would win against nothing."""
    frame = as_drawn(small_frame(300))
    fitted = train(DATASET, frame)
    sha = small_bundle(tmp_path / "real", 1, model=export_onnx(fitted))
    assert releases.production() is None
    releases.publish(tmp_path / "real", model_version=1, manifest_sha256=sha)
    releases.point_to(pointer(1, 1, sha))
    production = releases.production()
    assert production is not None
    assert (production.pointer.epoch, production.manifest.model_version) == (1, 1)
    assert np.allclose(production.model.score(frame), score(fitted, DATASET, frame), atol=1e-6, rtol=0)
    (releases.folder / "1" / release.MODEL).write_bytes(b"other")
    with pytest.raises(ReleaseInvalid, match=release.MODEL):
        releases.production()


def test_production_says_how_much_it_needs_each_feature(releases: ReleaseStore, tmp_path: Path) -> None:
    """What drifted is ranked by it, months after the training; a feature that misleads is below 0."""
    (tmp_path / "new").mkdir()
    sha = write_bundle(
        tmp_path / "new",
        model=export_onnx(train(DATASET, as_drawn(small_frame(100)))),
        cases=[],
        dataset=DATASET,
        lineage=Lineage("small", 1, {"2013-01": "aaaa"}, ("2013-02", "bbbb"), "run", "mlflow"),
        metrics={"auc": 0.7},
        importance={"visits": 0.0625, "amount": -0.001},
        card="",
    )
    releases.publish(tmp_path / "new", model_version=1, manifest_sha256=sha)
    releases.point_to(pointer(1, 1, sha))
    production = releases.production()
    assert production is not None
    assert production.manifest.importance == {"visits": 0.0625, "amount": -0.001}


def test_calibrations_lie_beside_the_bundles(releases: ReleaseStore, bundle: Path) -> None:
    """In a bundle, such a folder would be a file that the manifest does not name, and end the service."""
    releases.publish(bundle, model_version=1, manifest_sha256=sha_of(bundle))
    folders = {releases.calibrations(version) for version in (1, 2, 11)}
    assert len(folders) == 3
    for folder in folders:
        assert folder.parent == releases.folder
        folder.mkdir()
    assert releases.holds(1, manifest_sha256=sha_of(bundle))


def test_a_frame_of_another_order_or_index_scores_the_same() -> None:
    """Frames come filtered and sampled, so their index is not 0, 1, 2."""
    frame = as_drawn(small_frame(300))
    model = ServedModel(export_onnx(train(DATASET, frame)), features_of(DATASET))
    scores = model.score(frame)
    odd = frame.iloc[::-2][list(reversed(frame.columns))]
    assert np.array_equal(model.score(odd), scores[::-2])
