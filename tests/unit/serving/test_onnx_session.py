"""Prevents that onnxruntime tells its maker what is run here, which it does where nobody forbids it beforehand."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.serving.bundles import onnx_model

ROOT = Path(__file__).parents[3]
# It is quiet by itself where it thinks that it is tested.
ABOUT_TESTS = ("CI", "GITHUB_ACTIONS", "ORT_RUNNING_UNIT_TESTS", "ORT_DISABLE_TELEMETRY")
NO_WAY_OUT = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
"""Nothing is sent where a test fails, either."""
PROGRAMS = {
    "the service": "from serving.predictor import Predictor; Predictor(path, [feature])",
    "the graph": "from mlops_assets.adapters.release_store import ServedModel; ServedModel(path.read_bytes(), [])",
    "runs": "import mlops_assets.preloaded",
}


def left_at_home(home: Path, script: str) -> list[str]:
    """The files that a program leaves in its home folder."""
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in ABOUT_TESTS}
    before = "import sys; from pathlib import Path; from serving.release import Feature; path = Path(sys.argv[1]); "
    before += "feature = Feature(name='x', type='float', nullable=False); "
    model = home.parent / "model.onnx"
    subprocess.run(
        [sys.executable, "-c", before + script, str(model)],
        cwd=ROOT, env={**kept, **NO_WAY_OUT, "HOME": str(home), "XDG_CACHE_HOME": ""}, check=True, timeout=120,
    )  # fmt: skip
    return [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file() and "onnxruntime" in str(path)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder that is not there yet, beside a model."""
    (tmp_path / "model.onnx").write_bytes(onnx_model(1, columns=1))
    return tmp_path / "home"


@pytest.mark.parametrize("program", PROGRAMS)
def test_nothing_is_kept_to_be_sent(home: Path, program: str) -> None:
    assert left_at_home(home, PROGRAMS[program]) == []


def test_without_our_word_something_would_be(home: Path) -> None:
    """The guard of the test above; it fails once onnxruntime asks first, and then this module can go."""
    assert left_at_home(home, "import onnxruntime") != []
