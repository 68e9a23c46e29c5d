"""The model card of a version, in Markdown: what it is for, what it learned from, how good it was, where it ends.

After Mitchell et al. (2019), "Model cards for model reporting". It is part of the release bundle, so it cannot say the
hash of the evidence, which names the bundle.
"""

import html
from collections.abc import Mapping, Sequence

from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.evidence import Evidence, Scored
from mlops_assets.domain.feature import Feature
from mlops_assets.domain.gate import CHECKS

FEATURES = "## Features"
METRICS = ("auc", "log_loss", "brier", "calibration_error")


def model_card(dataset: Dataset, evidence: Evidence, importance: Mapping[str, float]) -> str:
    """The card, from the contract and what the gate saw.

    Args:
        dataset: The contract.
        evidence: Of the version; its own hash and that of the bundle are not said.
        importance: AUC that the model loses without a feature, by name.
    """
    version = evidence.candidate.version
    learned = ", ".join(f"{name} ({data_version})" for name, data_version in evidence.training_windows.items())
    rulings = [(name, ruling) for name, check in CHECKS.items() for ruling in [check(evidence)]]
    lines = [
        f"# {dataset.name}, version {version}",
        "",
        _plain(dataset.description or f"Scores rows by how likely {dataset.target} is."),
        "",
        f"- Answers with: the probability that {_code(dataset.target)} is true",
        f"- Learned from: {learned}; {evidence.training_rows:,} rows",
        f"- Judged on: {evidence.validation_rows:,} rows of {evidence.window} ({evidence.data_version}) that it never "
        f"saw, whole values of {_code(dataset.split_by)}",
        f"- Made by: Dagster run {evidence.dagster_run_id}, code {evidence.code_sha256[:12]}, lock "
        f"{evidence.lock_sha256[:12]}, seed {evidence.training.seed}",
        f"- Trained again by: `mlops reproduce {version}`",
        "",
        "## How good it was",
        "",
        *_table(("model", *METRICS), [_scored(role, model) for role, model in _models(evidence)]),
        "",
        "## What the gate said",
        "",
        *_table(
            ("check", "", "numbers"),
            [(name, "passed" if ruling.passed else "failed", ruling.said) for name, ruling in rulings],
        ),
        "",
        "## Where it ends",
        "",
        "It was judged on the rows described above alone. That says nothing of rows outside the ranges and categories "
        "below, nor of a period that drifted from the windows that it learned from, and nothing of causes.",
        "",
    ]
    if evidence.segments:
        compared = [
            (one.name, f"{one.rows:,}", _number(one.gain), _number(one.low), _yes(one.holds))
            for one in evidence.segments
        ]
        lines += ["## Segments", "", *_table(("segment", "rows", "gain", "at least", "no worse"), compared), ""]
    if evidence.known_cases:
        cases = [(case.name, f"{case.score:.4f}", case.expected, _yes(case.holds)) for case in evidence.known_cases]
        lines += ["## Known cases", "", *_table(("case", "score", "expected", "holds"), cases), ""]
    ranked = sorted(dataset.features.items(), key=lambda item: -importance.get(item[0], 0.0))
    features = [
        (name, feature.type, _allowed(feature), feature.described, _number(importance.get(name)))
        for name, feature in ranked
    ]
    lines += [FEATURES, "", *_table(("feature", "type", "values", "what it is", "AUC lost without it"), features), ""]
    return "\n".join(lines)


def summary(card: str, *, longest: int) -> str:
    """The card's part before the features, cut at a line where it is too long for its place."""
    short = card.partition(FEATURES)[0].rstrip()
    if len(short) <= longest:
        return short
    return short[: short.rfind("\n", 0, longest) + 1].rstrip()


def _models(evidence: Evidence) -> list[tuple[str, Scored]]:
    models: list[tuple[str, Scored]] = [(f"this, version {evidence.candidate.version}", evidence.candidate)]
    if evidence.production is not None:
        models.append((f"production then, version {evidence.production.version}", evidence.production))
    return models


def _scored(role: str, model: Scored) -> tuple[str, ...]:
    return (role, *(f"{getattr(model, name):.4f}" for name in METRICS))


def _allowed(feature: Feature) -> str:
    allowed = f"one of {len(feature.categories)}" if feature.categories else ""
    if feature.range is not None:
        allowed = f"{feature.range[0]:g} to {feature.range[1]:g}"
    return " or ".join(filter(None, [allowed, "null" if feature.nullable else ""]))


def _yes(holds: bool | None) -> str:
    return "-" if holds is None else "yes" if holds else "no"


def _number(number: float | None) -> str:
    return "-" if number is None else f"{number:.4f}"


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [_line(names), _line(["---"] * len(names)), *(_line([_plain(cell) for cell in row]) for row in rows)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """A user's text as text: in one line, in one cell, and no markup of its own."""
    escaped = html.escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{sign}" if sign in "\\|`*_[]~" else sign for sign in escaped)


def _code(name: str) -> str:
    return f"**{_plain(name)}**"
