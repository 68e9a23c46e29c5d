"""Which landing a location means: a folder, an object store or a database."""

from pathlib import Path

from mlops_assets.adapters.landing.database import DatabaseLanding
from mlops_assets.adapters.landing.folder import FolderLanding
from mlops_assets.adapters.landing.landed_window import Landing, SourceInvalid
from mlops_assets.adapters.landing.object_store import ObjectStoreLanding
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import read_dataset
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.location import FILE_SCHEMES, masked

DATABASES = frozenset({"postgresql", "postgres", "sqlite", "mysql", "mariadb", "mssql", "oracle"})
KEYLESS_STORES = frozenset({"s3", "s3a", "gs", "gcs"})
"""Their clients take a key in the URL for a part of the bucket's name, and repeat it in their errors."""
OTHER_DATABASE = "+"
"""In a scheme: a dialect and its driver, as only SQLAlchemy's URLs have."""


def landing_of(settings: Settings) -> Landing:
    """Where the windows of these settings land.

    Raises:
        SourceInvalid: their location is no place for windows, or the contract lacks what it needs.
        DatasetInvalid: the contract is wrong.
    """
    return landing_at(settings.landing_location, read_dataset(settings.dataset), settings.spool)


def landing_at(location: str, dataset: Dataset, spool: Path) -> Landing:
    """The landing at a location.

    Args:
        location: A folder's path, or a URL: `s3://bucket/prefix` and what else fsspec knows, `postgresql://...` and
            what else SQLAlchemy knows.
        dataset: The contract.
        spool: Folder for the copies that are made while a window is read.

    Raises:
        SourceInvalid: the location is none of these, or the contract lacks what it needs.
    """
    scheme, is_url, rest = location.partition("://")
    if not is_url:
        if not location.strip():
            raise SourceInvalid("the source is empty; name a folder, or a URL such as s3://bucket/prefix")
        return FolderLanding(Path(location).expanduser(), dataset)
    if scheme in FILE_SCHEMES:
        return FolderLanding(Path(rest), dataset)
    if scheme in DATABASES or OTHER_DATABASE in scheme:
        return DatabaseLanding(location, dataset, spool)
    if scheme in KEYLESS_STORES and ":" in (bucket := rest.partition("/")[0]) and not bucket.startswith("arn:"):
        raise SourceInvalid(
            f"{masked(location)}: no key can stand in this URL; name the bucket alone, and give the key in the "
            "environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
        )
    if _is_known_store(scheme):
        return ObjectStoreLanding(location, dataset, spool)
    raise SourceInvalid(
        f"{scheme}:// is no place where windows can land; use a folder's path, an object store (s3://bucket/prefix, "
        "gs://, abfs://), or a database (postgresql://user@host/database, sqlite:///file.db)"
    )


def _is_known_store(scheme: str) -> bool:
    import fsspec

    return scheme in fsspec.available_protocols()
