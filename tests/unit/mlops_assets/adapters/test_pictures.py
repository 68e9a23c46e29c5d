import base64
import io
import math
from collections.abc import Collection
from itertools import pairwise
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle, StepPatch

from mlops_assets.adapters.pictures import (
    BINS,
    COLOURS,
    MOST_LEVELS,
    MOST_PANELS,
    PANELS_A_LINE,
    curves,
    distribution_panels,
    distributions,
)
from mlops_assets.domain.evaluation import Curve

NORMAL = np.random.default_rng(0).normal(0, 1, 1_000)
NULLS = np.full(1_000, np.nan)
TEXTS = ("$a_b$", "$", r"\frac{1}{", "a_b^c", "%", "Ünïcødé", "漢字", "🦆", "", "a\nb", "nul\0", "very long " * 50)


def one_panel(reference: object, current: object, *, categorical: bool = False) -> Axes:
    """The panel of one column, from a figure that can be drawn."""
    return panel_of(pd.DataFrame({"x": reference}), pd.DataFrame({"x": current}), categorical=categorical)


def panel_of(reference: pd.DataFrame, current: pd.DataFrame, *, categorical: bool = False) -> Axes:
    """The panel of column `x`, from a figure that can be drawn."""
    figure = distribution_panels(reference, current, {"x": "said"}, categorical=["x"] if categorical else [])
    figure.savefig(io.BytesIO())
    (axes,) = figure.axes
    return axes


def role_of(colour: Any) -> str:  # noqa: ANN401  # as matplotlib types it
    """Whose sample is drawn in this colour."""
    return next(role for role, its in COLOURS.items() if same_color(colour, its))


def steps(axes: Axes) -> dict[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Shares and edges of the histograms, by role."""
    found = {}
    for patch in axes.patches:
        assert isinstance(patch, StepPatch)
        values, edges, _ = patch.get_data()
        filled = patch.get_fill()
        found[role_of(patch.get_facecolor() if filled else patch.get_edgecolor())] = (values, edges)
    return found


def bars(axes: Axes) -> dict[str, dict[str, float]]:
    """Heights of the bars by level, by role."""
    levels = [label.get_text() for label in axes.get_xticklabels()]
    found: dict[str, dict[str, float]] = {role: {} for role in COLOURS}
    for patch in axes.patches:
        assert isinstance(patch, Rectangle)
        level = levels[round(patch.get_x() + patch.get_width() / 2)]
        found[role_of(patch.get_facecolor())][level] = patch.get_height()
    return found


def legend_of(figure: Figure) -> tuple[list[str], str]:
    """The roles that the legend names, and its title."""
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()], legend.get_title().get_text()


def decoded(markdown: str, title: str) -> np.ndarray[Any, Any]:
    """The picture in the Markdown."""
    head = f"![{title}](data:image/png;base64,"
    assert markdown.startswith(head)
    assert markdown.endswith(")")
    content = base64.b64decode(markdown[len(head) : -1], validate=True)
    return np.asarray(matplotlib.image.imread(io.BytesIO(content), format="png"))


def inside(figure: Figure) -> bool:
    """Whether every text of the figure is drawn within it, and no panel over another."""
    figure.savefig(io.BytesIO())
    boxes = [box for axes in figure.axes if (box := axes.get_tightbbox()) is not None]
    boxes += [legend.get_window_extent() for legend in figure.legends]
    left, bottom, right, top = figure.bbox.extents
    within = all(left <= box.x0 and bottom <= box.y0 and box.x1 <= right and box.y1 <= top for box in boxes)
    return within and not any(one.overlaps(two) for at, one in enumerate(boxes) for two in boxes[:at])


def test_curves_are_a_picture_in_markdown() -> None:
    """Dagster shows the text as it is; a link would need a server."""
    picture = decoded(
        curves({"candidate": Curve(np.arange(2.0), np.arange(2.0))}, title="ROC on 2013-01", x="a", y="b"),
        "ROC on 2013-01",
    )
    assert picture.shape == (360, 450, 4)
    assert np.ptp(picture[..., 0]) > 0.5


def test_distributions_are_a_picture_in_markdown() -> None:
    """Likewise, with both samples in it."""
    frame = pd.DataFrame({"x": NORMAL})
    picture = decoded(distributions(frame, frame + 1, {"x": "moved"}, categorical=[]), "Distributions")
    assert picture.shape == (216, 240, 4)
    orange = (picture[..., 0] > 0.9) & (picture[..., 2] < 0.2)
    assert orange.sum() > 100


def test_each_column_has_its_panel_in_the_given_order() -> None:
    """The order is that of what matters most; a caption under another's name would blame the wrong column."""
    names = ["b", "c", "a", "e", "d"]
    frame = pd.DataFrame({name: NORMAL + at for at, name in enumerate(sorted(names))})
    figure = distribution_panels(frame, frame, {name: f"of {name}" for name in names}, categorical=[])
    assert [axes.get_title() for axes in figure.axes] == [f"{name}\nof {name}" for name in names]
    for name, axes in zip(names, figure.axes, strict=True):
        middle = float(np.mean(axes.get_xlim()))
        assert middle == pytest.approx(sorted(names).index(name), abs=0.5)
    places = [axes.get_position() for axes in figure.axes]
    assert [place.x0 for place in places[:PANELS_A_LINE]] == sorted(place.x0 for place in places[:PANELS_A_LINE])
    assert places[PANELS_A_LINE].x0 == places[0].x0
    assert places[PANELS_A_LINE].y1 < places[0].y0
    assert legend_of(figure) == (["reference", "current"], "")


@pytest.mark.parametrize(("columns", "title"), [(12, ""), (13, "12 of 13 columns"), (40, "12 of 40 columns")])
def test_twelve_columns_are_drawn_and_the_rest_is_told(columns: int, title: str) -> None:
    """A user must not take twelve for all."""
    frame = pd.DataFrame({f"x{at}": NORMAL[:50] for at in range(columns)})
    figure = distribution_panels(frame, frame, dict.fromkeys(map(str, frame), "said"), categorical=[])
    assert [axes.get_title() for axes in figure.axes] == [f"x{at}\nsaid" for at in range(MOST_PANELS)]
    assert legend_of(figure)[1] == title


@pytest.mark.parametrize("columns", [1, 2, 4, 5, 12, 13])
def test_all_texts_have_their_place(columns: int) -> None:
    """The places are fixed: the legend of one column, the longest turned levels and titles must fit in theirs."""
    frame = pd.DataFrame(
        {f"x{at}": np.resize([f"a long level {it}" for it in "abcdefgh"], 80) for at in range(columns)}
    )
    frame["x0"] = np.append(NORMAL[:79] * 1e9, np.inf)
    captions = dict.fromkeys(map(str, frame), "0.512 over 0.104")
    nearly_null = frame.tail(1).reindex(frame.index)
    for categorical in (list(frame.columns[1:]), list(frame.columns)):
        assert inside(distribution_panels(frame, nearly_null, captions, categorical=categorical))


def test_numbers_are_shares_of_their_own_sample_in_shared_bins() -> None:
    """Counts of samples that differ in size would look like drift."""
    shown = steps(one_panel(np.linspace(0, 10, 4_000), np.linspace(5, 15, 400)))
    (before, edges), (now, same) = shown["reference"], shown["current"]
    assert np.array_equal(edges, same)
    assert len(edges) == BINS + 1
    assert before.sum() == pytest.approx(0.995, abs=0.01)
    assert now.sum() == pytest.approx(0.995, abs=0.01)
    assert edges[[0, -1]] == pytest.approx([0, 15], abs=0.1)
    assert before[edges[1:] > 10.5].sum() == 0
    assert now[edges[:-1] < 4.5].sum() == 0


@pytest.mark.parametrize("far", [1e9, -1e9])
@pytest.mark.parametrize("rows", [150, 1_000])
def test_one_far_value_does_not_flatten_the_others(far: float, rows: int) -> None:
    """A sensor's 999,999 would leave one bar of everything else."""
    values = NORMAL[:rows]
    for samples in ((np.append(values, far), values), (values, np.append(values, far))):
        (_, edges), _ = steps(one_panel(*samples)).values()
        assert -4 < edges[0] < -1
        assert 1 < edges[-1] < 4


def test_a_small_window_that_lies_elsewhere_is_drawn() -> None:
    """A hundredth of all the rows, it is no outlier but the drift that the picture is to show."""
    shown = steps(one_panel(np.tile(NORMAL, 20), NORMAL[:50] + 100))
    assert shown["reference"][0].sum() > 0.95
    assert shown["current"][0].sum() > 0.9


@pytest.mark.parametrize("value", [0.0, 5.0, -3.0, 1e17, -1e300])
def test_a_constant_is_one_bar_in_the_middle(value: float) -> None:
    """There is no width to divide into bins, and far from 0 no 1 to add."""
    for shares, edges in steps(one_panel(np.full(50, value), np.full(1, value))).values():
        assert sorted(shares)[-2:] == [0, 1]
        assert edges[shares.argmax()] <= value <= edges[shares.argmax() + 1]
        assert np.all(np.diff(edges) > 0)


def test_infinite_values_are_not_shown_and_told() -> None:
    """They have no place on the axis, and would take it from the others; the others are not all there is."""
    infinite = np.where(NORMAL > 0, np.inf, np.where(NORMAL < -2, -np.inf, NORMAL))
    left = np.isfinite(infinite).mean()
    axes = one_panel(infinite, NORMAL)
    (shares, edges), _ = steps(axes).values()
    assert np.isfinite(edges).all()
    assert shares.sum() == pytest.approx(left, abs=0.01)
    assert axes.get_xlabel() == f"not shown {1 - shares.sum():.2%} → {1 - steps(axes)['current'][0].sum():.2%}"


def test_what_lies_outside_the_axis_is_told() -> None:
    """One far value is what broke, perhaps, and no bar shows it; where all is shown there is nothing to tell."""
    rows = np.arange(1_000.0) / 7
    assert one_panel(rows[:100], rows[:100]).get_xlabel() == ""
    assert one_panel(np.append(np.resize([0.25, 0.5], 399), 1e9), rows[:2]).get_xlabel() == "not shown 0.25% → 0.00%"
    assert one_panel(rows[:2], np.append(np.resize([0.25, 0.5], 399), 1e9)).get_xlabel() == "not shown 0.00% → 0.25%"
    assert one_panel([np.inf] * 4, [np.nan] * 4).get_xlabel() == "not shown 100.00% → 0.00%"


@given(
    st.lists(st.floats(width=32, allow_nan=False), max_size=40),
    st.lists(st.floats(width=32, allow_nan=False), max_size=40),
)
@settings(max_examples=40, deadline=None)
def test_bars_and_what_is_not_shown_are_all_of_each_side(before: list[float], now: list[float]) -> None:
    """Whatever a sensor sends, each row is in a bar of its side or told."""
    axes = one_panel(np.array(before), np.array(now))
    shown = {role: shares.sum() for role, (shares, _) in steps(axes).items()}
    hidden = [abs(1 - shown.get(role, 0)) if side else 0 for role, side in (("reference", before), ("current", now))]
    told = f"not shown {hidden[0]:.2%} → {hidden[1]:.2%}"
    assert axes.get_xlabel() == (told if max(hidden) > 1e-9 else "")


@given(st.integers(-(2**20), 2**20), st.integers(1, 3 * BINS))
@settings(max_examples=25, deadline=None)
def test_whole_numbers_that_are_alike_have_bars_that_are_alike(least: int, numbers: int) -> None:
    """Bins with one hour here and two there would show peaks that are none."""
    hours = np.arange(least, least + numbers + 1)
    for shares, edges in steps(one_panel(hours, hours)).values():
        assert len(shares) <= BINS
        assert shares[:-1] == pytest.approx(shares[0])  # the last one holds what is left
        assert shares.sum() == pytest.approx(1)
        assert edges[0] == least - 0.5


def test_halves_are_no_whole_numbers() -> None:
    """On one side alone, they would be counted with the next whole number on both."""
    for samples in (([0, 1, 2], [0, 0.5, 2]), ([0, 0.5, 2], [0, 1, 2])):
        assert [len(shares) for shares, _ in steps(one_panel(*samples)).values()] == [BINS, BINS]


def test_the_reference_is_an_area_and_the_window_a_line_over_it() -> None:
    """Two areas would hide one of them."""
    assert [patch.get_fill() for patch in one_panel(NORMAL, NORMAL).patches] == [True, False]


@pytest.mark.parametrize("empty", [NULLS, np.full(1_000, np.inf), pd.Series([None] * 1_000, dtype=object)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_side_without_values_leaves_the_other(empty: object, dtype: str) -> None:
    """A column that went away is what a user most wants to see."""
    values = NORMAL.astype(dtype)
    assert list(steps(one_panel(values, empty))) == ["reference"]
    assert list(steps(one_panel(empty, values))) == ["current"]
    assert steps(one_panel(empty, empty)) == {}


def test_levels_of_a_side_without_values_have_no_height() -> None:
    """The other side's bars stand alone."""
    texts, empty = np.resize(["a", "b"], 10), pd.Series([None] * 10, dtype=object)
    alone, none = {"a": 0.5, "b": 0.5}, {"a": 0, "b": 0}
    assert bars(one_panel(texts, empty, categorical=True)) == {"reference": alone, "current": none}
    assert bars(one_panel(empty, texts, categorical=True)) == {"reference": none, "current": alone}
    assert bars(one_panel(empty, empty, categorical=True)) == {"reference": {}, "current": {}}


@pytest.mark.parametrize("categorical", [False, True])
def test_a_column_missing_in_one_frame_is_null_there(categorical: bool) -> None:
    """A window of another shape is told, and not an error of the picture."""
    values = pd.DataFrame({"x": np.resize([1.0, 2.0], 10)})
    for samples, said in (((values, values[[]]), "0.0% → 100.0%"), ((values[[]], values), "100.0% → 0.0%")):
        axes = panel_of(*samples, categorical=categorical)
        assert axes.get_title() == f"x\nsaid, null {said}"
        assert axes.patches


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (0, 4, "said"),
        (0, 5, "said, null 0.0% → 0.5%"),
        (5, 0, "said, null 0.5% → 0.0%"),
        (250, 997, "said, null 25.0% → 99.7%"),
    ],
)
def test_nulls_are_told_from_half_a_percent_on(before: int, now: int, said: str) -> None:
    """They are in no bar; rounded to 0 % or 100 %, they would be told as none or all."""
    rows = np.arange(1_000)
    axes = one_panel(np.where(rows < before, np.nan, NORMAL), np.where(rows < now, np.nan, NORMAL))
    assert axes.get_title() == f"x\n{said}"


def test_bars_of_a_level_stand_beside_each_other() -> None:
    """The later one would hide the other."""
    drawn = one_panel(["a", "b"], ["a", "b"], categorical=True).patches
    ends = sorted(bar.get_window_extent().intervalx.tolist() for bar in drawn)
    assert len(ends) == 4
    assert all(one[1] <= two[0] + 1e-6 for one, two in pairwise(ends))


def test_long_levels_are_turned() -> None:
    """Side by side they would be written over each other."""
    for levels, turned in ((["ab", "cd"], False), ([f"level {at}" for at in range(6)], True)):
        labels = one_panel(levels, levels, categorical=True).get_xticklabels()
        assert {label.get_rotation() > 0 for label in labels} == {turned}


def test_a_power_of_ten_is_as_small_as_the_numbers_it_is_for() -> None:
    """It stands between them and the panel below."""
    axes = one_panel(NORMAL * 1e9, NORMAL * 1e9)
    assert axes.xaxis.get_offset_text().get_text()
    assert axes.xaxis.get_offset_text().get_fontsize() == axes.get_xticklabels()[0].get_fontsize()


def test_many_levels_of_one_side_are_no_other_levels_of_the_side_without_values() -> None:
    """What is left of nothing is nothing."""
    shown = bars(one_panel(levels_of([2] * 10), [None] * 20, categorical=True))
    assert shown["reference"]["other"] == pytest.approx(0.3)
    assert set(shown["current"].values()) == {0}


def test_booleans_are_two_levels() -> None:
    """A window stores them as 1.0, 0.0 and NaN; nulls are in no share."""
    stored = np.resize(np.array([1, 0, 0, np.nan, 0], np.float32), 100)
    shown = bars(one_panel(stored, np.resize([True, False], 100), categorical=True))
    assert shown == {"reference": {"0": 0.75, "1": 0.25}, "current": {"0": 0.5, "1": 0.5}}


@given(
    st.lists(st.sampled_from([*TEXTS, None]), min_size=1, max_size=30),
    st.lists(st.sampled_from([*TEXTS, None]), min_size=1, max_size=30),
    st.sampled_from(TEXTS),
)
@settings(max_examples=15, deadline=None)
def test_any_text_can_be_drawn(before: list[str | None], now: list[str | None], name: str) -> None:
    """Names, captions and levels come from the user's files: none is a formula, an error, or a warning."""
    reference, current = (pd.DataFrame({name: pd.Series(values, dtype=object)}) for values in (before, now))
    decoded(distributions(reference, current, {name: name[:40]}, categorical=[name]), "Distributions")


def test_texts_are_drawn_as_they_are_and_cut_where_they_are_long() -> None:
    """Two dollar signs would be a formula."""
    name = "$x_1$" * 10
    frame = pd.DataFrame({name: np.resize(["$a_b$", r"\$", "a very long level"], 9)})
    (axes,) = distribution_panels(frame, frame, {name: "$5 or $6"}, categorical=[name]).axes
    assert axes.get_title() == f"{name[:31]}…\n$5 or $6"
    labels = axes.get_xticklabels()
    assert [label.get_text() for label in labels] == ["$a_b$", r"\$", "a very l…"]
    assert not any(text.get_parse_math() for text in (axes.title, *labels))


def levels_of(counts: Collection[int]) -> list[str]:
    """So many rows of each level."""
    return [f"l{at}" for at, count in enumerate(counts) for _ in range(count)]


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=100).filter(any),
    st.lists(st.integers(0, 5), min_size=1, max_size=100).filter(any),
)
@settings(max_examples=20, deadline=None)
def test_bars_hold_all_of_each_side(before: list[int], now: list[int]) -> None:
    """Levels that have no bar of their own are in `other`, or the shares would not be comparable."""
    sides = {"reference": levels_of(before), "current": levels_of(now)}
    shown = bars(one_panel(*sides.values(), categorical=True))
    known = {*sides["reference"], *sides["current"]}
    for role, side in sides.items():
        assert math.fsum(shown[role].values()) == pytest.approx(1)
        assert len(shown[role]) == min(len(known), MOST_LEVELS + 1)
        assert ("other" in shown[role]) == (len(known) > MOST_LEVELS)
        for level, height in shown[role].items():
            assert level == "other" or height == pytest.approx(side.count(level) / len(side))
            assert height > -1e-9


def test_the_levels_with_the_greatest_shares_of_both_sides_have_bars() -> None:
    """A level that is new in the window is what drifted; in `other` it would not be seen."""
    reference = levels_of([20] * 10)
    shown = bars(one_panel(reference, [*reference, *["new"] * 200], categorical=True))
    assert shown["current"]["new"] == pytest.approx(0.5)
    assert shown["reference"]["new"] == 0


def test_texts_where_the_contract_has_numbers_are_levels() -> None:
    """Such a column drifted, as it cannot be judged any more; a picture of it must not stop the report."""
    shown = bars(one_panel([1.0, 1.0, 2.0], ["1", "none", "none", "none"]))
    assert shown == {
        "reference": {"1": pytest.approx(2 / 3), "2": pytest.approx(1 / 3), "none": 0},
        "current": {"1": 0.25, "2": 0, "none": 0.75},
    }


@pytest.mark.parametrize("categorical", [False, True])
@pytest.mark.parametrize("rows", [0, 1])
def test_hardly_any_rows_are_drawn(rows: int, categorical: bool) -> None:
    """What is too little to judge is no error here."""
    axes = one_panel(np.ones(rows), NORMAL[:rows], categorical=categorical)
    assert len(axes.patches) == (2 * rows if not categorical else 4 * rows)
