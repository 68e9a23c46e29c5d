"""What must hold of a data window.

The window was judged in a stream as it was stored; these checks show what was found, rule by rule, and hold a sample of
the stored rows against the contract's pandera schema. A window in quarantine shows a red check; rows in quarantine
show as a warning, with the first of them.
"""

import warnings
from collections.abc import Iterator, Mapping

import dagster as dg
import pandas as pd

from mlops_assets.adapters.window_records import DataWindow, Intake
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.domain.row_rules import Kind
from mlops_assets.domain.windows import missing_labels, too_few_rows, too_many_quarantined
from mlops_assets.partitions import window_partitions

DATA_WINDOW = dg.AssetKey("data_window")
WINDOW_CHECKS: Mapping[str, str] = {
    "window_can_be_read": "What landed is whole, new, and has the contract's columns in the contract's types.",
    "window_has_enough_rows": "There are as many clean rows as the contract asks for.",
    "quarantine_is_within_its_limit": "No more rows are in quarantine than the contract allows.",
    "stored_rows_hold_the_schema": "A sample of the stored rows holds the contract's pandera schema.",
    "labels_have_come": "Enough clean rows have a label for training and gate.",
}
"""Of the window as a whole: the check and what must hold."""
ROW_CHECKS: Mapping[str, tuple[str, tuple[Kind, ...]]] = {
    "values_have_their_types": ("Every line is a row, and every value is of its type.", ("line", "type", "join")),
    "values_are_present": ("No value is missing that the contract asks for.", ("missing",)),
    "row_ids_are_unique": ("No two rows have one id.", ("unique",)),
    "numbers_are_finite": ("No number is infinite, also not as float32.", ("finite",)),
    "numbers_are_in_range": ("Every number is in its range.", ("range",)),
    "categories_are_known": ("Every category is one that the contract names.", ("category",)),
    "labels_are_valid": ("Every label is one of the target's two values, and they do not contradict.", ("label",)),
}
"""Of its rows: the check, what must hold, and the kinds of rules that it speaks for."""
SAMPLE_ROWS = 20_000
"""Rows that pandera judges, drawn by a stable hash: a tenth of a second, whatever the window's size."""
EXAMPLES = 5


def _specs() -> list[dg.AssetCheckSpec]:
    words = {**WINDOW_CHECKS, **{name: description for name, (description, _) in ROW_CHECKS.items()}}
    with warnings.catch_warnings():
        # Without partitions a check shows its newest run alone, and an old bad window would look green.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(name, asset=DATA_WINDOW, description=description, partitions_def=window_partitions)
            for name, description in words.items()
        ]


@dg.multi_asset_check(specs=_specs(), name="window_checks")
def window_checks(
    context: dg.AssetCheckExecutionContext, windows: dg.ResourceParam[WindowStore]
) -> Iterator[dg.AssetCheckResult]:
    """Every check on one window."""
    window = context.partition_key
    intake = windows.latest(window)
    if intake is None:
        raise dg.Failure(f"there is no data window {window}: materialize data_window first", allow_retries=False)
    stored = windows.stored(window, intake.data_version) if intake.can_be_read else None
    yield from window_results(windows, intake, stored)
    yield from row_results(windows, intake, stored)


def window_results(windows: WindowStore, intake: Intake, stored: DataWindow | None) -> Iterator[dg.AssetCheckResult]:
    """The verdicts on the window as a whole."""
    if stored is None:
        yield _result("window_can_be_read", intake.fault)
        for name in list(WINDOW_CHECKS)[1:]:
            yield _result(name, "nothing to judge: the window could not be read")
        return
    dataset, counts = windows.dataset, stored.counts
    yield _result("window_can_be_read", None, rows=counts.rows, replaces=intake.replaces or "-")
    yield _result("window_has_enough_rows", too_few_rows(dataset, counts), clean=counts.clean)
    yield _result(
        "quarantine_is_within_its_limit",
        too_many_quarantined(dataset, counts),
        rows=counts.rows,
        quarantined=counts.quarantined,
    )
    yield _result("stored_rows_hold_the_schema", _schema_fault(windows, stored))
    yield _result(
        "labels_have_come",
        missing_labels(dataset, counts),
        severity=dg.AssetCheckSeverity.WARN,
        labelled=counts.labelled,
        clean=counts.clean,
    )


def row_results(windows: WindowStore, intake: Intake, stored: DataWindow | None) -> Iterator[dg.AssetCheckResult]:
    """The verdicts on its rows, each with the counts per rule and the first rows that broke one."""
    severity = dg.AssetCheckSeverity.ERROR if intake.fault else dg.AssetCheckSeverity.WARN
    for name, (_, spoken_for) in ROW_CHECKS.items():
        if stored is None:
            yield _result(name, "nothing to judge: the window could not be read")
            continue
        broken = {
            reason: rows for reason, rows in stored.counts.by_reason.items() if stored.kinds[reason] in spoken_for
        }
        fault = ", ".join(f"{reason} ({rows} rows)" for reason, rows in broken.items()) or None
        examples = windows.quarantined(stored, rows=EXAMPLES, reasons=tuple(broken)) if broken else None
        yield _result(
            name,
            fault,
            severity=severity,
            **{f"rule {reason}": rows for reason, rows in broken.items()},
            **({} if examples is None else {"examples": rows_table(examples)}),
        )


def rows_table(frame: pd.DataFrame) -> dg.MetadataValue:
    """Rows as Dagster shows them, every value as text."""
    return dg.MetadataValue.table(
        [dg.TableRecord({str(name): str(value) for name, value in row.items()}) for row in frame.to_dict("records")]
    )


def _schema_fault(windows: WindowStore, stored: DataWindow) -> str | None:
    from mlops_assets.domain.frame_schema import failure_cases, frame_schema  # pandera takes half a second to import

    sample = windows.draw({stored.window: stored.data_version}, split=None, max_rows=SAMPLE_ROWS)
    found = failure_cases(frame_schema(windows.dataset), sample)
    if found.empty:
        return None
    first = found.iloc[0]
    return f"{len(found)} values do not hold it, first: {first['column']} {first['check']} {first['failure_case']!r}"


def _result(
    name: str,
    fault: str | None,
    *,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    **metadata: int | str | dg.MetadataValue,
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=fault is None,
        asset_key=DATA_WINDOW,
        check_name=name,
        severity=severity,
        description=fault,
        metadata=metadata,
    )
