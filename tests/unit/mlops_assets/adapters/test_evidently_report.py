import json
import os
import re
from collections.abc import Iterator
from dataclasses import astuple, dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, wasserstein_distance

from mlops_assets.adapters.evidently_report import Asked, Scored, run_report
from tests.unit.mlops_assets.small_windows import small_frame

BEFORE = small_frame(200)
NOW = small_frame(150, seed=1, shift=0.5)
ODD_NAMES = (
    "it's",
    'a "b"',
    " two  spaces ",
    "<b>bold</b>",
    "a|b,c.d/e%f",
    "Ünïcødé 漢字 🦆",
    "<img src=x onerror=alert(1)>",
    "a</script><img src=x onerror=alert(2)>",
    "<!--<script>",
    "{{x}} ${x} \\d",
)


@dataclass
class Page(HTMLParser):
    """What a browser makes of a page: its elements, and what the texts in the charts and tables are."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> "Page":
        """Reads a page that Evidently wrote."""
        page = cls()
        HTMLParser.__init__(page)
        text = path.read_text(encoding="utf-8")
        page.feed(text)
        page.close()
        found = re.search(r"^ *var \w+ = (\{.*\});$", text, re.MULTILINE)
        page.texts = list(_texts(json.loads(found[1]))) if found else []
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.tags.append((tag, dict(attrs)))


def _texts(part: Any) -> Iterator[str]:  # noqa: ANN401
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for value in part.values():
            yield from _texts(value)
    elif isinstance(part, list):
        for value in part:
            yield from _texts(value)


def scored(
    *columns: Asked, reference: pd.DataFrame = BEFORE, current: pd.DataFrame = NOW, html: Path | None = None
) -> dict[str, Scored]:
    """What the report says of the columns."""
    found, page = run_report(columns, reference=reference, current=current, drift_share_threshold=0.25)
    if html is not None:
        html.write_text(page, encoding="utf-8")
    return found


def told(columns: dict[str, Scored]) -> dict[str, tuple[Any, ...]]:
    """Method, score, threshold and verdict, by column."""
    return {name: astuple(column) for name, column in columns.items()}


def number(name: str, method: str | None = None, threshold: float | None = None, *, in_preset: bool = True) -> Asked:
    """A number to be measured."""
    return Asked(name, is_category=False, in_preset=in_preset, method=method, threshold=threshold)


def category(name: str, method: str | None = None, threshold: float | None = None, *, in_preset: bool = True) -> Asked:
    """A category to be measured."""
    return Asked(name, is_category=True, in_preset=in_preset, method=method, threshold=threshold)


def standardised_distance(name: str) -> float:
    """What `wasserstein` is documented to be."""
    before, now = (frame[name].dropna() for frame in (BEFORE, NOW))
    return float(wasserstein_distance(before, now) / np.std(before))


def distance_of_shares(name: str) -> float:
    """What `jensenshannon` is documented to be."""
    before, now = (frame[name].dropna().value_counts(normalize=True).sort_index() for frame in (BEFORE, NOW))
    return float(jensenshannon(before, now))


@pytest.mark.parametrize("in_preset", [True, False], ids=["of the preset", "outside the preset"])
def test_a_column_is_scored_by_the_method_and_the_threshold_that_are_named(in_preset: bool) -> None:
    """Calibrated thresholds that did not reach Evidently would leave its fixed ones, and nobody would see it."""
    found = scored(
        number("amount", "wasserstein", 0.2, in_preset=in_preset),
        number("visits", "wasserstein", 2.0, in_preset=in_preset),
        category("plan", "jensenshannon", 0.001, in_preset=in_preset),
        category("late", "jensenshannon", 0.7, in_preset=in_preset),
    )
    assert told(found) == {
        "amount": ("wasserstein", pytest.approx(standardised_distance("amount")), 0.2, True),
        "visits": ("wasserstein", pytest.approx(standardised_distance("visits")), 2.0, False),
        "plan": ("jensenshannon", pytest.approx(distance_of_shares("plan")), 0.001, True),
        "late": ("jensenshannon", pytest.approx(distance_of_shares("late")), 0.7, False),
    }
    assert standardised_distance("visits") > 0.1 > distance_of_shares("plan"), "by Evidently's own, both turn round"


@pytest.mark.parametrize("in_preset", [True, False], ids=["of the preset", "outside the preset"])
def test_evidently_chooses_where_nothing_is_named(in_preset: bool) -> None:
    """Of a p-value a small one has drifted: a verdict by `score >= threshold` would turn all of them round."""
    found = scored(
        number("amount", in_preset=in_preset),
        number("age", in_preset=in_preset),
        category("colour", in_preset=in_preset),
        category("late", in_preset=in_preset),
    )
    p_values = {name: ks_2samp(BEFORE[name].dropna(), NOW[name].dropna()).pvalue for name in ("amount", "age")}
    assert told(found)["amount"] == ("K-S p_value", pytest.approx(p_values["amount"]), 0.05, True)
    assert told(found)["age"] == ("K-S p_value", pytest.approx(p_values["age"]), 0.05, False)
    assert (found["colour"].method, found["colour"].drifted) == ("chi-square p_value", found["colour"].score < 0.05)
    assert (found["late"].method, found["late"].drifted) == ("Z-test p_value", found["late"].score < 0.05)


def test_evidently_chooses_a_distance_where_the_reference_is_large() -> None:
    """`raw` mode is its choice, which goes by the reference's rows; the name is the one that its page shows."""
    large = small_frame(1001)
    found = scored(number("amount"), category("colour", in_preset=False), reference=large, current=large)
    assert found["amount"] == Scored("Wasserstein distance (normed)", 0.0, 0.1, drifted=False)
    assert found["colour"] == Scored("Jensen-Shannon distance", 0.0, 0.1, drifted=False)


def test_only_a_method_or_only_a_threshold_may_be_named() -> None:
    """The other is Evidently's own, and neither is lost."""
    found = scored(number("amount", "psi"), number("age", None, 0.9), category("late", None, 0.9, in_preset=False))
    assert (found["amount"].method, found["amount"].threshold) == ("psi", 0.1)
    assert (found["age"].method, found["age"].threshold) == ("K-S p_value", 0.9)
    assert (found["late"].method, found["late"].threshold) == ("Z-test p_value", 0.9)


def test_a_score_of_exactly_the_threshold_counts_as_evidently_counts_it() -> None:
    """Its page would contradict the verdict else: a distance that reaches it has drifted, of `ed` it must exceed it."""
    names = ("amount", "visits", "age", "plan")
    methods = dict(zip(names, ("wasserstein", "ed", "psi", "hellinger"), strict=True))
    kinds = {name: category if name == "plan" else number for name in names}
    first = scored(*(kinds[name](name, methods[name]) for name in names))
    at = scored(*(kinds[name](name, methods[name], first[name].score) for name in names))
    assert {name: at[name].drifted for name in names} == {"amount": True, "visits": False, "age": True, "plan": True}
    above = {name: float(np.nextafter(first[name].score, np.inf)) for name in names}
    assert not any(
        one.drifted for one in scored(*(kinds[name](name, methods[name], above[name]) for name in names)).values()
    )


def test_one_infinite_value_is_treated_as_null() -> None:
    """Evidently's correlations and histograms fail on it, and the report of all other columns with them."""
    infinite = {
        side: frame.assign(amount=frame["amount"].where(frame.index != 3, value))
        for side, frame, value in (("before", BEFORE, np.inf), ("now", NOW, -np.inf))
    }
    null = {side: frame.replace([np.inf, -np.inf], np.nan) for side, frame in infinite.items()}
    columns = (number("amount", "psi", 0.1), number("age", "wasserstein", 0.1, in_preset=False))
    found = scored(*columns, reference=infinite["before"], current=infinite["now"])
    assert found == scored(*columns, reference=null["before"], current=null["now"])
    assert np.isfinite(found["amount"].score)


@pytest.mark.parametrize("in_preset", [True, False], ids=["of the preset", "outside the preset"])
def test_float32_columns_are_measured_as_the_same_numbers(in_preset: bool) -> None:
    """The window store draws float32: bins with its bounds leave out values at the ends."""
    chance = np.random.default_rng(3)
    before, now = (
        pd.DataFrame({name: chance.normal(1000, 1, rows) for name in ("a", "b", "c")}).astype("float32")
        for rows in (300, 200)
    )
    columns = [
        number(name, method, 0.1, in_preset=in_preset)
        for name, method in (("a", "wasserstein"), ("b", "psi"), ("c", "hellinger"))
    ]
    found = scored(*columns, reference=before, current=now)
    assert found == scored(*columns, reference=before.astype("float64"), current=now.astype("float64"))


def test_the_frames_stay_as_they_are() -> None:
    """Evidently drops nulls in place for some methods; the caller looks at its frames again."""
    before, now = BEFORE.assign(amount=np.inf), NOW.astype({"age": "float32"})
    copies = before.copy(), now.copy()
    scored(number("age", "hellinger", 0.1), category("plan", "hellinger", 0.1), reference=before, current=now)
    pd.testing.assert_frame_equal(before, copies[0])
    pd.testing.assert_frame_equal(now, copies[1])


def test_columns_that_are_not_asked_for_are_not_looked_at() -> None:
    """One that is empty, or of texts, would make Evidently fail for all."""
    before = BEFORE.assign(age=np.nan, odd=BEFORE["visits"].astype(object))
    found = scored(number("amount", "wasserstein", 0.1), reference=before, current=NOW.drop(columns=["age"]))
    assert list(found) == ["amount"]


def test_categories_of_booleans_nulls_and_numbers_are_measured() -> None:
    """Booleans are drawn as float32, and a target whose labels have not all come holds None."""
    before = pd.DataFrame(
        {"flag": np.array([0, 1, np.nan, 1] * 20, np.float32), "late": [True, None, False, True] * 20}
    )
    now = pd.DataFrame({"flag": np.array([1, 1, np.nan, 1] * 20, np.float32), "late": [True, None, True, True] * 20})
    found = scored(
        category("flag", "jensenshannon", 0.1),
        category("late", "jensenshannon", 0.1, in_preset=False),
        reference=before,
        current=now,
    )
    expected = float(jensenshannon([1 / 3, 2 / 3], [0, 1]))
    for name in ("flag", "late"):
        assert told(found)[name] == ("jensenshannon", pytest.approx(expected), 0.1, True)


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("value", [0.0, 5.0, 1e12])
def test_a_column_with_one_value_throughout_the_window_is_measured(value: float) -> None:
    """A sensor that hangs: its distribution has no width."""
    found = scored(number("amount", "wasserstein", 0.1), current=NOW.assign(amount=value))
    assert found["amount"].drifted
    assert np.isfinite(found["amount"].score)


def test_the_page_shows_the_same_verdicts_and_counts_the_presets_columns_alone(tmp_path: Path) -> None:
    """Target and scores do not count in the share; a page that says another one is believed."""
    page = tmp_path / "page.html"
    found = scored(
        number("amount", "wasserstein", 0.23),
        number("age", "wasserstein", 0.91),
        category("plan", "jensenshannon", 0.82),
        category("late", "jensenshannon", 0.01, in_preset=False),
        html=page,
    )
    assert [name for name, column in found.items() if column.drifted] == ["amount", "late"]
    texts = "\n".join(Page.read(page).texts)
    assert "Drift is detected for 33.333% of columns (1 out of 3)." in texts
    assert "Dataset Drift is detected. Dataset drift detection threshold is 0.25" in texts
    assert "Drift in column 'late'\nData drift detected." in texts
    assert "Drift in column 'amount'" not in texts, "it stands in the preset's table"
    assert "The drift threshold is 0.01." in texts
    for name, drift in (("amount", "yes"), ("age", "no"), ("plan", "no")):
        assert f"{name}\n{found[name].score:.4g}\n{found[name].threshold:.4g}\n{drift}" in texts


def test_without_a_column_of_the_preset_the_page_shows_the_others(tmp_path: Path) -> None:
    """Where no feature can be judged, the target still can."""
    found = scored(category("late", "jensenshannon", 0.1, in_preset=False), html=tmp_path / "page.html")
    assert list(found) == ["late"]
    texts = Page.read(tmp_path / "page.html").texts
    assert "Drift in column 'late'" in texts
    assert not any("Dataset Drift" in text for text in texts)


def test_a_page_is_one_file_that_needs_no_other(tmp_path: Path) -> None:
    """It is opened years later, from a folder that holds nothing else, on machines without the internet."""
    path = tmp_path / "2013-01.html"
    scored(number("amount"), html=path)
    assert [found.name for found in path.parent.iterdir()] == ["2013-01.html"]
    page = Page.read(path)
    assert "script" in [tag for tag, _ in page.tags]
    assert not {tag for tag, _ in page.tags} & {"iframe", "img", "link", "object", "embed", "base"}
    assert not [attributes for _, attributes in page.tags if {"src", "href", "data", "srcset"} & attributes.keys()]
    styles = re.findall(r"<style>.*?</style>", path.read_text(encoding="utf-8"), re.DOTALL)
    assert all(source.startswith("data:") for style in styles for source in re.findall(r"url\(([^)]*)", style))


@pytest.mark.parametrize("in_preset", [True, False], ids=["of the preset", "outside the preset"])
def test_odd_names_are_measured_and_are_texts_of_the_page(tmp_path: Path, in_preset: bool) -> None:
    """Columns are named by whoever made the data; a name must neither stop the report nor become a part of the page."""
    before, now = (frame.assign(**dict.fromkeys(ODD_NAMES, frame["amount"])) for frame in (BEFORE, NOW))
    plain, odd = tmp_path / "plain.html", tmp_path / "odd.html"
    expected = scored(number("amount", "wasserstein", 0.2, in_preset=in_preset), html=plain)["amount"]
    found = scored(
        *(number(name, "wasserstein", 0.2, in_preset=in_preset) for name in ODD_NAMES),
        reference=before,
        current=now,
        html=odd,
    )
    assert found == dict.fromkeys(ODD_NAMES, expected)
    page = Page.read(odd)
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in Page.read(plain).tags]
    shown = "{}" if in_preset else "Value Drift for column {}"
    assert {shown.format(name) for name in ODD_NAMES} <= set(page.texts)


def test_a_level_cannot_end_the_pages_script(tmp_path: Path) -> None:
    """Categories come from the data, and the page is opened in a browser beside Dagster's."""
    plain, odd, level = tmp_path / "plain.html", tmp_path / "odd.html", "</script><img src=x onerror=alert(3)>"
    samples = [frame.assign(plan=np.resize(["free", level], len(frame))) for frame in (BEFORE, NOW)]
    scored(category("plan"), html=plain)
    scored(category("plan"), reference=samples[0], current=samples[1], html=odd)
    page = Page.read(odd)
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in Page.read(plain).tags]
    assert any(level in text for text in page.texts), "it is still shown"


@pytest.mark.parametrize(("chosen", "stands"), [(None, "1"), ("yes", "yes")])
def test_evidently_reports_nothing_to_its_makers(
    monkeypatch: pytest.MonkeyPatch, chosen: str | None, stands: str
) -> None:
    """Nobody agreed to that, and behind a firewall each report would wait for it."""
    if chosen is None:
        monkeypatch.delenv("DO_NOT_TRACK", raising=False)
    else:
        monkeypatch.setenv("DO_NOT_TRACK", chosen)
    scored(number("amount"))
    assert os.environ["DO_NOT_TRACK"] == stands
