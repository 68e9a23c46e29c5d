"""`scored_window`: a window's scores by the production model, when somebody asks for them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mlops_assets.cli.main import app
from mlops_assets.cli.state import MARK
from tests.integration.conftest import Loop, failure_message

pytestmark = pytest.mark.integration


def test_a_window_is_scored_by_production_when_asked(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prevents that a window's scores are other than the service's, or come without what made them."""
    loop.land("2024-01")
    assert loop.ingest("2024-01").success
    before = loop.run("scoring_job", "2024-01")
    assert "there is no production model yet" in failure_message(before)
    assert loop.train("2024-01").success
    scored = loop.run("scoring_job", "2024-01")
    assert scored.success, failure_message(scored)

    said = loop.reported("scored_window", "2024-01")
    current, production = loop.windows.current("2024-01"), loop.releases.production()
    assert current is not None
    assert production is not None
    assert said["rows"] == said["dagster/row_count"] == current.counts.clean
    assert (said["model_version"], said["epoch"], said["refused"]) == (1, 1, 0)
    assert said["seconds"] > 0
    assert Path(said["path"]).is_relative_to(loop.settings.scored / "2024-01")

    out = pd.read_parquet(said["path"]).sort_values("visit", ignore_index=True)
    rows = loop.windows.draw({"2024-01": current.data_version}, split=None, max_rows=10_000)
    assert out["visit"].tolist() == rows["visit"].tolist()
    np.testing.assert_allclose(out["probability"], production.model.score(rows), rtol=0, atol=1e-6)
    assert said["mean_probability"] == pytest.approx(out["probability"].mean())

    (loop.settings.state / MARK).write_text("small")
    monkeypatch.setenv("MLOPS_HOME", str(loop.settings.state))
    monkeypatch.setenv("MLOPS_DATASET", str(loop.settings.dataset))
    landed = loop.settings.landing / "2024-01.parquet"
    named = CliRunner().invoke(app, ["score", str(landed), "-o", str(tmp_path / "out.csv"), "--version", "1"])
    assert named.exit_code == 0, named.output
    by_version = pd.read_csv(tmp_path / "out.csv").sort_values("visit", ignore_index=True)
    np.testing.assert_allclose(by_version["probability"], out["probability"], rtol=0, atol=1e-6)
    unknown = CliRunner().invoke(app, ["score", str(landed), "-o", str(tmp_path / "two.csv"), "--version", "9"])
    assert "there is no version 9" in str(unknown.exception)


def test_a_window_that_is_not_there_cannot_be_scored(loop: Loop) -> None:
    """Prevents a traceback where a window's name was typed wrong."""
    loop.instance.add_dynamic_partitions("window", ["2024-09"])
    assert "there is no data window 2024-09" in failure_message(loop.run("scoring_job", "2024-09"))
