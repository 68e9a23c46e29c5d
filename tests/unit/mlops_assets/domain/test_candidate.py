import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from mlops_assets.adapters.release_store import ServedModel, features_of
from mlops_assets.domain.candidate import INPUT, NO_CATEGORY, NotTrainable, build_pipeline, export_onnx, score, train
from mlops_assets.domain.evaluation import differing, evaluate
from tests.unit.mlops_assets.small_windows import COLOURS, as_drawn, small_dataset, small_frame

DATASET = small_dataset()
TRAINING = as_drawn(small_frame(600))
UNSEEN = as_drawn(small_frame(400, seed=1, shift=0.3))

pytestmark = pytest.mark.filterwarnings("ignore:Field onnx:DeprecationWarning")  # of skl2onnx in onnx


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    """A fitted candidate."""
    return train(DATASET, TRAINING)


@pytest.fixture(scope="module")
def served(pipeline: Pipeline) -> ServedModel:
    """The same, as it is served."""
    return ServedModel(export_onnx(pipeline), features_of(DATASET))


def encoded(frame: pd.DataFrame) -> pd.DataFrame:
    """What the classifier sees, by feature."""
    matrix = build_pipeline(DATASET)["encode"].fit(TRAINING[list(DATASET.features)]).transform(frame)
    return pd.DataFrame(matrix, columns=list(DATASET.features))


def test_the_same_rows_train_the_same_model(pipeline: Pipeline) -> None:
    """A candidate must be reproducible from its windows, its contract and its code."""
    again = train(DATASET, TRAINING.copy())
    assert np.array_equal(score(pipeline, DATASET, UNSEEN), score(again, DATASET, UNSEEN))
    assert export_onnx(pipeline) == export_onnx(again)


def test_it_learns_what_the_rows_say(pipeline: Pipeline) -> None:
    """Features in the wrong order, or a shuffled target, would train without an error."""
    assert evaluate(UNSEEN["late"].to_numpy(bool), score(pipeline, DATASET, UNSEEN)).auc > 0.75


def test_only_the_contracts_features_are_seen(pipeline: Pipeline) -> None:
    """The id, the split key and the target must not reach the model, in whatever order the columns come."""
    bare = UNSEEN[list(reversed(DATASET.features))]
    assert np.array_equal(score(pipeline, DATASET, bare), score(pipeline, DATASET, UNSEEN))


def test_the_exported_model_answers_as_the_pipeline(pipeline: Pipeline, served: ServedModel) -> None:
    """What is served must be what was judged, on seen, unseen and null values."""
    for frame in (TRAINING, UNSEEN, UNSEEN.assign(age=np.nan, plan=None).astype({"age": "float32"})):
        fitted = score(pipeline, DATASET, frame)
        assert not differing(served.score(frame), fitted).any()
        assert len(fitted) == len(frame)


def test_a_null_in_any_feature_gets_an_answer_and_the_same_one(pipeline: Pipeline, served: ServedModel) -> None:
    """Neither side drops such a row, fills it in otherwise, or answers NaN."""
    holes = UNSEEN.head(40).copy()
    for row, name in enumerate(DATASET.features):
        holes.loc[holes.index[row], name] = None
    scores = score(pipeline, DATASET, holes)
    assert np.isfinite(scores).all()
    assert len(scores) == 40
    assert np.allclose(served.score(holes), scores, atol=1e-6, rtol=0)


def test_categories_are_coded_by_their_place_in_the_contract() -> None:
    """The service codes them by the manifest: another order there and here would answer wrong without an error."""
    frame = TRAINING.head(len(COLOURS)).assign(colour=list(COLOURS), plan=pd.Series(["paid", None, "free"]))
    codes = encoded(frame)
    assert codes["colour"].tolist() == [0, 1, 2]
    assert codes["plan"].tolist() == [1, NO_CATEGORY, 0]


def test_a_value_that_the_contract_does_not_name_is_coded_as_null() -> None:
    """The service does so where new categories are read as missing; an error here would stop a training."""
    codes = encoded(TRAINING.head(2).assign(plan=pd.Series(["gold", None])))
    assert codes["plan"].tolist() == [NO_CATEGORY, NO_CATEGORY]


def test_codes_do_not_depend_on_which_categories_were_seen() -> None:
    """A month without one colour must not shift the codes of the others."""
    only_last = TRAINING.assign(colour=COLOURS[-1])
    fitted = build_pipeline(DATASET)["encode"].fit(only_last[list(DATASET.features)])
    at = list(DATASET.features).index("colour")
    assert set(fitted.transform(only_last)[:, at]) == {len(COLOURS) - 1}


def test_numbers_pass_as_they_are() -> None:
    """Scaling would have to be repeated in the service."""
    codes = encoded(UNSEEN)
    for name in DATASET.numeric:
        assert np.array_equal(codes[name].to_numpy(), UNSEEN[name].to_numpy(), equal_nan=True)


def test_a_boolean_passes_as_a_number() -> None:
    """The service feeds 1, 0 and NaN; a code of its own for null or false would answer wrong without an error."""
    dataset = small_dataset(features={"member": {"type": "boolean", "nullable": True}})
    member = np.array([1, 0, np.nan], np.float32)
    matrix = build_pipeline(dataset)["encode"].fit_transform(pd.DataFrame({"member": member}))
    assert np.array_equal(matrix[:, 0], member, equal_nan=True)


def test_the_export_has_one_float_input_and_one_answer_a_row(pipeline: Pipeline) -> None:
    """The service feeds one tensor and reads one array."""
    graph = onnx.load_from_string(export_onnx(pipeline)).graph
    (features,) = graph.input
    assert features.name == INPUT
    assert features.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert features.type.tensor_type.shape.dim[1].dim_value == len(DATASET.features)
    assert "probabilities" in {output.name for output in graph.output}


def test_a_frame_without_a_feature_is_refused(pipeline: Pipeline) -> None:
    """A missing column must never be filled in."""
    with pytest.raises(KeyError, match="plan"):
        score(pipeline, DATASET, UNSEEN.drop(columns="plan"))
    with pytest.raises(KeyError, match="plan"):
        train(DATASET, TRAINING.drop(columns="plan"))


@pytest.mark.parametrize("outcome", [True, False])
def test_rows_of_one_outcome_train_nothing(outcome: bool) -> None:
    """scikit-learn fits such rows without an error, and answers 0 for rows that are all true."""
    with pytest.raises(NotTrainable, match="both outcomes are needed"):
        train(DATASET, TRAINING.assign(late=outcome))
