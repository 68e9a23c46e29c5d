import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.adapters import batch_scoring
from mlops_assets.adapters.batch_scoring import score_file, scored_batches, scoring_threads
from mlops_assets.adapters.release_store import ReleaseStore, ServedModel
from mlops_assets.adapters.scored_rows import Scored
from mlops_assets.domain.row_rules import LINE_UNREADABLE
from mlops_assets.domain.windows import WindowUnfit
from serving.release import Manifest, ReleaseInvalid
from tests.unit.mlops_assets.small_release import encodable, release_small, scored_dataset, scored_frame, scores_of

pytestmark = pytest.mark.filterwarnings("ignore:Field onnx:DeprecationWarning")  # of skl2onnx in onnx

ROWS = 5000
"""Three batches of the engine's 2,048 rows."""


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> ReleaseStore:
    """A released model."""
    releases = ReleaseStore(tmp_path_factory.mktemp("state") / "releases")
    release_small(releases, scored_dataset())
    return releases


@pytest.fixture(scope="module")
def released(releases: ReleaseStore) -> tuple[Manifest, bytes]:
    """What it takes, and the model."""
    pointer = releases.pointer()
    assert pointer is not None
    return releases.exported(1, manifest_sha256=pointer.manifest_sha256)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few rows are several batches."""
    monkeypatch.setattr(batch_scoring, "BATCH_ROWS", 2048)


def score(path: Path, output: Path, released: tuple[Manifest, bytes]) -> tuple[Scored, pd.DataFrame]:
    """Scores a file, and reads what came out."""
    manifest, exported = released
    scored = score_file(path, output, manifest=manifest, exported=exported)
    return scored, pd.read_parquet(output) if output.suffix == ".parquet" else pd.read_csv(output)


def as_parquet(frame: pd.DataFrame, path: Path) -> Path:
    """A file of the frame."""
    frame.to_parquet(path, index=False)
    return path


def test_the_scores_are_those_of_the_released_model_in_the_files_order(
    releases: ReleaseStore, released: tuple[Manifest, bytes], tmp_path: Path
) -> None:
    """Prevents that encoding here and encoding in the service drift apart, or that batches change places."""
    frame = scored_frame(ROWS)
    scored, out = score(as_parquet(frame, tmp_path / "rows.parquet"), tmp_path / "out.parquet", released)
    assert list(out) == ["case_id", "customer", "machine", "probability", "model_version", "reason"]
    for column in ("case_id", "customer", "machine"):
        assert out[column].tolist() == frame[column].tolist()
    expected = scores_of(releases, encodable(frame))
    np.testing.assert_allclose(out["probability"], expected, rtol=0, atol=1e-6)
    assert set(out["model_version"]) == {1}
    assert out["reason"].isna().all()
    assert (scored.rows, scored.refused, scored.by_reason) == (ROWS, 0, {})
    assert scored.mean_probability == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_csv_and_parquet_give_the_same(released: tuple[Manifest, bytes], tmp_path: Path, suffix: str) -> None:
    """Prevents that a row's score, or why it has none, depends on the format that it came or goes in."""
    frame = scored_frame(ROWS)
    frame.loc[[3, 2500], "amount"] = 5000.0
    frame.loc[4000, "colour"] = "mauve"
    frame.to_csv(tmp_path / "rows.csv", index=False)
    of_parquet, one = score(as_parquet(frame, tmp_path / "rows.parquet"), tmp_path / "one.parquet", released)
    of_csv, other = score(tmp_path / "rows.csv", tmp_path / f"other{suffix}", released)
    pd.testing.assert_frame_equal(one.fillna({"reason": ""}), other.fillna({"reason": ""}), check_dtype=False)
    assert of_csv.by_reason == of_parquet.by_reason == {"amount: out of range": 2, "colour: unknown category": 1}


def test_a_large_csv_file_keeps_its_order(released: tuple[Manifest, bytes], tmp_path: Path) -> None:
    """Prevents that what several threads parse comes out as they happen to end: no id need tell rows apart."""
    frame, times = scored_frame(ROWS), 60
    header, _, body = frame.to_csv(index=False).partition("\n")
    (tmp_path / "rows.csv").write_text(f"{header}\n{body * times}")
    _, out = score(tmp_path / "rows.csv", tmp_path / "out.parquet", released)
    assert out["case_id"].tolist() == frame["case_id"].tolist() * times


def test_refused_rows_keep_their_place(
    releases: ReleaseStore, released: tuple[Manifest, bytes], tmp_path: Path
) -> None:
    """Prevents that a row that breaks the contract is scored, lost, or moves those beside it."""
    frame = scored_frame(ROWS)
    expected = np.array(scores_of(releases, encodable(frame)))
    frame.loc[2047, "amount"] = np.inf
    frame.loc[2048, "colour"] = None
    frame.loc[2049, "amount"] = 1000.5
    frame.loc[2049, "colour"] = "mauve"
    scored, out = score(as_parquet(frame, tmp_path / "rows.parquet"), tmp_path / "out.parquet", released)
    refused = out["probability"].isna()
    assert out.index[refused].tolist() == [2047, 2048, 2049] == out.index[out["reason"].notna()].tolist()
    assert out["reason"][2047:2049].tolist() == ["amount: not finite; amount: out of range", "colour: missing"]
    assert out["reason"][2049] == "amount: out of range; colour: unknown category"
    np.testing.assert_allclose(out["probability"][~refused], expected[~refused], rtol=0, atol=1e-6)
    assert (scored.rows, scored.refused) == (ROWS, 3)
    assert scored.by_reason["amount: out of range"] == 2
    assert scored.mean_probability == pytest.approx(expected[~refused].mean())


def test_where_all_rows_are_refused_there_is_no_mean(released: tuple[Manifest, bytes], tmp_path: Path) -> None:
    """Prevents a division by no rows, and a mean of answers that nobody gets."""
    frame = scored_frame(30).assign(amount=-5000.0)
    scored, out = score(as_parquet(frame, tmp_path / "rows.parquet"), tmp_path / "out.parquet", released)
    assert (scored.refused, scored.mean_probability) == (30, None)
    assert out["probability"].isna().all()


def test_a_file_without_rows_gives_one_without_rows(released: tuple[Manifest, bytes], tmp_path: Path) -> None:
    """Prevents that the empty file of a quiet day breaks what runs every day."""
    path = as_parquet(scored_frame(30), tmp_path / "rows.parquet")
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    scored, out = score(path, tmp_path / "out.parquet", released)
    assert (scored.rows, len(out)) == (0, 0)
    assert "probability" in out


def test_columns_for_the_record_may_be_missing(released: tuple[Manifest, bytes], tmp_path: Path) -> None:
    """Prevents that rows need a split key, which no model sees, to be scored."""
    frame = scored_frame(30).drop(columns=["case_id", "customer", "machine"]).assign(other=1)
    _, out = score(as_parquet(frame, tmp_path / "rows.parquet"), tmp_path / "out.parquet", released)
    assert list(out) == ["probability", "model_version", "reason"]


def test_lines_that_are_no_rows_stand_at_the_end(released: tuple[Manifest, bytes], tmp_path: Path) -> None:
    """Prevents that a broken line of a CSV file is lost without a word."""
    lines = scored_frame(30).to_csv(index=False).splitlines(keepends=True)
    lines[4] = "too,few\n"
    (tmp_path / "rows.csv").write_text("".join(lines))
    scored, out = score(tmp_path / "rows.csv", tmp_path / "out.parquet", released)
    assert len(out) == scored.rows == 30
    assert out.iloc[-1]["reason"] == "line 5: cannot be read as a row of the file"
    assert out["probability"].isna().tolist() == [False] * 29 + [True]
    assert scored.by_reason == {LINE_UNREADABLE.reason: 1}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda frame: frame.drop(columns=["age", "plan"]), "lacks columns that the model takes: age, plan; it has"),
        (lambda frame: frame.assign(amount="12"), "of another type: amount is VARCHAR, the model takes float"),
    ],
)
def test_a_file_without_what_the_model_takes_is_refused(
    released: tuple[Manifest, bytes], tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], said: str
) -> None:
    """Prevents an output of refusals alone, where the file is another one than was meant."""
    with pytest.raises(WindowUnfit, match=said):
        score(as_parquet(change(scored_frame(30)), tmp_path / "rows.parquet"), tmp_path / "out.parquet", released)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_what_is_interrupted_leaves_what_was_there_before(released: tuple[Manifest, bytes], tmp_path: Path) -> None:
    """Prevents that half an output is taken for a whole one, or that the good one of before is gone."""
    manifest, exported = released
    path, output = as_parquet(scored_frame(ROWS), tmp_path / "rows.parquet"), tmp_path / "out.parquet"
    output.write_bytes(b"of before")

    def interrupted(done: int, of: int) -> None:
        assert (done, of) == (2048, ROWS)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_file(path, output, manifest=manifest, exported=exported, told=interrupted)
    assert output.read_bytes() == b"of before"
    assert sorted(found.name for found in tmp_path.iterdir()) == ["out.parquet", "rows.parquet"]


def test_a_file_that_is_broken_further_down_leaves_nothing(released: tuple[Manifest, bytes], tmp_path: Path) -> None:
    """Prevents an output of the rows before the fault."""
    path = tmp_path / "rows.parquet"
    scored_frame(ROWS).to_parquet(path, index=False, row_group_size=2048)
    column = pq.ParquetFile(path).metadata.row_group(2).column(2)  # amount
    content = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    content[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(content)
    with pytest.raises(WindowUnfit, match=r"rows\.parquet cannot be read to its end"):
        score(path, tmp_path / "out.parquet", released)
    assert [found.name for found in tmp_path.iterdir()] == ["rows.parquet"]


def test_a_file_that_is_written_to_meanwhile_is_not_scored(released: tuple[Manifest, bytes], tmp_path: Path) -> None:
    """Prevents an output of rows that were never in one file together."""
    manifest, exported = released
    path = as_parquet(scored_frame(ROWS), tmp_path / "rows.parquet")
    with pytest.raises(WindowUnfit, match="written to while it was read"):
        score_file(
            path,
            tmp_path / "out.parquet",
            manifest=manifest,
            exported=exported,
            told=lambda done, of: os.utime(path, ns=(done, of)),
        )
    assert not (tmp_path / "out.parquet").exists()


def test_an_answer_that_is_not_finite_is_no_probability(
    released: tuple[Manifest, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prevents that NaN is written where null means refused."""
    monkeypatch.setattr(ServedModel, "run", lambda _, matrix: np.full(len(matrix), np.nan))
    with pytest.raises(ReleaseInvalid, match="an answer is not finite"):
        score(as_parquet(scored_frame(30), tmp_path / "rows.parquet"), tmp_path / "out.parquet", released)


def test_few_batches_are_held_at_a_time(released: tuple[Manifest, bytes]) -> None:
    """Prevents that a file that is read faster than it is scored, or written, comes to stand in memory."""
    manifest, exported = released
    taken = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal taken
        columns = [pa.array(np.zeros(8, np.float32)) for _ in manifest.features]
        for _ in range(50):
            taken += 1
            yield pa.record_batch(columns, names=[feature.name for feature in manifest.features])

    model = ServedModel(exported, manifest.features, threads=1)
    for written, _ in enumerate(scored_batches(batches(), model)):
        assert taken - written <= 2 * scoring_threads() + 1
    assert taken == 50
