"""The prediction service as a client sees it, over HTTP."""

from collections.abc import Sequence

import httpx
import msgspec

from mlops_assets.config import Settings
from serving.release import TOLERANCE, Case, Row


class ServiceUnavailable(Exception):
    """The service does not answer, or answers with an error; the message says which."""


class WorkerStatus(msgspec.Struct, frozen=True):
    """What one worker of the service serves."""

    pid: int
    epoch: int | None = None


class ServedRelease(msgspec.Struct, frozen=True):
    """What the service says it serves; None where it has nothing to serve yet."""

    ready: bool
    model_name: str | None = None
    model_version: int | None = None
    epoch: int | None = None
    refused: dict[str, str | int | None] | None = None
    """The release that it would not load, and why."""
    workers: list[WorkerStatus] = []
    expected_workers: int = 1

    def serving(self, epoch: int) -> int:
        """How many workers serve an epoch."""
        return sum(worker.epoch == epoch for worker in self.workers)

    def all_serve(self, epoch: int) -> bool:
        """Whether every worker that there should be serves an epoch, and no other one is left."""
        return len(self.workers) == self.serving(epoch) >= self.expected_workers


class _Prediction(msgspec.Struct, frozen=True):
    probability: float


class _Answer(msgspec.Struct, frozen=True):
    model_version: int
    epoch: int
    predictions: list[_Prediction]


class ServiceClient:
    """A client of the prediction service."""

    def __init__(self, url: str, *, key: str | None = None, timeout_seconds: float = 5) -> None:
        self.url = url
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # Kept: a new client makes a new TLS context, which was most of a polling sensor's work.
        self._client = httpx.Client(base_url=url, timeout=timeout_seconds, headers=headers)

    def served(self) -> ServedRelease:
        """What the service serves now.

        Raises:
            ServiceUnavailable: it does not answer.
        """
        return msgspec.json.decode(self._request("GET", "/model"), type=ServedRelease)

    def predict(self, rows: Sequence[Row]) -> _Answer:
        """Scores rows, as one who watches the service: they are no traffic of which a window is made.

        Raises:
            ServiceUnavailable: it does not answer, or refuses the rows.
        """
        return msgspec.json.decode(self._request("POST", "/probe", msgspec.json.encode(rows)), type=_Answer)

    def wrong_answers(self, cases: Sequence[Case], *, model_version: int) -> list[str]:
        """Sends cases and says in which the service's answer is not the release's; empty where all are right."""
        answer = self.predict([case.row for case in cases])
        if answer.model_version != model_version:
            return [f"answered with version {answer.model_version}, not with the released {model_version}"]
        return [
            f"case {number}: {got.probability}, the release says {case.probability}"
            for number, (case, got) in enumerate(zip(cases, answer.predictions, strict=True))
            if abs(got.probability - case.probability) > TOLERANCE
        ]

    def _request(self, method: str, path: str, content: bytes | None = None) -> bytes:
        headers = {"content-type": "application/json"} if content else {}
        try:
            answer = self._client.request(method, path, content=content, headers=headers)
        except httpx.TransportError as error:
            raise ServiceUnavailable(f"{self.url} does not answer: {error}") from error
        if answer.is_error:
            raise ServiceUnavailable(f"{method} {path} answered {answer.status_code}: {answer.text[:500]}")
        return answer.content


def service_of(settings: Settings, *, timeout_seconds: float = 5) -> ServiceClient:
    """The service of these settings, asked with their key."""
    key = settings.service_key.get_secret_value() if settings.service_key else None
    return ServiceClient(settings.service_url, key=key, timeout_seconds=timeout_seconds)
