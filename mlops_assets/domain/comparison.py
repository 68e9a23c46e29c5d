"""Candidate and production on the same rows: the gain over all of them, and in each segment."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from mlops_assets.domain.auc_difference import auc_difference
from mlops_assets.domain.dataset import Dataset
from mlops_assets.domain.evaluation import Keys, Scores, Truth, calibration_error, evaluate
from mlops_assets.domain.evidence import Gain, SegmentGain
from mlops_assets.domain.segments import compare_segments


def measured(truth: Truth, scores: Scores, keys: Keys) -> dict[str, float]:
    """A model's metrics by name, as evidence, MLflow and a release say them.

    Raises:
        NotComparable: the rows hold one outcome alone, or none.
    """
    return {**vars(evaluate(truth, scores)), "calibration_error": calibration_error(truth, scores, keys)}


def compare(
    dataset: Dataset, validation: pd.DataFrame, truth: Truth, scores: Mapping[str, Scores], keys: Keys
) -> tuple[Gain, tuple[SegmentGain, ...]]:
    """By how much the candidate is better, how sure that is, and where.

    Args:
        dataset: The contract, with the gate's limits.
        validation: Rows with the segments.
        truth: Of those rows.
        scores: Of `candidate` and `production`, on those rows.
        keys: Split key of each row.
    """
    gate = dataset.gate
    found = auc_difference(truth, scores["candidate"], scores["production"], keys, level=gate.confidence)
    low, high = (bound if math.isfinite(bound) else None for bound in (found.low, found.high))
    segments = compare_segments(
        validation,
        dataset.segments,
        truth,
        scores,
        keys,
        margin=gate.segment_margin,
        min_rows=gate.segment_min_rows,
        confidence=gate.confidence,
    )
    return Gain(gain=found.gain, low=low, high=high, method=found.method, keys=found.keys), segments


def split_keys(dataset: Dataset, frame: pd.DataFrame) -> Keys:
    """The split key of each row as a number from 0 on."""
    keys: Keys = np.asarray(pd.factorize(frame[dataset.split_by], sort=True)[0], np.intp)
    return keys
