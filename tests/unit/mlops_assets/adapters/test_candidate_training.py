from pathlib import Path

import numpy as np
import pytest

from mlops_assets.adapters.candidate_training import (
    CASES,
    TrainedCandidate,
    score_table,
    train_candidate,
    validation_rows,
)
from mlops_assets.adapters.release_store import Lineage, ReleaseStore, write_bundle
from mlops_assets.adapters.window_records import DataWindow
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.domain.candidate import NotTrainable
from mlops_assets.domain.comparison import split_keys
from mlops_assets.domain.evaluation import differing
from mlops_assets.domain.known_cases import KnownCase
from serving.release import read_cases
from tests.unit.mlops_assets.landed_windows import take
from tests.unit.mlops_assets.small_windows import land, land_small, small_frame

pytestmark = pytest.mark.filterwarnings("ignore:Field onnx:DeprecationWarning")  # of skl2onnx in onnx

GOOD: dict[str, float | int | str] = {"amount": 100.0, "visits": 10, "age": 40.0, "colour": "red", "plan": "free"}
POOR = {**GOOD, "amount": -100.0}


@pytest.fixture
def window(store: WindowStore, landed: Path) -> DataWindow:
    """A stored window of 900 rows."""
    return take(store, land_small(landed, 900))


@pytest.fixture
def trained(store: WindowStore, window: DataWindow) -> TrainedCandidate:
    """A candidate of it."""
    return train_candidate(store, {window.window: window.data_version})


def test_it_learns_from_the_training_rows_alone(
    store: WindowStore, window: DataWindow, trained: TrainedCandidate
) -> None:
    """The others are those that models are compared on."""
    validation = validation_rows(store, window.window, window.data_version)
    assert trained.training_rows + len(validation) == 900
    assert 150 < len(validation) < 300
    assert validation["case_id"].is_monotonic_increasing


def test_trained_again_it_is_the_same_to_the_last_digit(
    store: WindowStore, window: DataWindow, trained: TrainedCandidate
) -> None:
    """Else no version could be reproduced from its windows."""
    assert train_candidate(store, {window.window: window.data_version}).exported == trained.exported


def test_rows_of_one_outcome_train_nothing(store: WindowStore, landed: Path) -> None:
    """As the rule says it."""
    window = take(store, land(landed, small_frame(300).assign(late=False)))
    with pytest.raises(NotTrainable, match="both outcomes"):
        train_candidate(store, {window.window: window.data_version})


def test_known_cases_are_scored_as_the_service_would(
    store: WindowStore, window: DataWindow, trained: TrainedCandidate
) -> None:
    """The exported model's scores, whole rows and rows with nulls."""
    cases = (
        KnownCase(name="good", row=GOOD, above="poor"),
        KnownCase(name="poor", row=POOR, at_most=0.5),
        KnownCase(name="little known", row={name: GOOD[name] for name in ("amount", "visits", "colour")}, at_least=1.0),
    )
    assert trained.known_cases() == ()
    dataset = store.dataset.model_copy(update={"known_cases": cases})
    asked = train_candidate(WindowStore(store.folder, dataset), {window.window: window.data_version})
    assert {case.name: case.holds for case in asked.known_cases()} == {
        "good": True,
        "poor": True,
        "little known": False,
    }


def test_a_bundles_cases_are_rows_that_both_ways_of_scoring_agree_on(
    store: WindowStore, window: DataWindow, trained: TrainedCandidate, tmp_path: Path
) -> None:
    """A borderline one would make the service refuse a good release."""
    validation = validation_rows(store, window.window, window.data_version)
    folder = tmp_path / "release"
    folder.mkdir()
    fitted = trained.fitted(validation)
    manifest = write_bundle(
        folder,
        model=trained.exported,
        cases=trained.cases(validation, served=trained.served.score(validation), fitted=fitted),
        dataset=store.dataset,
        lineage=Lineage("small", 1, {}, (window.window, window.data_version), "run", "run"),
        metrics={},
        importance={},
        card="",
    )
    cases = read_cases(folder)
    assert len(cases) == CASES
    assert not differing(np.array([case.probability for case in cases]), fitted[:CASES]).any()
    releases = ReleaseStore(tmp_path / "releases")
    releases.publish(folder, model_version=1, manifest_sha256=manifest)
    assert releases.holds(1, manifest_sha256=manifest)


def test_scores_are_kept_by_row_id_and_truth(store: WindowStore, window: DataWindow, trained: TrainedCandidate) -> None:
    """Under names of their own: a contract's target may be called `candidate`."""
    validation = validation_rows(store, window.window, window.data_version)
    scores = {"candidate": trained.served.score(validation), "production": trained.fitted(validation)}
    table = score_table(store.dataset, validation, scores)
    assert list(table) == ["row_id", "truth", "candidate", "production"]
    assert table["row_id"].tolist() == validation["case_id"].tolist()
    assert table["truth"].tolist() == validation["late"].tolist()
    assert (table["candidate"].to_numpy() == scores["candidate"]).all()


def test_split_keys_are_numbered_from_0(store: WindowStore, window: DataWindow) -> None:
    """As the comparison takes them: rows of one customer have one."""
    validation = validation_rows(store, window.window, window.data_version)
    keys = split_keys(store.dataset, validation)
    assert sorted(set(keys.tolist())) == list(range(validation["customer"].nunique()))
    assert len(set(zip(keys, validation["customer"], strict=True))) == validation["customer"].nunique()
