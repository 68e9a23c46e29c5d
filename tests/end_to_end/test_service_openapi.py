"""What the OpenAPI page promises, asked of a real service by schemathesis, by valid and invalid requests of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Start
from tests.unit.serving.bundles import promote, write_bundle

pytestmark = pytest.mark.end_to_end


@pytest.mark.parametrize("examples", [20, pytest.param(500, marks=pytest.mark.soak)])
def test_the_service_does_as_its_document_says(releases: Path, start: Start, tmp_path: Path, examples: int) -> None:
    """Prevents a 5xx, and an answer of another form or status than documented."""
    write_bundle(releases, 1, row_id="flight", context=("day",))
    promote(releases, 1, epoch=1)
    service = start()
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "run"),
        f"http://127.0.0.1:{service.port}/schema/openapi.json",
        # To JSON Schema 22.0 is an integer; the service refuses it, as every number that is written as another type.
        *("--checks", "all", "--exclude-checks", "positive_data_acceptance"),
        *("--max-examples", str(examples), "--generation-deterministic", "--no-color"),
    ]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert ran.returncode == 0, ran.stdout
    assert "Tested: 19" in ran.stdout
    assert "Traceback" not in service.output.read_text()
