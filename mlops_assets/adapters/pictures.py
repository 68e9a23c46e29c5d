"""Pictures for Dagster's metadata: curves of models side by side, as Markdown with the image in it."""

import base64
import io
from collections.abc import Mapping

from mlops_assets.domain.evaluation import Curve


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
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return f"![{title}](data:image/png;base64,{base64.b64encode(image.getvalue()).decode()})"
