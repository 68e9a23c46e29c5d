"""Pictures for Dagster's metadata, as Markdown with the image in it: curves of models, and distributions of columns."""

import base64
import io
import math
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlops_assets.domain.drift_columns import Column
from mlops_assets.domain.evaluation import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 12
PANELS_A_LINE = 4
BINS = 30
MOST_LEVELS = 7
"""Of a category; the others are one bar."""
SHOWN = (0.005, 0.995)
"""Quantiles of each sample between which numbers are drawn: one far value would flatten the others. Said below them is
how much of each sample lies outside."""
LEAST_NULLS = 0.005
"""A smaller share of nulls is not told."""
PANEL, LEGEND = (3.0, 2.3), 0.4
"""Inches: width and height of a panel with its texts, and the height of the legend above all of them."""
MARGINS = {"side": 0.1, "above": 0.35, "below": 0.55}
"""Inches of a panel that are for its texts. A layout engine would find them by drawing everything twice."""
COLOURS = {"reference": "0.55", "current": "tab:orange"}


def curves(curves_by_model: Mapping[str, Curve], *, title: str, x: str, y: str) -> str:
    """Draws curves in the unit square, with its diagonal.

    Returns:
        Markdown that shows the picture without any file or server.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4), dpi=90, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", linewidth=1)
    for model, curve in curves_by_model.items():
        axes.plot(curve.x, curve.y, label=model, marker="o" if len(curve.x) <= 20 else "")
    axes.set(title=title, xlabel=x, ylabel=y, xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    return as_markdown(figure, title)


def distributions(
    reference: pd.DataFrame, current: pd.DataFrame, captions: Mapping[str, str], *, categorical: Collection[str]
) -> str:
    """Draws columns of two samples over each other, a panel each.

    Args:
        reference: The reference's sample.
        current: The window's sample.
        captions: What is said of each column, by its name, in the order to be drawn: one at least, of which
            the first twelve are.
        categorical: Columns whose levels are drawn as bars.

    Returns:
        Markdown that shows the picture without any file or server.
    """
    return as_markdown(distribution_panels(reference, current, captions, categorical=categorical), "Distributions")


def distribution_panels(
    reference: pd.DataFrame, current: pd.DataFrame, captions: Mapping[str, str], *, categorical: Collection[str]
) -> "Figure":
    """The figure that `distributions` gives as Markdown."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    drawn = list(captions.items())[:MOST_PANELS]
    lines = math.ceil(len(drawn) / PANELS_A_LINE)
    across = min(len(drawn), PANELS_A_LINE)
    figure = Figure(figsize=(PANEL[0] * across, PANEL[1] * lines + LEGEND), dpi=80)
    for at, (name, caption) in enumerate(drawn):
        axes = figure.add_axes(_place(at, *figure.get_size_inches()))
        samples = {"reference": _values(reference, name), "current": _values(current, name)}
        if name in categorical or not all(map(_holds_numbers, samples.values())):
            _draw_levels(axes, samples)
        else:
            _draw_numbers(axes, samples)
        nulls = _nulls(reference, name), _nulls(current, name)
        said = f"{caption}, null {nulls[0]:.1%} → {nulls[1]:.1%}" if max(nulls) >= LEAST_NULLS else caption
        axes.set_title(f"{_short(name)}\n{said}", fontsize=8, parse_math=False)
        axes.tick_params(labelsize=7)
        axes.set_yticks([])
    handles = [Patch(color=colour, label=role) for role, colour in COLOURS.items()]
    title = f"{len(drawn)} of {len(captions)} columns" if len(captions) > len(drawn) else None
    figure.legend(handles=handles, loc="upper right", ncols=2, fontsize=7, frameon=False, title=title, title_fontsize=7)
    return figure


def _place(at: int, width: float, height: float) -> tuple[float, float, float, float]:
    """Left, bottom, width and height of a panel's axes, as shares of the figure's size in inches."""
    line, column = divmod(at, PANELS_A_LINE)
    left = PANEL[0] * column + MARGINS["side"]
    bottom = height - LEGEND - PANEL[1] * (line + 1) + MARGINS["below"]
    across, up = PANEL[0] - 2 * MARGINS["side"], PANEL[1] - MARGINS["above"] - MARGINS["below"]
    return left / width, bottom / height, across / width, up / height


def _values(frame: pd.DataFrame, name: str) -> Column:
    return frame[name].dropna() if name in frame.columns else pd.Series(dtype=float)


def _nulls(frame: pd.DataFrame, name: str) -> float:
    return float(frame[name].isna().mean()) if name in frame.columns and len(frame) else 1.0


def _holds_numbers(values: Column) -> bool:
    return not len(values) or pd.api.types.is_numeric_dtype(values)


def _draw_numbers(axes: "Axes", samples: Mapping[str, Column]) -> None:
    numbers = {role: values.to_numpy(np.float64) for role, values in samples.items()}
    edges = _edges([finite for values in numbers.values() if len(finite := values[np.isfinite(values)])])
    outside = []
    for role, values in numbers.items():
        counts, _ = np.histogram(values, edges)
        outside.append((len(values) - counts.sum()) / max(len(values), 1))
        if counts.any():
            axes.stairs(counts / len(values), edges, fill=role == "reference", color=COLOURS[role])
    if any(outside):
        axes.set_xlabel("not shown {:.2%} → {:.2%}".format(*outside), fontsize=7, labelpad=1)
    axes.xaxis.get_offset_text().set_fontsize(7)


def _edges(samples: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Bins of one width for finite values of both samples."""
    # Of each, not of both together: a small window that lies elsewhere would be cut off as far values.
    ends = [np.quantile(values, SHOWN, method="nearest") for values in samples] or [np.array([0.0, 1.0])]
    low, high = float(np.min(ends)), float(np.max(ends))
    if low == high:
        low, high = low - max(abs(low), 1) / 2, high + max(abs(high), 1) / 2
    elif all(np.array_equal(values, np.rint(values)) for values in samples):
        # Each bin holds as many whole numbers: with one here and two there, there would be peaks that are none.
        width = np.ceil((high - low + 1) / BINS)
        return np.arange(low - 0.5, high + width, width)
    return np.linspace(low, high, BINS + 1)


def _draw_levels(axes: "Axes", samples: Mapping[str, Column]) -> None:
    shares = {role: _as_levels(values).value_counts(normalize=True) for role, values in samples.items()}
    total = shares["reference"].add(shares["current"], fill_value=0).sort_values(ascending=False, kind="stable")
    levels = sorted(total.index[:MOST_LEVELS])
    named = [_short(level, most=9) for level in levels]
    if len(total) > len(levels):
        named.append("other")
    places = np.arange(len(named))
    for at, (role, share) in enumerate(shares.items()):
        heights = [float(share.get(level, 0)) for level in levels]
        if len(named) > len(levels):
            heights.append(float(share.sum()) - sum(heights))
        axes.bar(places + (at - 0.5) * 0.4, heights, width=0.4, color=COLOURS[role])
    turned = sum(map(len, named)) > 24
    axes.set_xticks(places, named, rotation=40 if turned else 0, parse_math=False)


def _as_levels(values: Column) -> Column:
    """As texts; a boolean that is stored as 1.0 is 1."""
    return values.map("{:g}".format) if pd.api.types.is_numeric_dtype(values) else values.astype(str)


def _short(text: str, *, most: int = 32) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def as_markdown(figure: "Figure", title: str) -> str:
    """A figure as Markdown that shows it without any file or server."""
    image = io.BytesIO()
    with warnings.catch_warnings():
        # A user's text may be in any script, the one font that is there knows a few.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure.savefig(image, format="png")
    return f"![{title}](data:image/png;base64,{base64.b64encode(image.getvalue()).decode()})"
