"""The model registry: MLflow.

It is imported inside the functions, for it takes seconds, and most processes of the loop never need it. Here belong
versions, aliases, tags and artifacts. The run that a training is tracked in belongs to `tracked_run`, what makes a
version production to `promotion`.
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from mlops_assets.adapters.tracked_run import TrackedRun
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.domain.approval import ApprovalAnswer
from mlops_assets.domain.evidence import Evidence
from mlops_assets.domain.model_card import summary
from serving.release import ReleaseInvalid

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from sklearn.pipeline import Pipeline

CANDIDATE, PRODUCTION = "candidate", "production"
Status = Literal["candidate", "production", "archived", "rejected"]
BUNDLE = "release"
EVIDENCE = "evidence.json"
SCORES = "scores.parquet"
"""Both models' scores of the validation rows."""
EVIDENCE_TAG = "evidence_sha256"
APPROVAL, APPROVAL_BY, APPROVAL_REASON = "approval", "approval_by", "approval_reason"
LONGEST_DESCRIPTION = 4_500
"""Characters; MLflow's column holds 5,000."""

# The client's defaults are 120 s and 7 retries, which looks like a hang of minutes when the server is down.
CLIENT_LIMITS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}

# What a pipeline of `domain.candidate` is made of beyond skops' own list; reviewed, none of them runs code when loaded.
TRUSTED_TYPES = [
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn.compose._column_transformer._RemainderColsList",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
]


class EvidenceMissing(Exception):
    """A model version has no evidence that can be believed; the message says what is missing."""


@dataclass(frozen=True)
class CandidateVersion:
    """A registered version and the MLflow run that it comes from."""

    version: int
    mlflow_run_id: str


@dataclass(frozen=True)
class VersionSummary:
    """A registered version as tables show it."""

    version: int
    status: str
    window: str
    aliases: tuple[str, ...]


class ModelRegistry:
    """One registered model in MLflow."""

    def __init__(self, tracking_uri: str, model_name: str, artifacts: Path | None) -> None:
        """Names the model; nothing is opened yet.

        Args:
            tracking_uri: A database or a server.
            model_name: The registered model; the experiment has the same name.
            artifacts: Where a database's artifacts go; None leaves it to the server.
        """
        self.tracking_uri = tracking_uri
        self.model_name = model_name
        self._artifacts = artifacts

    def prepare(self) -> None:
        """Makes the experiment and the registered model, and before them a database's tables.

        Once, before workers start: two processes that make the tables at the same time fail.
        """
        from mlflow.exceptions import MlflowException

        client = self._client()
        if client.get_experiment_by_name(self.model_name) is None:
            location = self._artifacts.as_uri() if self._artifacts else None
            client.create_experiment(self.model_name, artifact_location=location)
        try:
            client.create_registered_model(self.model_name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def register(
        self,
        tracked: TrackedRun,
        pipeline: "Pipeline",
        *,
        params: Mapping[str, object],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
    ) -> CandidateVersion:
        """Logs a fitted pipeline into a tracked run and registers it as a candidate version."""
        import mlflow.sklearn

        tracked.log_params(dict(params))
        tracked.log_metrics(dict(metrics))
        tracked.set_tags(dict(tags))
        run_id = tracked.active_run().info.run_id
        # Without pip_requirements MLflow finds them out by loading the model in a process of its own (seconds).
        model = mlflow.sklearn.log_model(
            pipeline,
            name="model",
            pip_requirements=["scikit-learn", "skops"],
            skops_trusted_types=TRUSTED_TYPES,
            pyfunc_predict_fn="predict_proba",
        )
        registered = self._client().create_model_version(
            self.model_name, model.model_uri, run_id=run_id, model_id=model.model_id, tags=dict(tags)
        )
        version = int(registered.version)
        self.set_status(version, "candidate")
        self._client().set_registered_model_alias(self.model_name, CANDIDATE, str(version))
        return CandidateVersion(version, run_id)

    def log_bundle(self, candidate: CandidateVersion, bundle: Path) -> None:
        """Keeps a version's release bundle with its run."""
        self._client().log_artifacts(candidate.mlflow_run_id, str(bundle), BUNDLE)

    def describe(self, candidate: CandidateVersion, card: str) -> None:
        """Shows a version's model card, but for its features, on the version's page."""
        self._client().update_model_version(
            self.model_name, str(candidate.version), description=summary(card, longest=LONGEST_DESCRIPTION)
        )

    def log_scores(self, candidate: CandidateVersion, scores: Path) -> None:
        """Keeps the models' scores of the validation rows with a version's run."""
        self._client().log_artifact(candidate.mlflow_run_id, str(scores))

    def log_evidence(self, candidate: CandidateVersion, evidence: Evidence) -> None:
        """Keeps what the gate saw with the version: the record with its run, the record's hash as a tag."""
        self._client().log_text(candidate.mlflow_run_id, evidence.to_json(), EVIDENCE)
        self._client().set_model_version_tag(self.model_name, str(candidate.version), EVIDENCE_TAG, evidence.sha256)

    def evidence(self, version: int) -> Evidence:
        """What the gate saw of a version.

        Raises:
            EvidenceMissing: there is none, or it is of another version, or it was changed since.
        """
        from mlflow.exceptions import MlflowException
        from pydantic import ValidationError

        registered = self._found(version)
        if registered is None:
            raise EvidenceMissing(f"version {version} is gone from MLflow, and its evidence with it")
        expected = registered.tags.get(EVIDENCE_TAG)
        if expected is None:
            raise EvidenceMissing(f"version {version} has no evidence: the gate never finished judging it")
        try:
            with TemporaryDirectory() as folder:
                path = self._client().download_artifacts(str(registered.run_id), EVIDENCE, folder)
                evidence = Evidence.model_validate_json(Path(path).read_bytes())
        except (MlflowException, OSError, ValidationError) as error:
            raise EvidenceMissing(f"the evidence of version {version} cannot be read: {error}") from error
        if evidence.sha256 != expected or evidence.candidate.version != version:
            raise EvidenceMissing(f"the evidence of version {version} is not the one that the gate wrote")
        return evidence

    def download_scores(self, version: int, folder: Path) -> Path:
        """Copies the models' scores of a version's validation rows below `folder` and says where.

        Raises:
            EvidenceMissing: they are gone.
        """
        from mlflow.exceptions import MlflowException

        try:
            return Path(self._client().download_artifacts(str(self._version(version).run_id), SCORES, str(folder)))
        except (MlflowException, OSError) as error:
            raise EvidenceMissing(f"the scores of version {version} cannot be read: {error}") from error

    def candidate_of(self, dagster_run_ids: Collection[str | None]) -> int | None:
        """The newest version that one of these runs registered and judged; None where there is none."""
        found = self._client().search_model_versions(f"name = '{self.model_name}'")
        judged = [
            int(version.version)
            for version in found
            if version.tags.get("dagster_run_id") in dagster_run_ids and EVIDENCE_TAG in version.tags
        ]
        return max(judged, default=None)

    def production_version(self) -> int | None:
        """The version that has the alias `production`; None where none has."""
        return self._alias(PRODUCTION)

    def says_production(self, version: int) -> bool:
        """Whether alias and status tags say that this version, and no other, is production."""
        saying = [other for other in self.versions() if other.status == PRODUCTION or PRODUCTION in other.aliases]
        return [(one.version, one.status, PRODUCTION in one.aliases) for one in saying] == [(version, PRODUCTION, True)]

    def holds(self, version: int) -> bool:
        """Whether the version is there."""
        return self._found(version) is not None

    def candidate_version(self) -> int | None:
        """The version that has the alias `candidate`; None before the first."""
        return self._alias(CANDIDATE)

    def download_bundle(self, version: int, folder: Path) -> Path:
        """Copies a version's release bundle below `folder` and says where.

        Raises:
            ReleaseInvalid: it is gone, with its version or alone. Any other failure may pass.
        """
        from mlflow.exceptions import MlflowException

        gone = f"the release bundle of version {version} is gone from MLflow"
        registered = self._found(version)
        if registered is None:
            raise ReleaseInvalid(gone)
        run_id = str(registered.run_id)
        try:
            return Path(self._client().download_artifacts(run_id, BUNDLE, str(folder)))
        except (MlflowException, OSError) as error:
            # A store that is down, and a full disk, look alike from here: it is gone where the store says so itself.
            if BUNDLE in [artifact.path for artifact in self._client().list_artifacts(run_id)]:
                raise
            raise ReleaseInvalid(gone) from error

    def move_production(self, version: int) -> None:
        """Sets the alias `production` and the versions' status tags.

        The one before is found by its tag: after a crash, or a move by hand, the alias does not name it any more.
        """
        self._client().set_registered_model_alias(self.model_name, PRODUCTION, str(version))
        self.set_status(version, "production")
        for other in self.versions():
            if other.status == "production" and other.version != version:
                self.set_status(other.version, "archived")

    def set_status(self, version: int, status: Status) -> None:
        """Sets a version's tag `status`."""
        self._client().set_model_version_tag(self.model_name, str(version), "status", status)

    def tags(self, version: int) -> dict[str, str]:
        """A version's tags."""
        return dict(self._version(version).tags)

    def note_pending(self, version: int) -> None:
        """Says with a version that it waits for approval: a person may set the tag in MLflow's own page."""
        self._note(version, {APPROVAL_BY: "", APPROVAL_REASON: "", APPROVAL: "pending"})

    def note_answer(self, version: int, answer: ApprovalAnswer) -> None:
        """Says with a version what was answered, unless somebody has deleted it."""
        if self.holds(version):
            self._note(version, {APPROVAL_BY: answer.actor, APPROVAL_REASON: answer.reason, APPROVAL: answer.answer})

    def _note(self, version: int, tags: Mapping[str, str]) -> None:
        known = self.tags(version)
        for name, value in tags.items():
            if known.get(name) != value:
                self._client().set_model_version_tag(self.model_name, str(version), name, value)

    def versions(self) -> list[VersionSummary]:
        """All versions, newest first."""
        found = self._client().search_model_versions(f"name = '{self.model_name}'")
        # The versions that a search finds do not say their aliases.
        aliases = self._client().get_registered_model(self.model_name).aliases
        summaries = [
            VersionSummary(
                version=int(version.version),
                status=version.tags.get("status", "unknown"),
                window=version.tags.get("window", ""),
                aliases=tuple(sorted(alias for alias, of in aliases.items() if str(of) == str(version.version))),
            )
            for version in found
        ]
        return sorted(summaries, key=lambda summary: -summary.version)

    def _found(self, version: int) -> "ModelVersion | None":
        from mlflow.exceptions import MlflowException

        try:
            return self._version(version)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def _version(self, version: int) -> "ModelVersion":
        return self._client().get_model_version(self.model_name, str(version))

    def _alias(self, alias: str) -> int | None:
        from mlflow.exceptions import MlflowException

        try:
            return int(self._client().get_model_version_by_alias(self.model_name, alias).version)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def _client(self) -> "MlflowClient":
        for name, value in CLIENT_LIMITS.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.tracking_uri, registry_uri=self.tracking_uri)


def registry_of(settings: Settings) -> ModelRegistry:
    """The registered model of the loop that these settings name."""
    return ModelRegistry(settings.mlflow_uri, read_dataset(settings.dataset).name, settings.mlflow_artifacts)
