"""What holds for all tests."""

import os

from hypothesis import settings


def pytest_configure() -> None:
    """Tiny trainings gain nothing from a second thread, and lose seconds where threads wait for a shared core."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    settings.register_profile("untimed", deadline=None)  # how long an example takes is the machine's matter
    settings.load_profile("untimed")
