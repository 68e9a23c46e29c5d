"""Real small bundles for tests: a hand-made ONNX graph whose answers a formula gives.

p = sigmoid(0.01 * delay - 0.1 * hour + 0.5 * carrier + bias), with a null delay as 0 and a carrier as its position.
"""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from serving.release import (
    CASES,
    MANIFEST,
    MODEL,
    POINTER,
    Case,
    Feature,
    Manifest,
    Pointer,
    Row,
    TrainingWindow,
    digest_of,
    sha256_of,
)

CARRIERS = ("AA", "B6", "ÜA")
FEATURES = (
    Feature(name="dep delay", type="float", nullable=True, description="Minutes of delay at departure."),
    Feature(name="hour", type="integer", nullable=False, minimum=0, maximum=23),
    Feature(name="carrier", type="category", nullable=True, categories=CARRIERS),
)
ROW: Row = {"dep delay": 12.5, "hour": 7, "carrier": "B6"}
WEIGHTS = np.array([[0.01], [-0.1], [0.5]], dtype=np.float32)


def bias_of(version: int) -> float:
    """Versions answer differently: one step of bias apart."""
    return 0.25 * version - 1.0


def probability(row: Row, version: int) -> float:
    """The formula, in float64."""
    delay, hour, carrier = row.get("dep delay"), row["hour"], row.get("carrier")
    position = -1 if carrier is None else CARRIERS.index(str(carrier))
    values = [float(delay or 0.0), float(hour or 0.0), float(position)]
    score = float(np.dot(values, WEIGHTS[:, 0].astype(np.float64))) + bias_of(version)
    return 1 / (1 + math.exp(-score))


def onnx_model(
    version: int, *, columns: int = 3, nulls: bool = True, output: str = "probabilities", classes: int = 2
) -> bytes:
    """The formula as a graph; without `nulls` a null delay makes the answer NaN."""
    constants: dict[str, NDArray[np.generic]] = {
        "weights": np.resize(WEIGHTS, (columns, 1)),
        "bias": np.array([bias_of(version)], dtype=np.float32),
        "zero": np.zeros(1, dtype=np.float32),
        "one": np.ones(1, dtype=np.float32),
    }
    nodes = [
        helper.make_node("IsNaN", ["features"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "features"], ["filled"]),
        helper.make_node("Gemm", ["filled" if nulls else "features", "weights", "bias"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["true"]),
        helper.make_node("Sub", ["one", "true"], ["false"]),
        helper.make_node("Concat", ["false", *["true"] * (classes - 1)], [output], axis=1),
    ]
    graph = helper.make_graph(
        nodes if nulls else nodes[2:],
        "formula",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, columns])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None, classes])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def write_bundle(
    releases: Path,
    version: int,
    *,
    features: tuple[Feature, ...] = FEATURES,
    model: bytes | None = None,
    cases: list[Case] | None = None,
    **said: object,
) -> Path:
    """A complete bundle; what is not given is right. `said` are further fields of the manifest."""
    bundle = releases / str(version)
    bundle.mkdir(parents=True)
    rows: list[Row] = [ROW, {"hour": 23}, {"dep delay": None, "hour": 0, "carrier": "ÜA"}]
    known = [Case(row, probability(row, version)) for row in rows] if cases is None else cases
    (bundle / MODEL).write_bytes(onnx_model(version) if model is None else model)
    (bundle / CASES).write_bytes(msgspec.json.encode(known))
    window = TrainingWindow("2013-01", "abc")
    manifest = Manifest(
        model_name="flights",
        model_version=version,
        features=features,
        target="late",
        metrics={"auc": 0.7},
        training_windows=(window,),
        validation_window=window,
        dagster_run_id="run",
        mlflow_run_id="run",
        files={name: digest_of(bundle / name) for name in (MODEL, CASES)},
    )
    (bundle / MANIFEST).write_bytes(msgspec.json.encode(msgspec.structs.replace(manifest, **said)))
    return bundle


def promote(releases: Path, version: int, *, epoch: int) -> Pointer:
    """Replaces the pointer atomically, as a promotion does."""
    pointer = Pointer(
        model_version=version,
        epoch=epoch,
        manifest_sha256=sha256_of(releases / str(version) / MANIFEST),
        promoted_at="2013-02-01T00:00:00+00:00",
        promoted_by="production_model",
    )
    beside = releases / "production.json.new"
    beside.write_bytes(msgspec.json.encode(pointer))
    beside.replace(releases / POINTER)
    return pointer


def publish(releases: Path, version: int, *, epoch: int | None = None) -> Path:
    """A bundle and the pointer to it."""
    bundle = write_bundle(releases, version)
    promote(releases, version, epoch=version if epoch is None else epoch)
    return bundle


def change_byte(path: Path) -> None:
    """Flips a bit in the middle of a file; its size stays."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def change_manifest(bundle: Path, **changes: object) -> None:
    """Rewrites fields of a manifest; a pointer written before no longer fits it."""
    manifest = json.loads((bundle / MANIFEST).read_bytes())
    (bundle / MANIFEST).write_text(json.dumps(manifest | changes))


def eventually(holds: Callable[[], object], *, seconds: float = 10) -> None:
    """Waits until it holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "did not hold in time"
        time.sleep(0.02)
