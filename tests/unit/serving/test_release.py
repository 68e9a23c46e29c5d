"""Prevents that a bundle is served whose bytes are not the released ones."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.release import (
    CASES,
    MANIFEST,
    MODEL,
    POINTER,
    Pointer,
    ReleaseInvalid,
    read_cases,
    read_manifest,
    read_pointer,
    verify,
)
from tests.unit.serving.bundles import FEATURES, change_byte, change_manifest, promote, publish, write_bundle


def _verify(bundle: Path, pointer: Pointer, version: int = 1) -> None:
    verify(bundle, manifest_sha256=pointer.manifest_sha256, model_version=version)


def _remove_model(bundle: Path) -> None:
    (bundle / MODEL).unlink()


def _remove_manifest(bundle: Path) -> None:
    (bundle / MANIFEST).unlink()


def _add_file(bundle: Path) -> None:
    (bundle / "extra.bin").write_bytes(b"x")


def _add_folder(bundle: Path) -> None:
    (bundle / "extra").mkdir()


def _link_model(bundle: Path) -> None:
    elsewhere = bundle.parent / "elsewhere.onnx"
    (bundle / MODEL).rename(elsewhere)
    (bundle / MODEL).symlink_to(elsewhere)


def _change_model(bundle: Path) -> None:
    change_byte(bundle / MODEL)


def _truncate_cases(bundle: Path) -> None:
    (bundle / CASES).write_bytes((bundle / CASES).read_bytes()[:-1])


def _change_metrics(bundle: Path) -> None:
    change_manifest(bundle, metrics={"auc": 0.99})


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_change_model, "model.onnx: is"),
        (_truncate_cases, "cases.json: is"),
        (_remove_model, "model.onnx: missing"),
        (_remove_manifest, "manifest.json: missing"),
        (_add_file, "extra.bin: not named"),
        (_add_folder, "extra: not a regular file"),
        (_link_model, "model.onnx: not a regular file"),
        (_change_metrics, "manifest.json: sha256 is"),
    ],
)
def test_a_damaged_bundle_is_refused_by_name(releases: Path, damage: Callable[[Path], None], reason: str) -> None:
    """Prevents that a changed, missing, added or linked file is served."""
    bundle = write_bundle(releases, 1)
    pointer = promote(releases, 1, epoch=1)
    _verify(bundle, pointer)
    damage(bundle)
    with pytest.raises(ReleaseInvalid, match=reason):
        _verify(bundle, pointer)


def test_the_bundle_of_another_version_is_refused(releases: Path) -> None:
    """Prevents answers under the number of another version."""
    bundle = write_bundle(releases, 1)
    with pytest.raises(ReleaseInvalid, match="is of version 1, expected 2"):
        _verify(bundle, promote(releases, 1, epoch=1), version=2)


def test_a_linked_or_absent_bundle_is_refused(releases: Path) -> None:
    """Prevents that a bundle outside the folder is served."""
    pointer_of_1 = (write_bundle(releases, 1), promote(releases, 1, epoch=1))[1]
    (releases / "2").symlink_to(releases / "1")
    for name in ("2", "3"):
        with pytest.raises(ReleaseInvalid, match="there is no such bundle"):
            _verify(releases / name, pointer_of_1)


def test_a_manifest_of_another_format_is_refused(releases: Path) -> None:
    """Prevents that a later format is read as this one."""
    bundle = write_bundle(releases, 1)
    change_manifest(bundle, format_version=2)
    with pytest.raises(ReleaseInvalid, match="is of format 2"):
        _verify(bundle, promote(releases, 1, epoch=1))


def test_a_bundle_from_before_open_categories_is_read_as_strict(releases: Path) -> None:
    """Prevents that a roll back to an earlier release is refused, or lets new values in."""
    bundle = write_bundle(releases, 1)
    features = json.loads((bundle / MANIFEST).read_bytes())["features"]
    for feature in features:
        del feature["new_categories"]
    change_manifest(bundle, features=features)
    manifest = read_manifest(bundle)
    assert manifest.features == FEATURES
    assert {feature.new_categories for feature in manifest.features} == {"quarantine"}


def test_a_bundle_from_before_importance_is_read_without_any(releases: Path) -> None:
    """Prevents that production of an earlier release is no longer served, or drift from it no longer measured."""
    bundle = write_bundle(releases, 1)
    change_manifest(bundle, importance={"hour": 0.125})
    assert read_manifest(bundle).importance == {"hour": 0.125}
    content = json.loads((bundle / MANIFEST).read_bytes())
    del content["importance"]
    (bundle / MANIFEST).write_text(json.dumps(content))
    pointer = promote(releases, 1, epoch=1)
    assert verify(bundle, manifest_sha256=pointer.manifest_sha256, model_version=1).importance == {}


def test_no_pointer_is_none_and_a_truncated_one_an_error(releases: Path) -> None:
    """Prevents that a broken pointer passes for none."""
    assert read_pointer(releases) is None
    publish(releases, 1)
    content = (releases / POINTER).read_bytes()
    for broken in (b"", content[:20], b"\xff", content.replace(b'"epoch":1', b'"epoch":0')):
        (releases / POINTER).write_bytes(broken)
        with pytest.raises(ReleaseInvalid, match=r"production\.json"):
            read_pointer(releases)


def test_malformed_cases_are_an_error(releases: Path) -> None:
    """Prevents that a bundle without proof is served."""
    bundle = write_bundle(releases, 1)
    (bundle / CASES).write_bytes(b'[{"row": {}}]')
    with pytest.raises(ReleaseInvalid, match=r"cases\.json"):
        read_cases(bundle)


def test_a_boolean_in_a_case_stays_one(releases: Path) -> None:
    """Prevents that a case is replayed with 1.0 where a client says true."""
    bundle = write_bundle(releases, 1)
    (bundle / CASES).write_bytes(b'[{"row": {"holiday": true, "stops": 1, "delay": 1.0}, "probability": 0.5}]')
    (case,) = read_cases(bundle)
    assert [type(value) for value in case.row.values()] == [bool, int, float]
