"""The warm context: a process of it is a fork of one that has imported what runs need."""

import subprocess
import sys
from multiprocessing.queues import Queue

import pytest

from mlops_assets.code_server import _WarmContext


def tell_modules(queue: "Queue[list[str]]") -> None:
    """What a worker has imported before it runs anything."""
    queue.put(sorted(sys.modules))


# In a process of its own: Python has one fork server, which another test may have started with other imports.
FIRST_WORKER = """
from mlops_assets.code_server import _WarmContext
from tests.unit.mlops_assets.test_code_server import tell_modules
context = _WarmContext.get_context("spawn")
queue = context.Queue()
worker = context.Process(target=tell_modules, args=(queue,))
worker.start()
print(" ".join(queue.get(timeout=60)))
worker.join(timeout=10)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere runs start as Dagster starts them")
def test_a_worker_has_what_runs_need_before_it_runs_anything() -> None:
    """A preload that fails to import is swallowed by Python, and every run would import for seconds again."""
    said = subprocess.run(
        [sys.executable, "-c", FIRST_WORKER], capture_output=True, text=True, timeout=120, check=True
    ).stdout
    assert {"mlops_assets.preloaded", "mlflow.sklearn", "evidently.presets", "skops.io"} <= set(said.split())


def test_another_start_method_than_the_expected_one_is_refused() -> None:
    with pytest.raises(RuntimeError, match="asked for the start method 'fork'"):
        _WarmContext.get_context("fork")
