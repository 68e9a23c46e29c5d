"""`mlops explain`: what happened to one window, and why, in words and tables.

Here belongs showing. What is shown is read by `explanation`.
"""

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mlops_assets.cli.explanation import Explanation

NAMED_REASONS = 5
"""So many of the rules that rows broke are named; `mlops quarantine show` names all."""


def explanation_view(read: Explanation) -> RenderableType:
    """The explanation as sections, in the order in which it happened."""
    parts = [_landed(read["window"], read["landed"])]
    if read["running"]:
        parts.append(Text(f"{read['running']} works on it now."))
    parts.append(_drift(read["drift"]) if read["drift"] else _section("drift", {"": "was not measured (yet)"}))
    if read["decision"]:
        parts.append(_decision(read["decision"]))
    parts.append(_training(read["decision"], read["training"]))
    if read["candidate"]:
        parts.append(_candidate(read["candidate"]))
    if read["checks"]:
        parts.append(_checks(read["checks"]))
    if read["outcome"]:
        parts.append(_outcome(read["outcome"]))
    return Group(*parts)


def _landed(window: str, landed: Explanation) -> RenderableType:
    state = landed["state"]
    if state == "not taken up":
        state += ": window_sensor does so while the loop runs, the oldest window first"
    lines = {"": state, "why": landed["fault"], "landed at": landed["landed_at"]}
    lines |= {"data version": landed["data_version"]}
    if landed["rows"] is not None:
        lines["rows"] = f"{landed['rows']:,} = {landed['clean']:,} clean + {landed['quarantined']:,} quarantined"
        reasons = list(landed["by_reason"].items())
        named = ", ".join(f"{reason} ({rows:,})" for reason, rows in reasons[:NAMED_REASONS])
        more = len(reasons) - NAMED_REASONS
        lines["quarantined for"] = f"{named}{f' and {more} other rules' if more > 0 else ''}"
        lines["labelled"] = f"{landed['labelled']:,} of the clean rows"
        lines["waits for"] = landed["waits_for"]
    return _section(f"window {window}", lines)


def _drift(drift: Explanation) -> RenderableType:
    share, threshold = drift["drift_share"], drift["drift_share_threshold"]
    lines: dict[str, object] = {"measured at": drift["measured_at"]}
    if not drift["is_of_data_in_use"]:
        lines["of data version"] = f"{drift['data_version'] or 'unknown'}, which is not the one in use"
    if drift["production_version"] is not None:
        reference = ", ".join(drift["reference"] or {}) or "unknown windows"
        lines["against"] = f"version {drift['production_version']}, epoch {drift['production_epoch']}, of {reference}"
    else:
        lines["against"] = "nothing: there was no production model"
    if share is not None:
        columns = f"{drift['drifted_columns']} of {drift['judged_columns']} columns" if drift["judged_columns"] else ""
        over = "" if threshold is None else f"; the threshold {threshold:.4f} must be exceeded"
        lines["drift share"] = f"{share:.4f} ({columns}){over}" if columns else f"{share:.4f}{over}"
    lines["not enough data"] = drift["not_enough_data"]
    lines["went silent"] = "; ".join(drift["silent_features"])
    lines |= {"target drift": _value(drift["target_drift"]), "prediction drift": _value(drift["prediction_drift"])}
    calibration = drift["calibration"] or {}
    lines |= {"calibration": _pairs({**calibration, "noise": {}}), "thresholds": _thresholds(drift["settings"])}
    page = f"{drift['report']} (while `mlops up` runs)" if drift["report"] else None
    lines |= {"sampled rows": _pairs(drift["sampled_rows"]), "page": page}
    section = _section("drift report", lines)
    return Group(section, _columns(drift["columns"])) if drift["columns"] else section


def _thresholds(settings: Explanation) -> str | None:
    """Where the columns' thresholds come from."""
    if settings.get("mode") == "raw":
        return "Evidently's own (mode raw)"
    if "mode" not in settings:
        return None
    return (
        f"the contract's (numbers {settings['numeric_threshold']}, categories {settings['category_threshold']}), or "
        "noise x factor where chance makes more at this size"
    )


def _columns(columns: list[Explanation]) -> RenderableType:
    """A line each, and below them the reasons of those that have one: in a column they would take the numbers' room."""
    table = Table(box=SIMPLE_HEAD, padding=0, pad_edge=False)
    for name in ("column", "verdict", "counts", "score", "threshold", "importance", "nulls"):
        numeric, text = name in ("score", "threshold", "importance"), name in ("column", "counts")
        # In 80 characters texts give way, a column's name down to 12, and numbers stay whole.
        least = 12 if name == "column" else None
        table.add_column(
            name, justify="right" if numeric else "left", overflow="fold", no_wrap=not text, min_width=least
        )
    for column in columns:
        table.add_row(*(Text(_value(column[str(cell.header)]) or "-") for cell in table.columns))
    reasons = {column["column"]: column["reason"] for column in columns if column["reason"]}
    return Group(table, _section("reasons", reasons)) if reasons else table


def _decision(decision: Explanation) -> RenderableType:
    lines = {"": decision["kind"], "why": decision["reason"], "trains": decision["trains"] or "nothing"}
    section = _section("decision", lines)
    if not decision["steps"]:
        return section
    table = Table("rule", "", "what it said", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for step in decision["steps"]:
        table.add_row(step["rule"], step["outcome"], Text(step["said"]))
    return Group(section, table)


def _training(decision: Explanation | None, training: Explanation | None) -> RenderableType:
    asks = decision is not None and decision["trains"]
    if training is None:
        return _section("training", {"": "asked for, and not started (yet)" if asks else "none"})
    which = "answers this report" if training["answers_this_report"] else "before or beside this report"
    lines = {
        "run": f"{training['run_id']}, {training['status']}",
        "of window": training["window"],
        "started by": f"{training['started_by']}; {which}",
        "failed for": training["failure"],
    }
    return _section("training", lines)


def _candidate(candidate: Explanation) -> RenderableType:
    lines = {
        "learned from": ", ".join(candidate["training_windows"]),
        "rows": f"{candidate['training_rows']:,} to learn from, {candidate['validation_rows']:,} to compare on",
    }
    table = Table("model", "version", "AUC", "log loss", "Brier", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for role, scored in (("candidate", candidate["candidate"]), ("production", candidate["production"])):
        if scored:
            table.add_row(
                role, str(scored["version"]), *(f"{scored[name]:.4f}" for name in ("auc", "log_loss", "brier"))
            )
    return Group(_section("candidate", lines), table)


def _checks(checks: list[Explanation]) -> Table:
    table = Table(
        "check",
        "",
        "numbers",
        title="gate",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for check in checks:
        said = ", ".join(filter(None, [check["description"], _pairs(check["numbers"])]))
        table.add_row(check["name"], "passed" if check["passed"] else "failed", Text(said))
    return table


def _outcome(outcome: Explanation) -> RenderableType:
    verdict = outcome["verdict"]
    if outcome["epoch"] is not None:
        still = "production now" if outcome["is_production"] else "no longer production"
        verdict = f"promoted under epoch {outcome['epoch']} at {outcome['at']}; {still}"
    return _section("outcome", {"": verdict, "why": "; ".join(outcome["why"])})


def _section(title: str, lines: Mapping[str, object]) -> Table:
    """Lines with their names; one that has nothing to say is left out."""
    table = Table(
        title=title, title_justify="left", show_header=False, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    for name, said in lines.items():
        if said is not None and said != "":
            # What the user's files and columns are called may hold brackets, which are not markup.
            table.add_row(Text(name), Text(str(said), overflow="fold"))
    return table


def _pairs(values: Mapping[str, Any] | None) -> str:
    """A report's numbers by name, those in a group with the group's name."""
    said = []
    for name, value in (values or {}).items():
        group = value if isinstance(value, Mapping) else {"": value}
        said += [f"{name.replace('_', ' ')} {key} {_value(number)}".replace("  ", " ") for key, number in group.items()]
    return ", ".join(said)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)
