"""`candidate_model`: a model trained on the newest windows, and what the gate saw of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg

from mlops_assets.adapters.candidate_training import score_table, train_candidate, validation_rows
from mlops_assets.adapters.comparison_pictures import comparison_pictures
from mlops_assets.adapters.drift_history import judged_by
from mlops_assets.adapters.ledger import Ledger
from mlops_assets.adapters.model_registry import SCORES, ModelRegistry
from mlops_assets.adapters.provenance import code_sha256, lock_sha256
from mlops_assets.adapters.release_store import Lineage, ReleaseStore, ServedModel, missing_inputs, write_bundle
from mlops_assets.adapters.tracked_run import TrackedRun
from mlops_assets.adapters.window_records import DataWindow
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.checks.candidate import GATE, gate_results, no_gate_results, side_by_side
from mlops_assets.domain.candidate import NotTrainable
from mlops_assets.domain.comparison import compare, measured, split_keys
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.evaluation import NotComparable
from mlops_assets.domain.evidence import Evidence, Production, Scored, SegmentGain
from mlops_assets.domain.gate import faults
from mlops_assets.domain.importance import permutation_importance
from mlops_assets.domain.model_card import model_card
from mlops_assets.domain.parity import parity
from mlops_assets.domain.windows import missing_labels
from mlops_assets.partitions import window_partitions
from serving.release import sha256_of

IMPORTANCE = dg.TableSchema([dg.TableColumn("feature"), dg.TableColumn("auc_lost", "float")])
"""Given, as Dagster cannot find the columns of a table without rows."""


UNBUNDLED = "0" * 64
"""In the place of the bundle's hash, until there is one."""


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
    ledger: dg.ResourceParam[Ledger],
    mlflow: dg.ResourceParam[TrackedRun],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """A model trained on the training rows of the newest windows, registered in MLflow and exported to ONNX.

    The gate compares it with production on the window's validation rows, which no model ever trains on. A candidate
    that is refused shows a red check; the run succeeds, and production stays as it is.
    """
    window = _usable_window(windows, context.partition_key)
    try:
        judged = _train_and_compare(context, window, windows, releases, registry, ledger, mlflow)
    except (NotTrainable, NotComparable) as error:
        context.log.warning(f"window {window.window}: {error}")
        yield from no_gate_results(str(error))
        return
    evidence = judged.evidence
    ledger.keep_evidence(evidence.sha256, evidence.to_json())
    if faults(evidence):
        registry.set_status(evidence.candidate.version, "rejected")
    yield dg.MaterializeResult(
        metadata={
            "model_version": evidence.candidate.version,
            "auc": evidence.candidate.auc,
            "side_by_side": side_by_side(evidence),
            "importance": _importance_table(judged.importance),
            "training_rows": evidence.training_rows,
            "validation_rows": evidence.validation_rows,
            "training_windows": dg.MetadataValue.json(evidence.training_windows),
            "judged_by": dg.MetadataValue.json(judged_by(windows.dataset)),
            "evidence": dg.MetadataValue.json(evidence.model_dump(mode="json")),
            "evidence_sha256": evidence.sha256,
            "model_card": dg.MetadataValue.md(judged.card),
            **{name: dg.MetadataValue.md(picture) for name, picture in judged.pictures.items()},
        }
    )
    yield from gate_results(evidence, judged.pictures)


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


@dataclass(frozen=True)
class _Judged:
    """What there is to say of a candidate."""

    evidence: Evidence
    importance: Mapping[str, float]
    card: str
    pictures: Mapping[str, str]


def _train_and_compare(
    context: dg.AssetExecutionContext,
    window: DataWindow,
    windows: WindowStore,
    releases: ReleaseStore,
    registry: ModelRegistry,
    ledger: Ledger,
    mlflow: TrackedRun,
) -> _Judged:
    """Trains, exports, scores beside production, registers."""
    dataset = windows.dataset
    versions = {part.window: part.data_version for part in windows.training_windows(window.window)}
    validation = validation_rows(windows, window.window, window.data_version)
    truth, keys = validation[dataset.target].to_numpy(bool), split_keys(dataset, validation)
    trained = train_candidate(windows, versions)
    scores, fitted = {"candidate": trained.served.score(validation)}, trained.fitted(validation)
    metrics = measured(truth, scores["candidate"], keys)
    production, gain, segments = None, None, tuple[SegmentGain, ...]()
    # What the ledger says, and not what the pointer names: that is a file, which anyone can write.
    if (promoted := ledger.production()) is not None:
        manifest, model = releases.model(promoted.model_version, manifest_sha256=promoted.manifest_sha256)
        _demand_inputs(model, dataset)
        scores["production"] = model.score(validation)
        production = Production(
            version=promoted.model_version,
            epoch=promoted.epoch,
            manifest_sha256=promoted.manifest_sha256,
            window=manifest.validation_window.window,
            **measured(truth, scores["production"], keys),
        )
        gain, segments = compare(dataset, validation, truth, scores, keys)
    importance = permutation_importance(
        trained.served.score, validation, truth, dataset.features, seed=dataset.training.seed
    )
    provenance = {"code_sha256": code_sha256(), "lock_sha256": lock_sha256()}
    registered = registry.register(
        mlflow,
        trained.pipeline,
        params={
            "seed": dataset.training.seed,
            "training_rows": trained.training_rows,
            "training_windows": ",".join(versions),
        },
        metrics=metrics,
        tags={
            "window": window.window,
            "data_version": window.data_version,
            "training_windows": ",".join(f"{name}:{version}" for name, version in versions.items()),
            **provenance,
            "dagster_run_id": context.run.run_id,
        },
    )
    lineage = Lineage(
        model_name=registry.model_name,
        model_version=registered.version,
        training_windows=versions,
        validation_window=(window.window, window.data_version),
        dagster_run_id=context.run.run_id,
        mlflow_run_id=registered.mlflow_run_id,
    )
    with TemporaryDirectory() as name:
        folder = Path(name)
        score_table(dataset, validation, scores).to_parquet(folder / SCORES)
        unbundled = Evidence(
            window=window.window,
            data_version=window.data_version,
            training_windows=versions,
            training_rows=trained.training_rows,
            validation_rows=len(validation),
            candidate=Scored(version=registered.version, **metrics),
            production=production,
            gain=gain,
            segments=segments,
            known_cases=trained.known_cases(),
            parity=parity(
                dataset,
                validation,
                truth,
                served=scores["candidate"],
                fitted=fitted,
                score_served=trained.served.score,
                score_fitted=trained.fitted,
            ),
            row_milliseconds=trained.served.row_milliseconds(validation),
            training=dataset.training,
            gate=dataset.gate,
            scores_sha256=sha256_of(folder / SCORES),
            manifest_sha256=UNBUNDLED,
            **provenance,
            dagster_run_id=context.run.run_id,
        )
        # The bundle holds the card, which says what the gate saw, and the evidence names the bundle.
        card = model_card(dataset, unbundled, importance)
        (folder / "release").mkdir()
        manifest_sha256 = write_bundle(
            folder / "release",
            model=trained.exported,
            cases=trained.cases(validation, served=scores["candidate"], fitted=fitted),
            dataset=dataset,
            lineage=lineage,
            metrics=metrics,
            importance=importance,
            card=card,
        )
        evidence = unbundled.model_copy(update={"manifest_sha256": manifest_sha256})
        registry.log_bundle(registered, folder / "release")
        registry.log_scores(registered, folder / SCORES)
        registry.describe(registered, card)
        registry.log_evidence(registered, evidence)
    return _Judged(evidence, importance, card, comparison_pictures(window.window, truth, scores, segments))


def _demand_inputs(model: ServedModel, dataset: Dataset) -> None:
    if lacking := missing_inputs(model, dataset):
        raise NotComparable(
            f"production needs {', '.join(lacking)}, which the contract no longer has so: it cannot be compared. A "
            "contract without them needs a `name` and a state folder of its own"
        )


def _importance_table(importance: Mapping[str, float]) -> dg.MetadataValue:
    """AUC that the model loses without a feature, the most important first."""
    ranked = sorted(importance.items(), key=lambda item: -item[1])
    return dg.MetadataValue.table(
        [dg.TableRecord({"feature": feature, "auc_lost": round(lost, 4)}) for feature, lost in ranked], IMPORTANCE
    )
