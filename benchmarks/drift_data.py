"""What the drift benchmarks make their windows of: standard normal numbers, and categories that are cut of such."""

import numpy as np
import numpy.typing as npt

LEVELS = tuple(f"level {level}" for level in range(8))


def levels_of(normal: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Places in `LEVELS`: eight of equal width between -2 and 2 standard deviations, the outer ones open."""
    return np.clip((normal + 2) * len(LEVELS) / 4, 0, len(LEVELS) - 1).astype(np.intp)
