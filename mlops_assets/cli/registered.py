"""A registered version as `mlops compare` and `mlops reproduce` start from it: verified, promoted or not."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mlops_assets.adapters.model_registry import EvidenceMissing, ModelRegistry
from mlops_assets.cli.errors import UserError
from mlops_assets.domain.evidence import Evidence
from serving.release import MODEL, Manifest, ReleaseInvalid, verify


@dataclass(frozen=True)
class Registered:
    """What the gate saw of a version, and what it judged."""

    evidence: Evidence
    manifest: Manifest
    model: bytes
    """The exported model."""


def registered(registry: ModelRegistry, version: int) -> Registered:
    """Reads a version from MLflow.

    Raises:
        UserError: it is not there, or cannot be believed.
    """
    if not registry.holds(version):
        raise UserError(f"there is no version {version}; `mlops status` lists them")
    try:
        evidence = registry.evidence(version)
        with TemporaryDirectory() as folder:
            bundle = registry.download_bundle(version, Path(folder))
            manifest = verify(bundle, manifest_sha256=evidence.manifest_sha256, model_version=version)
            return Registered(evidence, manifest, (bundle / MODEL).read_bytes())
    except (EvidenceMissing, ReleaseInvalid) as error:
        raise UserError(str(error)) from error
