"""onnxruntime, which is imported here and nowhere else: it must be told beforehand to send nothing.

Its builds of 1.29 and newer start a sender as they are imported: process, machine and what each model is go to
Microsoft, and an identifier of the machine to the home folder. What is asked of a session belongs to whoever opens it.
"""

import os
from pathlib import Path
from typing import Any

SEND_NOTHING = "ORT_DISABLE_TELEMETRY"


def runtime() -> Any:  # noqa: ANN401 -- the package has no types
    """onnxruntime, imported; who wants it to send sets `ORT_DISABLE_TELEMETRY=0`."""
    os.environ.setdefault(SEND_NOTHING, "1")
    import onnxruntime

    return onnxruntime


def open_session(model: Path | bytes, *, threads: int) -> Any:  # noqa: ANN401 -- the same
    """A session of a model on the processor.

    Args:
        model: A file, or what is in it.
        threads: How many one run takes, 0 for as many as there are cores.

    Raises:
        Exception: it cannot be loaded; onnxruntime's exceptions have no common base.
    """
    onnxruntime = runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what fails is raised
    given = str(model) if isinstance(model, Path) else model
    return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
