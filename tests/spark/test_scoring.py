"""Both engines must give a row the same score, or the same reason why it has none."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.adapters.batch_scoring import score_file
from mlops_assets.adapters.release_store import ReleaseStore, ServedModel
from mlops_assets.adapters.row_engines import Engines
from mlops_assets.adapters.scored_rows import Scored
from mlops_assets.domain.windows import WindowUnfit
from serving.release import Manifest, ReleaseInvalid
from tests.spark.both_engines import break_column
from tests.unit.mlops_assets.small_release import release_small, scored_dataset, scored_frame

pytestmark = pytest.mark.filterwarnings("ignore:Field onnx:DeprecationWarning")  # of skl2onnx in onnx
Released = tuple[Manifest, bytes]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Released:
    """A released model, and what it takes."""
    releases = ReleaseStore(tmp_path_factory.mktemp("state") / "releases")
    pointer = release_small(releases, scored_dataset())
    return releases.exported(1, manifest_sha256=pointer.manifest_sha256)


def odd_frame() -> pd.DataFrame:
    """Rows of which some break what the model takes, in ways of their own."""
    frame = scored_frame(3000)
    frame.loc[[3, 2500], "amount"] = 5000.0
    frame.loc[4, "amount"] = np.inf
    frame.loc[[5, 6], "age"] = [1e300, 3.4028235677973366e38]
    frame.loc[7, "visits"] = 101
    frame.loc[8, "colour"] = "mauve"
    frame.loc[[9, 10], "colour"] = None
    frame.loc[10, "amount"] = np.nan
    return frame


def scores(path: Path, output: Path, released: Released, engines: Engines) -> tuple[Scored, pd.DataFrame]:
    """What an engine makes of a file, by row id."""
    manifest, exported = released
    scored = score_file(path, output, manifest=manifest, exported=exported, engines=engines)
    out = pd.read_parquet(output)
    return scored, out.sort_values(["case_id", "reason"], ignore_index=True)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_scores_and_refusals_are_the_same(spark: Engines, tmp_path: Path, released: Released, suffix: str) -> None:
    """Prevents that a decision depends on the engine: each probability is the same to its last bit."""
    path = tmp_path / f"rows{suffix}"
    if suffix == ".parquet":
        odd_frame().to_parquet(path, index=False)
    else:
        lines = odd_frame().to_csv(index=False).splitlines(keepends=True)
        path.write_text("".join([*lines[:9], "too,few\n", *lines[9:]]))
    here, one = scores(path, tmp_path / "here.parquet", released, Engines())
    there, other = scores(path, tmp_path / "there.parquet", released, spark)
    pd.testing.assert_frame_equal(other, one)
    assert one["probability"].nunique() > 100
    assert (there.rows, there.refused, there.by_reason) == (here.rows, here.refused, here.by_reason)
    assert there.refused == 9 + (suffix == ".csv")
    assert there.mean_probability == pytest.approx(here.mean_probability, abs=1e-9)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["here.parquet", path.name, "there.parquet"])


def test_what_spark_wrote_takes_the_place_of_a_file_and_of_a_folder(
    spark: Engines, tmp_path: Path, released: Released
) -> None:
    """Prevents that scoring anew fails, or leaves rows of before among the new ones."""
    path, output = tmp_path / "rows.parquet", tmp_path / "out.parquet"
    scored_frame(300).to_parquet(path, index=False)
    output.write_bytes(b"of before")
    scores(path, output, released, spark)
    scored_frame(30).to_parquet(path, index=False)
    scored, out = scores(path, output, released, spark)
    assert scored.rows == len(out) == 30
    assert sorted(found.name for found in tmp_path.iterdir()) == ["out.parquet", "rows.parquet"]


def test_a_file_without_rows_gives_one_without_rows(spark: Engines, tmp_path: Path, released: Released) -> None:
    """Prevents that the empty file of a quiet day breaks what runs every day."""
    path = tmp_path / "rows.parquet"
    scored_frame(30).head(0).astype({"case_id": "string", "customer": "string", "machine": "string"}).astype(
        {"colour": "string", "plan": "string"}
    ).to_parquet(path, index=False)
    scored, out = scores(path, tmp_path / "out.parquet", released, spark)
    assert (scored.rows, scored.mean_probability, len(out)) == (0, None, 0)


def test_a_fault_leaves_nothing(spark: Engines, tmp_path: Path, released: Released) -> None:
    """Prevents an output of the rows before the fault, or answers that are none."""
    manifest, exported = released
    path = tmp_path / "rows.parquet"
    scored_frame(3000).to_parquet(path, index=False)
    break_column(path, "amount")
    with pytest.raises(WindowUnfit, match=r"rows\.parquet cannot be read to its end"):
        score_file(path, tmp_path / "out.parquet", manifest=manifest, exported=exported, engines=spark)
    assert [found.name for found in tmp_path.iterdir()] == ["rows.parquet"]


def test_an_answer_that_is_not_finite_is_no_probability(
    spark: Engines, tmp_path: Path, released: Released, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prevents that NaN is written where null means refused."""
    manifest, exported = released
    path = tmp_path / "rows.parquet"
    scored_frame(30).to_parquet(path, index=False)
    monkeypatch.setattr("mlops_assets.adapters.spark_scoring.ServedModel", Broken)
    with pytest.raises(ReleaseInvalid, match="an answer is not finite"):
        score_file(path, tmp_path / "out.parquet", manifest=manifest, exported=exported, engines=spark)
    assert [found.name for found in tmp_path.iterdir()] == ["rows.parquet"]


class Broken(ServedModel):
    """A model that answers nothing."""

    def run(self, matrix: np.ndarray) -> np.ndarray:
        """NaN for each row."""
        return np.full(len(matrix), np.nan)
