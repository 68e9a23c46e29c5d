"""A run as a launcher elsewhere starts it: by one command, in an image that does not have the launcher."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.code_pointer import FileCodePointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._grpc.types import ExecuteRunArgs
from dagster_shared.check import CheckError

pytestmark = pytest.mark.integration


@dg.asset
def one() -> dg.MaterializeResult[None]:
    """The smallest one."""
    return dg.MaterializeResult(metadata={"rows": 1})


defs = dg.Definitions(assets=[one], jobs=[dg.define_asset_job("job", ["one"])], executor=dg.in_process_executor)


def test_a_run_needs_no_launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents runs that fail on a cluster: dagster-k8s is the daemon's alone, and not in the graph's image."""
    launcher = {
        "module": "a_launcher_that_is_not_here",
        "class": "K8sRunLauncher",
        "config": {"job_namespace": "mlops"},
    }
    instance_config = {"telemetry": {"enabled": False}, "run_launcher": launcher}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(instance_config))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    origin = JobPythonOrigin(
        "job",
        RepositoryPythonOrigin(
            executable_path=sys.executable,
            code_pointer=FileCodePointer(__file__, "defs", str(tmp_path)),
            container_image=None,
            entry_point=["dagster"],
            container_context=None,
        ),
    )
    with dg.DagsterInstance.get() as instance:
        run_id = instance.create_run_for_job(defs.resolve_job_def("job"), job_code_origin=origin).run_id
        command = ExecuteRunArgs(origin, run_id, instance_ref=None, set_exit_code_on_failure=True).get_command_args()
        done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
        run = instance.get_run_by_id(run_id)
        assert done.returncode == 0, done.stderr
        assert run is not None
        assert run.status == dg.DagsterRunStatus.SUCCESS
        assert instance.get_latest_materialization_event(dg.AssetKey("one")) is not None
        with pytest.raises(CheckError, match="a_launcher_that_is_not_here"):
            _ = instance.run_launcher
