"""Windows that someone wants taken up again though nothing new has landed, as after a corrected contract.

Here belongs the wish alone, so that it can be made while the loop is down. Taking windows up belongs to the sensor.
"""

from pathlib import Path
from uuid import uuid4

from mlops_assets.adapters.files import write_atomically
from mlops_assets.domain.windows import window_name


class Requeue:
    """Wishes under one folder, a file for each window."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ask(self, window: str) -> None:
        """Wishes that a window be taken up again.

        Raises:
            WindowNameInvalid: no window can have this name.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / window_name(window), uuid4().hex.encode())

    def tokens(self) -> dict[str, str]:
        """By window, what tells its last wish from the ones before."""
        if not self.folder.is_dir():
            return {}
        return {path.name: path.read_text() for path in self.folder.iterdir() if not path.name.startswith(".")}
