"""Pictures of two models side by side: ROC, calibration, where their scores lie, and the gain in each segment."""

from collections.abc import Mapping, Sequence

import numpy as np

from mlops_assets.adapters.pictures import as_markdown, curves
from mlops_assets.domain.evaluation import Scores, Truth, calibration, roc
from mlops_assets.domain.evidence import SegmentGain

MOST_SEGMENTS = 20
"""Drawn: those of the smallest gain."""
BINS = np.linspace(0, 1, 41)


def comparison_pictures(
    window: str, truth: Truth, scores: Mapping[str, Scores], segments: Sequence[SegmentGain]
) -> dict[str, str]:
    """Draws what a comparison saw.

    Args:
        window: Whose validation rows they are.
        truth: Of those rows.
        scores: Of those rows, by what the model is called.
        segments: As they were compared.

    Returns:
        Markdown by name; without `gain_by_segment` where none was compared.
    """
    found = {
        "roc": curves(
            {model: roc(truth, of) for model, of in scores.items()},
            title=f"ROC on {window}",
            x="false positive rate",
            y="true positive rate",
        ),
        "calibration": curves(
            {model: calibration(truth, of) for model, of in scores.items()},
            title=f"Calibration on {window}",
            x="mean predicted probability",
            y="observed share",
        ),
        "score_shift": score_shift(scores, title=f"Scores on {window}"),
    }
    if any(segment.gain is not None for segment in segments):
        found["gain_by_segment"] = gain_by_segment(segments, title=f"Gain in AUC on {window}")
    return found


def score_shift(scores: Mapping[str, Scores], *, title: str) -> str:
    """Draws how often each model gives which score."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3), dpi=90, layout="constrained")
    axes = figure.subplots()
    for model, of in scores.items():
        counts, _ = np.histogram(of, BINS)
        axes.stairs(counts / max(len(of), 1), BINS, label=model)
    axes.set(title=title, xlabel="score", ylabel="share of rows", xlim=(0, 1))
    axes.legend()
    return as_markdown(figure, title)


def gain_by_segment(segments: Sequence[SegmentGain], *, title: str) -> str:
    """Draws the gain of each segment that was compared, with its lower bound; the smallest gains first."""
    from matplotlib.figure import Figure

    compared = [(one, one.gain, one.low) for one in segments if one.gain is not None and one.low is not None]
    drawn = sorted(compared, key=lambda one: one[1])[:MOST_SEGMENTS]
    figure = Figure(figsize=(5, 1 + 0.25 * len(drawn)), dpi=90, layout="constrained")
    axes = figure.subplots()
    for place, (segment, gain, low) in enumerate(drawn):
        colour = "tab:red" if segment.holds is False else "tab:blue"
        axes.plot([low, gain], [place, place], color=colour, linewidth=1)
        axes.plot([gain], [place], color=colour, marker="o", markersize=4)
    axes.axvline(0, color="0.7", linestyle="--", linewidth=1)
    names = [f"{segment.name} ({segment.rows:,})" for segment, _, _ in drawn]
    axes.set_yticks(range(len(drawn)), names, fontsize=7, parse_math=False)
    axes.invert_yaxis()
    axes.set_title(title if len(drawn) == len(compared) else f"{title}: {len(drawn)} of {len(compared)}", fontsize=9)
    axes.set_xlabel("gain and its lower bound", fontsize=8)
    return as_markdown(figure, title)
