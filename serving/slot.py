"""A loaded release: all that is needed to answer, and nothing that ever changes.

A slot exists only if the release proved itself: its bytes are the released ones and it answers its own cases as the
trained pipeline did. Which slot is served is decided by `serving.watcher`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter

import msgspec

from serving.predictor import PredictionFailed, Predictor
from serving.release import CASES, MODEL, TOLERANCE, Case, Manifest, Pointer, ReleaseInvalid, Row, read_cases, verify
from serving.rows import Rows, RowsInvalid

TIMED_CASES = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One release, ready to answer. Row type and model come from the same manifest and are only read together."""

    manifest: Manifest
    pointer: Pointer
    rows: Rows
    predictor: Predictor
    example: Row
    """A row that the model is known to answer."""
    loaded_at: str

    def predict(self, body: bytes) -> list[float]:
        """The probability for each row of a JSON body.

        Raises:
            RowsInvalid: the body is not rows of this model.
            PredictionFailed: the model gave no usable answer.
        """
        return self.predictor.predict(self.rows.decode(body))


def load(releases: Path, pointer: Pointer, *, max_row_milliseconds: float = math.inf) -> Slot:
    """Verifies the bundle that the pointer names, loads it and replays its cases.

    Raises:
        ReleaseInvalid: the bundle is not the released one, does not fit the model contract, answers otherwise, or takes
            longer for a row than it may.
    """
    bundle = releases / str(pointer.model_version)
    manifest = verify(bundle, manifest_sha256=pointer.manifest_sha256, model_version=pointer.model_version)
    cases = read_cases(bundle)
    if not cases:
        raise ReleaseInvalid(f"{CASES}: holds no case")
    slot = Slot(
        manifest=manifest,
        pointer=pointer,
        rows=Rows(manifest.features, row_id=manifest.row_id, context=manifest.context, entity_key=manifest.entity_key),
        predictor=Predictor(bundle / MODEL, manifest.features),
        example=cases[0].row,
        loaded_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    _replay(slot, cases)
    if (took := _row_milliseconds(slot, cases)) > max_row_milliseconds:
        raise ReleaseInvalid(f"{MODEL}: takes {took:.1f} ms for a row, the service allows {max_row_milliseconds:g}")
    return slot


def _row_milliseconds(slot: Slot, cases: Sequence[Case]) -> float:
    """The median over some single rows: one that the machine interrupts must not cost a release."""
    took = []
    for case in cases[:TIMED_CASES]:
        began = perf_counter()
        slot.predict(msgspec.json.encode(case.row))
        took.append(1000 * (perf_counter() - began))
    return median(took)


def _replay(slot: Slot, cases: Sequence[Case]) -> None:
    """Asks as a client would, which warms the model too."""
    try:
        answers = slot.predict(msgspec.json.encode([case.row for case in cases]))
        alone = slot.predict(msgspec.json.encode(cases[0].row))
    except (RowsInvalid, PredictionFailed) as error:
        raise ReleaseInvalid(f"{CASES}: {error}") from error
    for position, (case, answer) in enumerate([*zip(cases, answers, strict=True), (cases[0], alone[0])]):
        if not abs(answer - case.probability) <= TOLERANCE:
            raise ReleaseInvalid(f"{CASES}: case {position % len(cases)} is {answer}, expected {case.probability}")
