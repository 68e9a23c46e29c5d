"""The feature table's format: the newest features of every entity, which the graph builds and the service looks up.

The embedded form is one SQLite file beside the releases; the other is a table in PostgreSQL. Here belong what a table
says of itself, the rule by which a looked-up row answers or does not, and the errors. Reading the two forms belongs to
`serving.feature_file` and `serving.feature_database`, building them to `mlops_assets.adapters.feature_store`.
"""

from datetime import UTC, datetime
from typing import Protocol

import msgspec

from serving.entity_key import EntityKey, key_text
from serving.release import FeatureType, FeatureValue, Manifest, Row

FORMAT_VERSION = 1
FILE = "features.sqlite"
APPLICATION_ID = 0x6D6C6670
"""In the file's header: SQLite's own place to say whose file it is."""
FILE_SCHEMA = """
CREATE TABLE features (entity TEXT PRIMARY KEY, as_of INTEGER NOT NULL, features TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (content TEXT NOT NULL);
"""
"""`as_of` is in microseconds since 1970, in UTC; `features` and `content` are JSON."""
DATABASE_TABLE = "mlops_features"
"""PostgreSQL's table has the same columns; the schema that it is in is the first of the user's search path."""
META_KEY = ""
"""The entity whose row holds PostgreSQL's `content`, so that one statement on one table reads both: nobody's key."""


class FeaturesUnavailable(Exception):
    """No features can be had now, whoever is asked for; the message says why and what to do."""


class EntityUnknown(Exception):
    """The table has no such entity."""


class FeaturesStale(Exception):
    """The newest features of the entity are older than the contract lets them answer."""

    def __init__(self, message: str, *, age_seconds: float, limit_seconds: float) -> None:
        super().__init__(message)
        self.age_seconds = age_seconds
        self.limit_seconds = limit_seconds


class TableMeta(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a table says of itself."""

    format_version: int = FORMAT_VERSION
    dataset: str
    window: str
    """The data window that the rows are of."""
    data_version: str
    entity_key: str
    max_age_seconds: float
    dated_by: str
    """What `as_of` is: the column `event_time` of the contract, or "landing", the time when the window landed."""
    features: dict[str, FeatureType]
    """Type by name, of every feature that each row has."""
    built_at: str
    entities: int = 0
    oldest_as_of: str | None = None
    newest_as_of: str | None = None


class FoundFeatures(msgspec.Struct, frozen=True, kw_only=True):
    """The newest features of an entity, as the served model takes them."""

    entity: str
    """The key as the table has it."""
    features: Row
    """Those of the model and no others, in its order."""
    as_of: str
    """RFC 3339, in UTC."""
    age_seconds: float
    window: str
    data_version: str


class FeatureTable(Protocol):
    """A table that can be asked, from several threads."""

    def find(self, key: EntityKey, manifest: Manifest, *, now: float) -> FoundFeatures:
        """The newest features of an entity.

        Args:
            key: The entity, as the client wrote it.
            manifest: Of the model that is to answer.
            now: Seconds since 1970.

        Raises:
            EntityUnknown: the table has no such entity.
            FeaturesStale: its features are older than the limit.
            FeaturesUnavailable: the table cannot be asked, or does not fit the model.
        """
        ...

    def close(self) -> None:
        """Gives back what it holds open and nobody uses."""
        ...


def demanded_key(key: EntityKey) -> str:
    """The text to look up.

    Raises:
        EntityUnknown: it can be nobody's.
    """
    text = key_text(key)
    if text is None:
        raise EntityUnknown("the key is empty, or no text that a key can be; there is no such entity")
    return text


def read_meta(content: str | bytes) -> TableMeta:
    """What a table says of itself.

    Raises:
        FeaturesUnavailable: it is malformed, or of another format.
    """
    try:
        version = msgspec.json.decode(content, type=_Version).format_version
        if version != FORMAT_VERSION:
            raise FeaturesUnavailable(
                f"the feature table is of format {version}, this code reads format {FORMAT_VERSION}: use graph and "
                "service of one version, and materialize feature_table"
            )
        return msgspec.json.decode(content, type=TableMeta)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _damaged(str(error)) from error


def demand_fit(meta: TableMeta, manifest: Manifest) -> None:
    """Demands that the table's rows are what the model takes; further features do no harm.

    Raises:
        FeaturesUnavailable: they are not; the message says what to do.
    """
    if (meta.dataset, meta.entity_key) != (manifest.model_name, manifest.entity_key):
        raise FeaturesUnavailable(
            f"the feature table is of {meta.dataset} by {meta.entity_key}, the served model of {manifest.model_name} "
            f"by {manifest.entity_key or 'no entity key'}: promote a model of the contract as it is now, or name "
            "another feature table"
        )
    lacking = [feature.name for feature in manifest.features if meta.features.get(feature.name) != feature.type]
    if lacking:
        raise FeaturesUnavailable(
            f"the feature table of window {meta.window} has no {', '.join(lacking)} as version "
            f"{manifest.model_version} takes it: the contract changed; promote a model of the contract as it is now, "
            "or send the features themselves"
        )


def answer(
    meta: TableMeta, entity: str, row: tuple[int, str] | None, manifest: Manifest, *, now: float
) -> FoundFeatures:
    """What a looked-up row answers, by a table that fits the model.

    Args:
        meta: Of the table.
        entity: The text that was looked up.
        row: `as_of` and `features`; None where there is no such entity.
        manifest: Of the model.
        now: Seconds since 1970.

    Raises:
        EntityUnknown: there is no row.
        FeaturesStale: it is older than the table's limit.
        FeaturesUnavailable: it cannot be read.
    """
    if row is None:
        raise EntityUnknown(
            f"there is no {meta.entity_key} {entity!r} in window {meta.window}, the newest one in use; send its "
            "features themselves"
        )
    as_of = rfc3339(row[0])
    age = max(0.0, now - row[0] / 1e6)
    if age > meta.max_age_seconds:
        raise FeaturesStale(
            f"the newest features of {meta.entity_key} {entity!r} are of {as_of}: {age / 86_400:.1f} days old, more "
            f"than the {meta.max_age_seconds / 86_400:g} days that the contract allows; a newer window must land",
            age_seconds=age,
            limit_seconds=meta.max_age_seconds,
        )
    try:
        stored = msgspec.json.decode(row[1], type=dict[str, FeatureValue])
        features = {feature.name: stored[feature.name] for feature in manifest.features}
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError) as error:
        raise _damaged(f"the row of {entity!r}: {error}") from error
    return FoundFeatures(
        entity=entity,
        features=features,
        as_of=as_of,
        age_seconds=age,
        window=meta.window,
        data_version=meta.data_version,
    )


def rfc3339(microseconds: int) -> str:
    """A time in microseconds since 1970 as text, in UTC."""
    seconds, rest = divmod(microseconds, 1_000_000)
    time = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest, tzinfo=None)
    return f"{time.isoformat()}Z"


def _damaged(what: str) -> FeaturesUnavailable:
    return FeaturesUnavailable(f"the feature table is damaged ({what}): materialize feature_table to build it anew")


class _Version(msgspec.Struct):
    """The one field that every format has."""

    format_version: int
