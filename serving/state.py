"""What is served at this moment: the one thing of the service that changes.

The watcher writes it, the routes read it. A route reads `slot` once and answers from what it read.
"""

from dataclasses import dataclass

from serving.schemas import Refused
from serving.slot import Slot


@dataclass(slots=True)
class Serving:
    """The served slot and the last refusal; assigning `slot` is the swap."""

    slot: Slot | None = None
    refused: Refused | None = None
