"""The warm context: a process of it is a fork of one that has imported what runs need."""

import sys
from multiprocessing.queues import Queue

import pytest

from mlops_assets.code_server import _WarmContext


def _tell_modules(queue: "Queue[list[str]]") -> None:
    queue.put(sorted(sys.modules))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere runs start as Dagster starts them")
def test_a_worker_has_what_runs_need_before_it_runs_anything() -> None:
    """A preload that fails to import is swallowed by Python, and every run would import for seconds again."""
    context = _WarmContext.get_context("spawn")
    queue = context.Queue()
    worker = context.Process(target=_tell_modules, args=(queue,))
    worker.start()
    modules = queue.get(timeout=60)
    worker.join(timeout=10)
    assert {"mlops_assets.preloaded", "mlflow.sklearn", "evidently.presets", "skops.io"} <= set(modules)


def test_another_start_method_than_the_expected_one_is_refused() -> None:
    with pytest.raises(RuntimeError, match="asked for the start method 'fork'"):
        _WarmContext.get_context("fork")
