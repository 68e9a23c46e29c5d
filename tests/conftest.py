"""What holds for all tests."""

import os


def pytest_configure() -> None:
    """Tiny trainings gain nothing from a second thread, and lose seconds where threads wait for a shared core."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
