"""Prevents that a model is served which answers otherwise than the trained pipeline did."""

from pathlib import Path

import pytest

from serving.release import Case, Feature, ReleaseInvalid, Row
from serving.slot import load
from tests.unit.serving.bundles import CARRIERS, ROW, onnx_model, probability, promote, write_bundle


def test_a_whole_bundle_answers_as_its_formula(releases: Path) -> None:
    """Prevents that a sound bundle is refused."""
    write_bundle(releases, 3)
    slot = load(releases, promote(releases, 3, epoch=5))
    assert slot.predict(b'{"hour": 7, "dep delay": 12.5, "carrier": "B6"}') == pytest.approx([probability(ROW, 3)])
    assert (slot.manifest.model_version, slot.pointer.epoch, slot.example) == (3, 5, ROW)


def test_booleans_and_new_categories_are_answered(releases: Path) -> None:
    """Prevents that request, encoding and cases each have their own idea of a boolean or of a new value."""
    features = (
        Feature(name="dep delay", type="boolean", nullable=True),
        Feature(name="hour", type="integer", nullable=False),
        Feature(name="carrier", type="category", nullable=True, categories=CARRIERS, new_categories="as_missing"),
    )
    rows: list[Row] = [{"dep delay": delayed, "hour": 7, "carrier": None} for delayed in (True, False, None)]
    write_bundle(releases, 1, features=features, cases=[Case(row, probability(row, 1)) for row in rows])
    slot = load(releases, promote(releases, 1, epoch=1))
    new = b'{"dep delay": true, "hour": 7, "carrier": "a new line"}'
    assert slot.predict(new) == pytest.approx([probability(rows[0], 1)])
    known = b'{"dep delay": false, "hour": 7, "carrier": "B6"}'
    assert slot.predict(known) == pytest.approx([probability({"dep delay": False, "hour": 7, "carrier": "B6"}, 1)])


@pytest.mark.parametrize(
    ("row", "stated", "reason"),
    [
        (ROW, probability(ROW, 1) + 2e-6, "case 1 is"),
        (ROW, 0.9, "case 1 is"),
        ({**ROW, "hour": 24}, 0.5, r"\$\[1\]\.hour"),
        ({"dep delay": 1.0}, 0.5, "hour"),
    ],
)
def test_a_case_that_is_not_answered_as_stated_refuses_the_bundle(
    releases: Path, row: Row, stated: float, reason: str
) -> None:
    """Prevents that a model lost in export is served."""
    write_bundle(releases, 1, cases=[Case(ROW, probability(ROW, 1)), Case(row, stated)])
    with pytest.raises(ReleaseInvalid, match=reason):
        load(releases, promote(releases, 1, epoch=1))


def test_a_model_that_answers_a_case_with_nan_is_refused(releases: Path) -> None:
    """Prevents that NaN slips through a comparison."""
    write_bundle(releases, 1, model=onnx_model(1, nulls=False))
    with pytest.raises(ReleaseInvalid, match="not finite"):
        load(releases, promote(releases, 1, epoch=1))


def test_a_model_with_a_third_class_is_refused(releases: Path) -> None:
    """Prevents that column 1 of another kind of model passes for the probability of true."""
    write_bundle(releases, 1, model=onnx_model(1, classes=3))
    with pytest.raises(ReleaseInvalid, match="has shape"):
        load(releases, promote(releases, 1, epoch=1))


def test_a_bundle_without_a_case_proves_nothing(releases: Path) -> None:
    """Prevents that no case counts as all cases passed."""
    write_bundle(releases, 1, cases=[])
    with pytest.raises(ReleaseInvalid, match="holds no case"):
        load(releases, promote(releases, 1, epoch=1))


def test_a_model_that_is_too_slow_for_a_row_is_refused(releases: Path) -> None:
    """Prevents that a promotion makes every answer late."""
    write_bundle(releases, 1)
    pointer = promote(releases, 1, epoch=1)
    with pytest.raises(ReleaseInvalid, match=r"^model.onnx: takes [0-9.]+ ms for a row, the service allows 1e-06$"):
        load(releases, pointer, max_row_milliseconds=1e-6)
    load(releases, pointer, max_row_milliseconds=10_000)
