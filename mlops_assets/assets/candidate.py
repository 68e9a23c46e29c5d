"""`candidate_model`: a model trained on the newest windows, and what the gate saw of it."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import pandas as pd

from mlops_assets.adapters.model_registry import ModelRegistry, TrackedRun
from mlops_assets.adapters.pictures import curves
from mlops_assets.adapters.provenance import code_sha256, lock_sha256
from mlops_assets.adapters.release_store import (
    Lineage,
    ReleaseStore,
    ServedModel,
    cases_of,
    features_of,
    missing_inputs,
    write_bundle,
)
from mlops_assets.adapters.window_records import DataWindow
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.checks.candidate import GATE, gate_results, no_gate_results, side_by_side
from mlops_assets.domain import candidate, evaluation
from mlops_assets.domain.auc_difference import auc_difference
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.gate import Evidence, Gain, Production, Scored, refusals
from mlops_assets.domain.importance import permutation_importance
from mlops_assets.domain.windows import TRAIN, VALIDATION, missing_labels
from mlops_assets.partitions import window_partitions
from serving.release import TOLERANCE

CASES = 50
IMPORTANCE = dg.TableSchema([dg.TableColumn("feature"), dg.TableColumn("auc_lost", "float")])
"""Given, as Dagster cannot find the columns of a table without rows."""


@dg.asset(
    partitions_def=window_partitions,
    deps=["data_window", "drift_report"],
    check_specs=GATE,
    output_required=False,
    group_name="loop",
    owners=["team:ml"],
    kinds={"scikitlearn", "mlflow", "onnx"},
    retry_policy=dg.RetryPolicy(max_retries=2, delay=1),
)
def candidate_model(
    context: dg.AssetExecutionContext,
    windows: dg.ResourceParam[WindowStore],
    releases: dg.ResourceParam[ReleaseStore],
    registry: dg.ResourceParam[ModelRegistry],
    mlflow: dg.ResourceParam[TrackedRun],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """A model trained on the training rows of the newest windows, registered in MLflow and exported to ONNX.

    The gate compares it with production on the window's validation rows, which no model ever trains on. A candidate
    that is refused shows a red check; the run succeeds, and production stays as it is.
    """
    window = _usable_window(windows, context.partition_key)
    try:
        evidence, importance, pictures = _train_and_compare(context, window, windows, releases, registry, mlflow)
    except (candidate.NotTrainable, evaluation.NotComparable) as error:
        context.log.warning(f"window {window.window}: {error}")
        yield from no_gate_results(str(error))
        return
    if refusals(evidence, production_epoch=evidence.production.epoch if evidence.production else None):
        registry.set_status(evidence.candidate.version, "rejected")
    yield dg.MaterializeResult(
        metadata={
            "model_version": evidence.candidate.version,
            "auc": evidence.candidate.auc,
            "side_by_side": side_by_side(evidence),
            "importance": _importance_table(importance),
            "training_rows": evidence.training_rows,
            "validation_rows": evidence.validation_rows,
            "training_windows": dg.MetadataValue.json(evidence.training_windows),
            "training": dg.MetadataValue.json(windows.dataset.training.model_dump(mode="json")),
            "evidence": dg.MetadataValue.json(evidence.model_dump()),
            "evidence_sha256": evidence.sha256,
            **{name: dg.MetadataValue.md(picture) for name, picture in pictures.items()},
        }
    )
    yield from gate_results(evidence, pictures)


def _usable_window(windows: WindowStore, window: str) -> DataWindow:
    """The window as it is to be trained on; asked for by hand, a training that cannot be fails with what is missing."""
    stored, latest = windows.current(window), windows.latest(window)
    fault = None
    if stored is None:
        fault = "materialize data_window first"
        if latest is not None and latest.fault:
            fault = f"it is in quarantine: {latest.fault}"
    elif stored.shape != windows.dataset.shape:
        fault = f"it was stored under another contract: `mlops quarantine requeue {window}` takes it up anew"
    else:
        fault = missing_labels(windows.dataset, stored.counts)
    if stored is None or fault is not None:
        raise dg.Failure(f"there is no training on window {window}: {fault}", allow_retries=False)
    return stored


def _train_and_compare(
    context: dg.AssetExecutionContext,
    window: DataWindow,
    windows: WindowStore,
    releases: ReleaseStore,
    registry: ModelRegistry,
    mlflow: TrackedRun,
) -> tuple[Evidence, dict[str, float], dict[str, str]]:
    """Trains, exports, scores beside production, registers.

    Returns:
        What the gate saw, the features' importance, and pictures.
    """
    dataset = windows.dataset
    versions = {part.window: part.data_version for part in windows.training_windows(window.window)}
    rows = dataset.training.max_rows
    training = windows.draw(versions, split=TRAIN, max_rows=rows, labelled=True)
    validation = windows.draw({window.window: window.data_version}, split=VALIDATION, max_rows=rows, labelled=True)
    truth = validation[dataset.target].to_numpy(bool)

    pipeline = candidate.train(dataset, training)
    exported = candidate.export_onnx(pipeline)
    model = ServedModel(exported, features_of(dataset))
    scores = {"candidate": model.score(validation)}
    gain = None
    fitted = candidate.score(pipeline, dataset, validation)
    metrics = evaluation.evaluate(truth, scores["candidate"])
    importance = permutation_importance(model.score, validation, truth, dataset.features, seed=dataset.training.seed)
    production = None
    if (released := releases.production()) is not None:
        if lacking := missing_inputs(released.model, dataset):
            raise evaluation.NotComparable(
                f"production needs {', '.join(lacking)}, which the contract no longer has so: it cannot be compared. A "
                "contract without them needs a `name` and a state folder of its own"
            )
        scores["production"] = released.model.score(validation)
        production = Production(
            version=released.pointer.model_version,
            epoch=released.pointer.epoch,
            window=released.manifest.validation_window.window,
            **vars(evaluation.evaluate(truth, scores["production"])),
        )
        gain = _gain(dataset, validation, truth, scores)

    provenance = {"code_sha256": code_sha256(), "lock_sha256": lock_sha256()}
    registered = registry.register(
        mlflow,
        pipeline,
        params={"seed": dataset.training.seed, "training_rows": len(training), "training_windows": ",".join(versions)},
        metrics=vars(metrics),
        tags={
            "window": window.window,
            "data_version": window.data_version,
            "training_windows": ",".join(f"{name}:{version}" for name, version in versions.items()),
            **provenance,
            "dagster_run_id": context.run.run_id,
        },
    )
    # Half of what the service allows: a case must not be borderline.
    agreeing = abs(scores["candidate"] - fitted) <= TOLERANCE / 2
    with TemporaryDirectory() as folder:
        manifest_sha256 = write_bundle(
            Path(folder),
            model=exported,
            cases=cases_of(dataset, validation[agreeing].head(CASES), fitted[agreeing]),
            dataset=dataset,
            lineage=Lineage(
                model_name=registry.model_name,
                model_version=registered.version,
                training_windows=versions,
                validation_window=(window.window, window.data_version),
                dagster_run_id=context.run.run_id,
                mlflow_run_id=registered.mlflow_run_id,
            ),
            metrics=vars(metrics),
            importance=importance,
        )
        registry.log_bundle(registered, Path(folder))
    evidence = Evidence(
        window=window.window,
        data_version=window.data_version,
        training_windows=versions,
        training_rows=len(training),
        validation_rows=len(validation),
        candidate=Scored(version=registered.version, **vars(metrics)),
        production=production,
        gain=gain,
        min_gain=dataset.gate.min_gain,
        rule=dataset.gate.rule,
        confidence=dataset.gate.confidence,
        max_differing_share=dataset.gate.max_differing_share,
        differing_share=evaluation.differing_share(scores["candidate"], fitted),
        manifest_sha256=manifest_sha256,
        **provenance,
        dagster_run_id=context.run.run_id,
    )
    registry.log_evidence(registered, evidence)
    pictures = {
        "roc": curves(
            {model: evaluation.roc(truth, of) for model, of in scores.items()},
            title=f"ROC on {window.window}",
            x="false positive rate",
            y="true positive rate",
        ),
        "calibration": curves(
            {model: evaluation.calibration(truth, of) for model, of in scores.items()},
            title=f"Calibration on {window.window}",
            x="mean predicted probability",
            y="observed share",
        ),
    }
    return evidence, importance, pictures


def _gain(
    dataset: Dataset, validation: pd.DataFrame, truth: evaluation.Truth, scores: Mapping[str, evaluation.Scores]
) -> Gain:
    """By how much the candidate's AUC is larger than production's, and how sure that is."""
    keys = pd.factorize(validation[dataset.split_by], sort=True)[0]
    found = auc_difference(truth, scores["candidate"], scores["production"], keys, level=dataset.gate.confidence)
    low, high = (bound if math.isfinite(bound) else None for bound in (found.low, found.high))
    return Gain(gain=found.gain, low=low, high=high, method=found.method, keys=found.keys)


def _importance_table(importance: Mapping[str, float]) -> dg.MetadataValue:
    """AUC that the model loses without a feature, the most important first."""
    ranked = sorted(importance.items(), key=lambda item: -item[1])
    return dg.MetadataValue.table(
        [dg.TableRecord({"feature": feature, "auc_lost": round(lost, 4)}) for feature, lost in ranked], IMPORTANCE
    )
