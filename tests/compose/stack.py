"""The loop of docker-compose.yml, under a project name, ports and volumes of its own."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypedDict, Unpack

import httpx
import msgspec

from mlops_assets.cli.stack import free_port
from serving.log_segments import BatchRecord, LabelRecord, PredictionRecord

ROOT = Path(__file__).parents[2]
STANDIN_ENTRY = "/usr/local/bin/entry.sh"
"""What a stand-in of PostgreSQL's image starts with; it takes the password by another variable than the real one."""

SERVERS = ("postgres", "mlflow", "code", "webserver", "daemon", "reports", "service")
HEAL_SECONDS = 60
TRAIN_SECONDS = 240
"""What a window gets from landing to its verdict, on two cores beside six other containers."""
PORTS = {
    "dagster": "MLOPS_DAGSTER_PORT",
    "mlflow": "MLOPS_MLFLOW_PORT",
    "reports": "MLOPS_REPORTS_PORT",
    "service": "MLOPS_SERVICE_PORT",
}
"""Published ports, and the settings that name them."""


RECORDED = """
import contextlib, pathlib, pyarrow.parquet as pq
for path in sorted(pathlib.Path("/state/serving/log").glob("*")):
    with contextlib.suppress(FileNotFoundError):  # it was sealed, or gathered, since it was listed
        content = path.read_bytes()
        print(content[: content.rfind(b"\\n") + 1].decode(), end="")
print("---")
for path in pathlib.Path("/state/prediction_log").glob("**/predictions.parquet"):
    print(*pq.read_table(path, columns=["id"])["id"].to_pylist(), sep="\\n")
"""
"""Prints what is in the log, a line each, then the ids of what was gathered of it.

In this order: what is gathered meanwhile is met a second time, and not missed.
"""


class How(TypedDict, total=False):
    """How a command is run: for 120 s at most, with nothing to read, and a failure is raised, where not said."""

    seconds: float
    check: bool
    given: IO[bytes]
    out: IO[bytes]


@dataclass
class Compose:
    """One project of Compose. All that it makes is gone after `remove`."""

    folder: Path
    name: str
    """What its project and its images are told apart by from those of others."""
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in PORTS})

    def __post_init__(self) -> None:
        self.inbox = self.folder / "inbox"
        self.secrets = self.folder / "secrets"
        self.inbox.mkdir(exist_ok=True)
        self.project = f"mlops-{self.name}"
        self.images = {image: f"closed-loop-mlops/{image}:{self.name}" for image in ("graph", "serving")}
        self.environment = {
            **os.environ,
            "COMPOSE_PROJECT_NAME": self.project,
            "COMPOSE_FILE": str(ROOT / "docker-compose.yml"),
            "MLOPS_TAG": self.name,
            "MLOPS_INBOX": str(self.inbox),
            "MLOPS_SECRETS": str(self.secrets),
            **{PORTS[name]: str(port) for name, port in self.ports.items()},
        }

    def make_up(self) -> None:
        """Starts everything by `make compose-up`, which builds, makes the secrets that are missing, and waits.

        The passwords are made before it, for what this machine's stand-in of an image needs of them.
        """
        self.make_secrets("passwords")
        command = ["make", "compose-up"]
        made = subprocess.run(command, env=self.environment, cwd=ROOT, check=False, timeout=1300, capture_output=True)
        assert made.returncode == 0, (made.stdout[-2000:] + made.stderr[-4000:]).decode(errors="replace")

    def make_secrets(self, *arguments: str) -> None:
        """Makes those that are missing, and keys of an object store that nobody asks."""
        command = [str(ROOT / "deploy" / "compose-secrets"), *arguments]
        subprocess.run(command, env=self.environment, cwd=ROOT, check=True, timeout=120)
        for name in ("aws_access_key_id", "aws_secret_access_key"):
            (self.secrets / name).write_text(f"the {name} of nobody")
        entry = self.docker("image", "inspect", "--format", "{{json .Config.Entrypoint}}", "postgres:15", check=False)
        if STANDIN_ENTRY in entry:
            password = (self.secrets / "postgres_password").read_text()
            override = {"services": {"postgres": {"environment": {"POSTGRES_PASSWORD": password}}}}
            path = self.folder / "standin.json"
            path.write_text(json.dumps(override))
            self.environment["COMPOSE_FILE"] = f"{ROOT / 'docker-compose.yml'}:{path}"

    def up(self) -> None:
        """Starts everything, and waits until all of it is healthy."""
        self.run("up", "--detach", "--wait", "--wait-timeout", "400", seconds=420)

    def remove(self) -> None:
        """Takes everything away: containers, network, volumes."""
        self.run("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "20", seconds=200)

    def remove_images(self) -> None:
        """Takes the images away too."""
        self.docker("image", "rm", "--force", *self.images.values())

    def last_words(self) -> str:
        """Its containers and what they said last, for whoever looks why something failed."""
        said = [self.run("ps", "--all", check=False), self.run("logs", "--no-color", "--tail", "60", check=False)]
        return "\n".join(said)

    def mlops(self, *arguments: str) -> str:
        """Runs a command of `mlops` beside the graph."""
        return self.run("exec", "-T", "code", "mlops", *arguments)

    def status(self) -> dict[str, Any]:
        """What `mlops status --json` says."""
        said: dict[str, Any] = json.loads(self.mlops("status", "--json"))
        return said

    def run(self, *arguments: str, **how: Unpack[How]) -> str:
        """Runs a command of Compose, and returns what it printed, unless that goes to `out`."""
        return self.docker("compose", *arguments, **how)

    def containers(self) -> dict[str, dict[str, Any]]:
        """What the engine knows of each running container, by service."""
        ids = self.run("ps", "--quiet").split()
        inspected = json.loads(self.docker("inspect", *ids))
        return {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in inspected}

    def kill(self, service: str) -> str:
        """Ends a container's first process as the kernel does; `docker kill` counts as wanted, and nothing restarts."""
        before = self.containers()[service]
        self.docker(
            "run", "--rm", "--pid", "host", "--user", "root", "--entrypoint", "sh", self.images["serving"],
            "-c", f"kill -9 {before['State']['Pid']}",
        )  # fmt: skip
        return str(before["State"]["StartedAt"])

    def is_back(self, service: str, since: str) -> bool:
        """Whether a container was started after that moment, and is healthy."""
        now = self.containers().get(service)
        if now is None or now["State"]["StartedAt"] == since:
            return False
        return bool(now["State"]["Health"]["Status"] == "healthy")

    def key(self) -> str:
        """The loop's own key of the service."""
        return (self.secrets / "service_key").read_text().strip()

    def model(self) -> dict[str, Any]:
        """What the service says it serves."""
        said: dict[str, Any] = self._model(self.key()).raise_for_status().json()
        return said

    def status_of_model(self, key: str) -> int:
        """With which status the service says what it serves to whoever holds this key."""
        return self._model(key).status_code

    def _model(self, key: str) -> httpx.Response:
        url = f"http://127.0.0.1:{self.ports['service']}/model"
        return httpx.get(url, headers={"Authorization": f"Bearer {key}"})

    def row(self) -> bytes:
        """A row that the model takes, as JSON: the first case of the release that is served."""
        script = (
            "import msgspec; from pathlib import Path\n"
            "from mlops_assets.adapters.release_store import ReleaseStore\n"
            "releases = ReleaseStore(Path('/state/releases'))\n"
            "print(msgspec.json.encode(releases.cases(releases.pointer().model_version)[0].row).decode())"
        )
        return self.run("exec", "-T", "code", "python", "-c", script).strip().encode()

    def tries(self, job: str) -> dict[str, list[str]]:
        """How the tries of each run of a job ended, the first one first."""
        query = (
            "query($job: String!) {runsOrError(filter: {pipelineName: $job}) {... on Runs {results "
            "{runId rootRunId status creationTime}}}}"
        )
        answer = httpx.post(
            f"http://127.0.0.1:{self.ports['dagster']}/graphql", json={"query": query, "variables": {"job": job}}
        )
        runs = answer.raise_for_status().json()["data"]["runsOrError"]["results"]
        found: dict[str, list[str]] = {}
        for run in sorted(runs, key=lambda run: run["creationTime"]):
            found.setdefault(run["rootRunId"] or run["runId"], []).append(run["status"])
        return found

    def left_behind(self) -> str:
        """Containers, volumes and networks of this project."""
        label = f"label=com.docker.compose.project={self.project}"
        kinds = (("ps", "--all"), ("volume", "ls"), ("network", "ls"))
        return "".join(self.docker(*kind, "--quiet", "--filter", label) for kind in kinds)

    def recorded(self) -> set[str]:
        """Ids of all answered rows on record: what lies in the service's log, then what was gathered of it."""
        lines, gathered = self.run("exec", "-T", "code", "python", "-c", RECORDED).split("---\n")
        ids = set(gathered.split())
        for line in lines.splitlines():
            record = msgspec.json.decode(line, type=PredictionRecord | BatchRecord | LabelRecord)
            if isinstance(record, BatchRecord):
                ids.update(one.id for one in record.records())
            elif isinstance(record, PredictionRecord):
                ids.add(record.id)
        return ids

    def docker(self, *arguments: str, **how: Unpack[How]) -> str:
        """Runs a command of Docker, and returns what it printed, unless that goes to `out`."""
        done = subprocess.run(
            ["docker", *arguments],  # noqa: S607 -- the user's own
            env=self.environment, cwd=ROOT, timeout=how.get("seconds", 120), check=False,
            stdin=how.get("given", subprocess.DEVNULL), stdout=how.get("out", subprocess.PIPE), stderr=subprocess.PIPE,
        )  # fmt: skip
        printed = (done.stdout or b"").decode()
        if how.get("check", True) and done.returncode:
            raise AssertionError(
                f"docker {' '.join(arguments)}: {printed[-2000:]}{done.stderr.decode(errors='replace')[-4000:]}"
            )
        return printed


def until(holds: Callable[[], object], *, seconds: float, what: str) -> float:
    """Waits until something holds, and says how long it took; what cannot be asked just now does not hold.

    Raises:
        AssertionError: it does not.
    """
    began = time.monotonic()
    last: object = None
    while time.monotonic() < began + seconds:
        try:
            if last := holds():
                return time.monotonic() - began
        except (AssertionError, httpx.HTTPError, json.JSONDecodeError, KeyError) as error:
            last = error
        time.sleep(1)
    raise AssertionError(f"not within {seconds:g} s: {what}; last seen: {last}")
