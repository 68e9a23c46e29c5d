import base64
import io

import matplotlib.image
import numpy as np
import pytest

from mlops_assets.adapters.comparison_pictures import comparison_pictures, gain_by_segment, score_shift
from tests.unit.mlops_assets.small_evidence import SEGMENT

TRUTH = np.arange(100) % 3 == 0
SCORES = {"candidate": np.linspace(0, 1, 100), "production": np.linspace(1, 0, 100)}


def shape_of(markdown: str) -> tuple[int, int]:
    """Height and width of the image in a Markdown text, which must be one that can be read."""
    encoded = markdown.partition("base64,")[2].rstrip(")")
    height, width, _ = matplotlib.image.imread(io.BytesIO(base64.b64decode(encoded))).shape
    return height, width


def test_a_comparison_is_drawn_from_every_side() -> None:
    """A first model, without segments, too."""
    found = comparison_pictures("2024-02", TRUTH, SCORES, (SEGMENT,))
    assert list(found) == ["roc", "calibration", "score_shift", "gain_by_segment"]
    assert all(min(shape_of(picture)) > 100 for picture in found.values())
    first = comparison_pictures("2024-02", TRUTH, {"candidate": SCORES["candidate"]}, ())
    assert list(first) == ["roc", "calibration", "score_shift"]


def test_segments_that_were_not_compared_are_not_drawn() -> None:
    """There is no gain to draw."""
    few = SEGMENT.model_copy(update={"gain": None, "low": None, "holds": None})
    assert "gain_by_segment" not in comparison_pictures("2024-02", TRUTH, SCORES, (few,))
    assert shape_of(gain_by_segment([SEGMENT, few], title="t")) == shape_of(gain_by_segment([SEGMENT], title="t"))


def test_of_many_segments_the_first_are_drawn() -> None:
    """A picture of a hundred airports cannot be read."""
    many = [SEGMENT.model_copy(update={"value": f"shop {number}", "gain": number / 100}) for number in range(100)]
    assert shape_of(gain_by_segment(many, title="t")) == shape_of(gain_by_segment(many[:20], title="t"))
    assert gain_by_segment(many, title="t") == gain_by_segment(many[::-1], title="t"), "those of the smallest gain"


@pytest.mark.parametrize("value", ["$a_b$", r"\frac{1}{", "Ünïcødé", "漢字"])
def test_any_segment_can_be_drawn(value: str) -> None:
    """Names are the user's."""
    assert shape_of(gain_by_segment([SEGMENT.model_copy(update={"value": value})], title="t"))


def test_scores_at_the_ends_are_counted() -> None:
    """A model that is sure of everything has all of its scores there."""
    sure = score_shift({"candidate": np.array([0.0, 1.0])}, title="t")
    assert sure != score_shift({"candidate": np.array([], float)}, title="t")
