from io import StringIO
from pathlib import Path

import dagster as dg
from rich.console import Console

from mlops_assets.adapters.ledger import Ledger
from mlops_assets.adapters.training_runs import ANSWERS_TAG
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.cli.explain import explanation_view
from tests.unit.mlops_assets.cli.test_explanation import (
    EVIDENCE,
    REFUSAL,
    WINDOW,
    drift_report,
    explained,
    instance,
    ledger,
    report,
    take,
    trained,
)

__all__ = ["instance", "ledger"]  # fixtures


def shown(instance: dg.DagsterInstance, store: WindowStore, ledger: Ledger, *, width: int = 100) -> str:
    """What the command prints, with runs of blanks as one."""
    output = StringIO()
    Console(file=output, width=width, markup=False).print(explanation_view(explained(instance, store, ledger)))
    assert max(map(len, output.getvalue().splitlines())) <= width
    return " ".join(output.getvalue().split())


def test_a_refusal_is_told_from_the_rows_to_the_verdict(
    instance: dg.DagsterInstance, store: WindowStore, ledger: Ledger, tmp_path: Path
) -> None:
    """In the order in which it happened, with the numbers of each step."""
    take(store, tmp_path, broken=2)
    trained(instance, EVIDENCE, **{ANSWERS_TAG: str(drift_report(instance, trains=WINDOW))})
    told = shown(instance, store, ledger)
    in_order = [
        "window 2013-03 in use",
        "60 = 58 clean + 2 quarantined",
        "amount: out of range (2)",
        "58 of the clean rows",
        "against version 1, epoch 1",
        "0.6667 (2 of 3 columns); the threshold 0.3000 must be exceeded",
        "target drift all null",
        "current keys 20, current rows 60, false alarm rate 0.0100",
        "amount drifted drifted 0.4000 0.1000 0.1000",
        "decision trained why because",
        "drift share go 0.6667 exceeds 0.3000",
        "success of window 2013-03 started by drift_sensor; answers this report",
        "learned from 2013-02, 2013-03",
        "candidate 2 0.7100 0.5000 0.2000 production 1 0.7050",
        "candidate_beats_production failed",
        "candidate auc 0.7100",
        f"outcome refused why {REFUSAL}",
    ]
    places = [told.find(said) for said in in_order]
    assert -1 not in places, [said for said in in_order if said not in told]
    assert places == sorted(places)


def test_what_has_not_happened_is_said_to_have_not(
    instance: dg.DagsterInstance, store: WindowStore, ledger: Ledger
) -> None:
    """A blank would leave the reader guessing."""
    told = shown(instance, store, ledger)
    assert "not taken up: window_sensor does so" in told
    assert "drift was not measured (yet)" in told
    assert "training none" in told
    drift_report(instance, trains=WINDOW)
    assert "training asked for, and not started (yet)" in shown(instance, store, ledger)


def test_a_window_without_enough_data_says_what_is_lacking(
    instance: dg.DagsterInstance, store: WindowStore, ledger: Ledger
) -> None:
    """And no share, which there is none of."""
    said = {"decision": "not enough data", "reason": "9 rows: neither", "trains": "", "not_enough_data": "9 rows"}
    report(instance, "drift_report", **said, production_version=1, production_epoch=1)
    told = shown(instance, store, ledger)
    assert "not enough data 9 rows" in told
    assert "drift share" not in told


def test_a_feature_that_went_silent_and_where_thresholds_come_from_are_told(
    instance: dg.DagsterInstance, store: WindowStore, ledger: Ledger
) -> None:
    """A threshold of 0.8 where the contract says 0.1 needs its reason, and a silent feature a line of its own."""
    columns = dg.MetadataValue.table(
        [
            dg.TableRecord({"column": name, "verdict": "unusable", "counts": counts, "reason": "gone", "changed": True})
            for name, counts in (("age", "left out"), ("late", "beside the share"))
        ]
    )
    settings = {"mode": "calibrated", "numeric_threshold": 0.1, "category_threshold": 0.2}
    drift_report(instance, columns=columns, settings=dg.MetadataValue.json(settings), report="http://127.0.0.1/x.html")
    told = shown(instance, store, ledger)
    assert "went silent age: gone" in told
    assert "late: gone" not in told, "it is no feature"
    assert "thresholds the contract's (numbers 0.1, categories 0.2), or noise x factor where chance makes more" in told
    assert "page http://127.0.0.1/x.html (while `mlops up` runs)" in told
    drift_report(instance, columns=columns, settings=dg.MetadataValue.json({"mode": "raw"}))
    assert "thresholds Evidently's own (mode raw)" in shown(instance, store, ledger)


def test_names_with_brackets_are_shown_as_they_are(
    instance: dg.DagsterInstance, store: WindowStore, ledger: Ledger
) -> None:
    """A column is called as its owner likes, which is no markup; and a narrow terminal cuts nothing off."""
    columns = dg.MetadataValue.table(
        [dg.TableRecord({"column": "price [/unit]", "verdict": "stable", "reason": ":a:"})]
    )
    drift_report(instance, columns=columns, reason="it drifted in [/unit]")
    output = StringIO()
    Console(file=output, width=80).print(explanation_view(explained(instance, store, ledger)))
    for said in ("price [/unit]", ":a:", "it drifted in [/unit]"):
        assert said in output.getvalue()


def test_numbers_and_names_stay_whole_in_a_narrow_terminal(
    instance: dg.DagsterInstance, store: WindowStore, ledger: Ledger
) -> None:
    """Neither broken over two lines nor cut off, whatever reason another column has."""
    measured = {"score": "0.1904", "threshold": "0.7875", "importance": "-0.0007", "nulls": "11.9% to 11.8%"}
    rows: list[dict[str, str]] = [
        {"column": "sched_minute", "verdict": "stable", "counts": "beside the share", **measured, "reason": ""},
        {"column": "age", "verdict": "unusable", "counts": "left out", **measured, "reason": "all null " * 20},
    ]
    columns = dg.MetadataValue.table([dg.TableRecord(row) for row in rows])
    drift_report(instance, columns=columns)
    output = StringIO()
    Console(file=output, width=80).print(explanation_view(explained(instance, store, ledger)))
    (line,) = [line for line in output.getvalue().splitlines() if line.lstrip().startswith("sched_minute")]
    assert " ".join(line.split()) == "sched_minute stable beside the 0.1904 0.7875 -0.0007 11.9% to 11.8%"
