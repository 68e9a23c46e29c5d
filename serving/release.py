"""The release bundle's format: what the graph publishes and the service loads.

A bundle is a folder `releases/<version>/` with `manifest.json`, the model file and `cases.json`; `production.json`
beside the bundles names the one to serve. Here belong the format, reading it and verifying it. How a bundle is made
belongs to `mlops_assets.adapters.release_store`; how it is served belongs to `serving.slot`.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
MODEL = "model.onnx"
CASES = "cases.json"
POINTER = "production.json"
TOLERANCE = 1e-6
"""How far an answer may lie from a case's probability; float32 tells apart steps of 6e-8 below 1."""

FeatureType = Literal["float", "integer", "boolean", "category"]
FeatureValue = bool | float | int | str | None
Row = dict[str, FeatureValue]
Decoded = TypeVar("Decoded")


class ReleaseInvalid(Exception):
    """A bundle or its pointer is not what it says it is; the message says which file and why."""


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One input of the model, in the order of the model's input columns."""

    name: str
    type: FeatureType
    nullable: bool
    description: str = ""
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] = ()
    """The values of a category; the model's input holds a value's position here, and -1 for null."""
    new_categories: Literal["quarantine", "as_missing"] = "quarantine"
    """What becomes of a value that `categories` does not name: its request is refused, or it is read as null."""


class TrainingWindow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A data window that the model learned from, at the data version it had then."""

    window: str
    data_version: str


class FileDigest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file of the bundle must be."""

    sha256: str
    size: int

    def __str__(self) -> str:
        return f"{self.size} bytes of sha256 {self.sha256}"


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a bundle holds. It never changes: the epoch of a promotion stands in the pointer."""

    format_version: int = FORMAT_VERSION
    model_name: str
    model_version: int
    runtime: Literal["onnx"] = "onnx"
    features: tuple[Feature, ...]
    target: str
    row_id: str | None = None
    """Column with a row's id, which a client may send with the features; bundles of before name none."""
    context: tuple[str, ...] = ()
    """Columns that a client may send too, for the record alone: split key, entity, time, segments."""
    entity_key: str | None = None
    """The column of these that says whom a row is about."""
    metrics: dict[str, float]
    importance: dict[str, float] = {}
    """AUC that the model loses without a feature, by name; bundles of before have none."""
    training_windows: tuple[TrainingWindow, ...]
    validation_window: TrainingWindow
    dagster_run_id: str
    mlflow_run_id: str
    files: dict[str, FileDigest]


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row and the probability that the trained pipeline gave for it."""

    row: Row
    probability: float


class Pointer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`production.json`: which bundle is served, since which promotion."""

    format_version: int = FORMAT_VERSION
    model_version: Annotated[int, msgspec.Meta(ge=1)]
    epoch: Annotated[int, msgspec.Meta(ge=1)]
    """Number of the promotion in the ledger; grows by one with each, roll backs included."""
    manifest_sha256: str
    promoted_at: str
    promoted_by: str | None = None
    """Who or what asked for the promotion; pointers of before do not say."""


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(path: Path) -> FileDigest:
    """What `verify` will later demand of this file."""
    return FileDigest(sha256=sha256_of(path), size=path.stat().st_size)


def read_pointer(releases: Path) -> Pointer | None:
    """What is to be served, or None where nothing was ever promoted.

    Raises:
        ReleaseInvalid: `production.json` is there and cannot be read as a pointer.
    """
    try:
        content = (releases / POINTER).read_bytes()
    except FileNotFoundError:
        return None
    pointer = _decode(content, Pointer, POINTER)
    _demand_format(pointer.format_version, POINTER)
    return pointer


def read_manifest(bundle: Path) -> Manifest:
    """The manifest of a bundle, without a look at the files that it names.

    Raises:
        ReleaseInvalid: there is none, or it is malformed or of another format.
    """
    manifest = _decode(_read(bundle / MANIFEST), Manifest, MANIFEST)
    _demand_format(manifest.format_version, MANIFEST)
    return manifest


def read_cases(bundle: Path) -> list[Case]:
    """The rows with known answers.

    Raises:
        ReleaseInvalid: the file is missing or malformed.
    """
    return _decode(_read(bundle / CASES), list[Case], CASES)


def verify(bundle: Path, *, manifest_sha256: str, model_version: int) -> Manifest:
    """Reads a bundle's manifest and demands that every byte of the bundle is the one that was released.

    Args:
        bundle: Folder of the bundle.
        manifest_sha256: What the pointer (or the evidence) says of `manifest.json`.
        model_version: The version that the bundle must be of.

    Raises:
        ReleaseInvalid: a file is missing, changed, not a regular file, or not named by the manifest.
    """
    if bundle.is_symlink() or not bundle.is_dir():
        raise ReleaseInvalid(f"{bundle.name}: there is no such bundle")
    found = {path.name for path in bundle.iterdir()}
    for path in sorted(bundle.iterdir()):
        if path.is_symlink() or not path.is_file():
            raise ReleaseInvalid(f"{path.name}: not a regular file")
    if MANIFEST not in found:
        raise ReleaseInvalid(f"{MANIFEST}: missing")
    if (actual := sha256_of(bundle / MANIFEST)) != manifest_sha256:
        raise ReleaseInvalid(f"{MANIFEST}: sha256 is {actual}, the pointer says {manifest_sha256}")
    manifest = read_manifest(bundle)
    if manifest.model_version != model_version:
        raise ReleaseInvalid(f"{MANIFEST}: is of version {manifest.model_version}, expected {model_version}")
    if missing := {MODEL, CASES} - manifest.files.keys():
        raise ReleaseInvalid(f"{MANIFEST}: names no {' and no '.join(sorted(missing))}")
    if extra := found - manifest.files.keys() - {MANIFEST}:
        raise ReleaseInvalid(f"{min(extra)}: not named by the manifest")
    for name, expected in manifest.files.items():
        if name not in found:
            raise ReleaseInvalid(f"{name}: missing")
        if (actual_digest := digest_of(bundle / name)) != expected:
            raise ReleaseInvalid(f"{name}: is {actual_digest}, the manifest says {expected}")
    return manifest


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ReleaseInvalid(f"{path.name}: missing") from error


def _decode(content: bytes, kind: type[Decoded], name: str) -> Decoded:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ReleaseInvalid(f"{name}: {error}") from error


def _demand_format(format_version: int, name: str) -> None:
    if format_version != FORMAT_VERSION:
        raise ReleaseInvalid(f"{name}: is of format {format_version}, this code reads format {FORMAT_VERSION}")
