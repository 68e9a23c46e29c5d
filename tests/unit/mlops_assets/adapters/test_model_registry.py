import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sklearn.pipeline import Pipeline

from mlops_assets.adapters.model_registry import (
    BUNDLE,
    EVIDENCE,
    EVIDENCE_TAG,
    CandidateVersion,
    EvidenceMissing,
    ModelRegistry,
    VersionSummary,
)
from mlops_assets.adapters.tracked_run import TrackedRun
from mlops_assets.domain.candidate import train
from mlops_assets.domain.dataset_tables import Gate
from mlops_assets.domain.evidence import Evidence, Scored
from serving import release
from tests.unit.mlops_assets.small_bundles import small_bundle
from tests.unit.mlops_assets.small_evidence import small_evidence
from tests.unit.mlops_assets.small_windows import as_drawn, small_dataset, small_frame


class Mlflow:
    """MLflow on a database in a folder, with the registry under test and a client to look behind it."""

    def __init__(self, folder: Path) -> None:
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.registry = ModelRegistry(self.uri, "small", folder / "artifacts")
        self.client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
        self.pipeline: Pipeline = train(small_dataset(), as_drawn(small_frame(120)))

    def register(self, window: str = "2013-01", **tags: str) -> CandidateVersion:
        """Registers a candidate as the asset does: in a run that MLflow tracks."""
        with mlflow.start_run(experiment_id=self.client.get_experiment_by_name("small").experiment_id):  # type: ignore[union-attr]
            return self.registry.register(
                cast(TrackedRun, mlflow),
                self.pipeline,
                params={"seed": 0},
                metrics={"auc": 0.75},
                tags={"window": window, **tags},
            )

    def bare(self) -> CandidateVersion:
        """A version with a run and no model: registering one in full takes a second."""
        experiment = self.client.get_experiment_by_name("small")
        assert experiment is not None
        run = self.client.create_run(experiment.experiment_id)
        version = self.client.create_model_version("small", f"runs:/{run.info.run_id}/model", run_id=run.info.run_id)
        return CandidateVersion(int(version.version), run.info.run_id)

    def tags(self, version: int) -> dict[str, str]:
        """A version's tags, as MLflow has them."""
        return dict(self.client.get_model_version("small", str(version)).tags)

    def alias(self, alias: str) -> int:
        """The version that has an alias."""
        return int(self.client.get_model_version_by_alias("small", alias).version)


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    """One database for the module: making its tables takes seconds."""
    flow = Mlflow(tmp_path_factory.mktemp("mlflow"))
    environment = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(flow.uri)
    flow.registry.prepare()
    yield flow
    mlflow.set_tracking_uri("")
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    if environment is not None:
        os.environ["MLFLOW_TRACKING_URI"] = environment


def evidence_of(version: int) -> Evidence:
    """What a gate saw of a version."""
    scored = Scored(version=version, auc=0.1 + 0.2, log_loss=1 / 3, brier=1e-17, calibration_error=0.0)
    return small_evidence(candidate=scored)


def test_before_the_first_candidate_there_is_none(flow: Mlflow) -> None:
    """A new registry answers, and does not fail."""
    empty = ModelRegistry(flow.uri, "empty", None)
    empty.prepare()
    assert empty.candidate_version() is None
    assert empty.versions() == []


def test_preparing_twice_is_harmless(flow: Mlflow) -> None:
    """Every start does it."""
    candidate = flow.bare()
    for _ in range(2):
        flow.registry.prepare()
    assert candidate.version in [summary.version for summary in flow.registry.versions()]


def test_preparing_says_when_the_model_cannot_be_made(flow: Mlflow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a model that is there already may be passed over; the loop would fail at its first training instead."""

    def refused(*_: object, **__: object) -> None:
        raise MlflowException("not allowed")

    monkeypatch.setattr(MlflowClient, "create_registered_model", refused)
    with pytest.raises(MlflowException, match="not allowed"):
        flow.registry.prepare()


def test_a_registered_candidate_is_a_version_with_alias_tags_and_run(flow: Mlflow) -> None:
    """Lineage: from the version to the run, its parameters and metrics, and back."""
    first = flow.register("2013-01", code_sha256="c")
    second = flow.register("2013-02")
    assert second.version == first.version + 1
    assert flow.registry.candidate_version() == second.version == flow.alias("candidate")
    assert flow.tags(first.version).items() >= {"window": "2013-01", "code_sha256": "c", "status": "candidate"}.items()
    version = flow.client.get_model_version("small", str(first.version))
    assert version.run_id == first.mlflow_run_id != second.mlflow_run_id
    run = flow.client.get_run(first.mlflow_run_id)
    assert run.data.params["seed"] == "0"
    assert run.data.metrics["auc"] == 0.75
    newest, older = flow.registry.versions()[:2]
    assert newest == VersionSummary(second.version, "candidate", "2013-02", ("candidate",))
    assert older == VersionSummary(first.version, "candidate", "2013-01", ())


def test_a_registered_model_loads_without_unpickling(flow: Mlflow, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle in the registry runs code on the machine that loads it; the trusted types are a reviewed list."""
    candidate = flow.register()

    def forbidden(*_: object, **__: object) -> None:
        pytest.fail("the model was unpickled")

    monkeypatch.setattr(pickle, "load", forbidden)
    monkeypatch.setattr(pickle, "loads", forbidden)
    loaded = mlflow.sklearn.load_model(f"models:/small/{candidate.version}")
    frame = as_drawn(small_frame(30))
    assert (loaded.predict_proba(frame) == flow.pipeline.predict_proba(frame)).all()


def test_evidence_reads_back_as_it_was_written(flow: Mlflow) -> None:
    """To the last digit: the promotion asks the gate again with it."""
    candidate = flow.bare()
    evidence = evidence_of(candidate.version)
    flow.registry.log_evidence(candidate, evidence)
    assert flow.registry.evidence(candidate.version) == evidence
    assert flow.tags(candidate.version)[EVIDENCE_TAG] == evidence.sha256


def test_a_version_that_the_gate_never_judged_has_no_evidence(flow: Mlflow) -> None:
    """A crash between the registration and the gate must not read as a pass."""
    with pytest.raises(EvidenceMissing, match="the gate never finished judging it"):
        flow.registry.evidence(flow.bare().version)


def test_an_edited_evidence_tag_is_refused(flow: Mlflow) -> None:
    """Anyone can edit a tag in MLflow's pages."""
    candidate = flow.bare()
    flow.registry.log_evidence(candidate, evidence_of(candidate.version))
    other = evidence_of(candidate.version).model_copy(update={"gate": Gate(min_gain=0.0)})
    flow.client.set_model_version_tag("small", str(candidate.version), EVIDENCE_TAG, other.sha256)
    with pytest.raises(EvidenceMissing, match="is not the one that the gate wrote"):
        flow.registry.evidence(candidate.version)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            evidence_of(1).model_copy(update={"gate": Gate(min_gain=0.0)}).to_json(),
            "is not the one that the gate wrote",
        ),
        ("{}", "cannot be read"),
        ("not JSON", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_an_edited_evidence_artifact_is_refused(flow: Mlflow, text: str, said: str) -> None:
    """Anyone who reaches the artifact store can edit a file."""
    candidate = flow.bare()
    flow.registry.log_evidence(candidate, evidence_of(candidate.version))
    flow.client.log_text(candidate.mlflow_run_id, text, EVIDENCE)
    with pytest.raises(EvidenceMissing, match=said):
        flow.registry.evidence(candidate.version)


def test_evidence_of_another_version_is_refused(flow: Mlflow) -> None:
    """A good version's record and tag, copied to a bad one, fit each other."""
    good, bad = flow.bare(), flow.bare()
    flow.registry.log_evidence(bad, evidence_of(good.version))
    with pytest.raises(EvidenceMissing, match="is not the one that the gate wrote"):
        flow.registry.evidence(bad.version)


def test_evidence_whose_record_is_gone_is_refused(flow: Mlflow) -> None:
    """The tag alone proves nothing."""
    candidate = flow.bare()
    flow.client.set_model_version_tag("small", str(candidate.version), EVIDENCE_TAG, "0" * 64)
    with pytest.raises(EvidenceMissing, match="cannot be read"):
        flow.registry.evidence(candidate.version)


def test_a_bundle_comes_back_as_it_was_logged(flow: Mlflow, tmp_path: Path) -> None:
    """Its manifest's hash is what the evidence names."""
    candidate = flow.bare()
    sha = small_bundle(tmp_path / "made", candidate.version)
    flow.registry.log_bundle(candidate, tmp_path / "made")
    (tmp_path / "got").mkdir()
    got = flow.registry.download_bundle(candidate.version, tmp_path / "got")
    assert got == tmp_path / "got" / BUNDLE
    release.verify(got, manifest_sha256=sha, model_version=candidate.version)


def test_moving_production_archives_the_one_before(flow: Mlflow) -> None:
    """One version is production, in the alias and in the tags."""
    first, second = flow.bare().version, flow.bare().version
    flow.registry.move_production(first)
    assert (flow.alias("production"), flow.tags(first)["status"]) == (first, "production")
    for _ in range(2):
        flow.registry.move_production(second)
        assert flow.alias("production") == second
        assert flow.tags(second)["status"] == "production"
        assert flow.tags(first)["status"] == "archived"
    flow.registry.move_production(first)
    assert (flow.tags(first)["status"], flow.tags(second)["status"]) == ("production", "archived")


@pytest.mark.parametrize("survived", [0, 1, 2])
def test_a_move_that_a_crash_cut_in_two_is_finished_by_repeating_it(
    flow: Mlflow, survived: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the alias moved, the version before must still be found and archived."""
    first, second = flow.bare().version, flow.bare().version
    flow.registry.move_production(first)
    calls = 0

    def crash_after(method: str) -> None:
        original = getattr(MlflowClient, method)

        def call(self: MlflowClient, *arguments: str) -> None:
            nonlocal calls
            if calls == survived:
                raise KeyboardInterrupt
            calls += 1
            original(self, *arguments)

        patch.setattr(MlflowClient, method, call)

    with monkeypatch.context() as patch:
        crash_after("set_registered_model_alias")
        crash_after("set_model_version_tag")
        with pytest.raises(KeyboardInterrupt):
            flow.registry.move_production(second)
    flow.registry.move_production(second)
    assert flow.alias("production") == second
    assert [v.version for v in flow.registry.versions() if v.status == "production"] == [second]
    assert flow.tags(first)["status"] == "archived"


def test_an_alias_that_someone_moved_by_hand_leaves_one_production(flow: Mlflow) -> None:
    """MLflow's pages let anyone move it, and the tags do not follow."""
    first, by_hand, third = (flow.bare().version for _ in range(3))
    flow.registry.move_production(first)
    flow.client.set_registered_model_alias("small", "production", str(by_hand))
    flow.registry.move_production(third)
    assert [v.version for v in flow.registry.versions() if v.status == "production"] == [third]
    assert flow.tags(first)["status"] == "archived"


def test_a_rejected_version_says_so(flow: Mlflow) -> None:
    """The table of versions shows why it never served."""
    version = flow.bare().version
    flow.registry.set_status(version, "rejected")
    assert flow.registry.versions()[0] == VersionSummary(version, "rejected", "", ())


def test_the_registry_leaves_the_processs_tracking_uri_alone(flow: Mlflow, tmp_path: Path) -> None:
    """The run that Dagster tracks would otherwise go on elsewhere."""
    candidate = flow.bare()
    flow.registry.log_evidence(candidate, evidence_of(candidate.version))
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'other.db'}")
    try:
        flow.registry.evidence(candidate.version)
        assert mlflow.get_tracking_uri() == f"sqlite:///{tmp_path / 'other.db'}"
    finally:
        mlflow.set_tracking_uri(flow.uri)
