"""Commands of the documents that the story of `end_to_end.test_documents` does not run, and what runs each of them.

They take minutes, need what not every machine has (Docker, a browser), or change the environment that the tests run in.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.documents import ROOT

WORKFLOW = ".github/workflows/ci.yml"
RUN = ".ci/run"
SMOKE = "tests/compose/test_smoke.py"


@dataclass(frozen=True)
class Elsewhere:
    """A kind of command, and what runs it."""

    command: str
    """Matches the whole command."""
    runs_in: str
    """A file of the project that has `line`, or a test, as `file::test`."""
    line: str = ""
    """A whole line of a script or step of a workflow; a part of one of the smoke test."""

    @property
    def fault(self) -> str | None:
        """Why this is not so."""
        file, _, test = self.runs_in.partition("::")
        path = ROOT / file
        wanted = f"def {test}(" if test else self.line
        if not path.exists():
            return f"there is no {file}"
        text = path.read_text()
        lines = {line.strip().removeprefix("- run: ") for line in text.splitlines()}
        found = wanted in text if path.suffix == ".py" else wanted in lines
        return None if wanted and found else f"{file} holds no {wanted or 'such line'!r}"


CONTAINERS = (
    (r"mkdir -p inbox && cp \.mlops/landing/2013-01\.parquet inbox/", "write_windows(compose.inbox"),
    (r"make compose-up", "compose.make_up()"),
    (r"docker compose exec code mlops window add /inbox/.*", 'stack.mlops("window", "add", "/inbox/2013-01.parquet")'),
    (r"docker compose exec code mlops status", "stack.status()"),
    (r"docker compose --profile '\*' down", "stack.remove()"),
    (r"docker compose build", "compose.make_up()"),
    (r"docker compose up --detach --wait service", '"up", "--detach", "--wait", "service"'),
    (r"deploy/compose-secrets passwords", 'stack.make_secrets("passwords")'),
    (r"docker compose run --rm keys create /keys/keys.json alice .*", '"keys", "create", "/keys/keys.json", "alice"'),
    (r"docker compose run --rm keys list /keys/keys.json", '"keys", "list", "/keys/keys.json"'),
    (r"docker compose run --rm keys revoke /keys/keys.json alice", '"keys", "revoke", "/keys/keys.json", "alice"'),
    (r"docker compose run --rm backup mlops backup /backup/.*", '"mlops", "backup", "/backup/smoke.tar"'),
    (r"docker compose run --rm backup mlops restore /backup/.*", '"mlops", "restore", "/backup/smoke.tar"'),
    (r"docker compose run --rm -T backup cat /backup/.*", '"cat", "/backup/smoke.tar"'),
    (r"docker compose run --rm -T backup sh -c .*", "cat >/backup/smoke.tar"),
)
"""Commands in containers, and the line of the smoke test that runs each."""

ELSEWHERE = (
    Elsewhere(r"make setup", RUN, "make check"),  # which needs it
    Elsewhere(r"make demo", WORKFLOW, 'make demo ARGS="--windows 4 --exit"'),
    Elsewhere(r"make test", RUN, "make test"),
    Elsewhere(r"make test-unit", WORKFLOW, "make test-unit"),
    Elsewhere(r"make test-integration", WORKFLOW, "make test-integration"),
    Elsewhere(r"make test-end-to-end", WORKFLOW, "make test-end-to-end"),
    Elsewhere(r"make check", RUN, "make check"),
    Elsewhere(r"make compose-smoke", WORKFLOW, "make compose-smoke"),
    *(Elsewhere(command, SMOKE, line) for command, line in CONTAINERS),
    # Their images come from their makers, by no registry that the tests reach.
    Elsewhere(r"docker compose --profile monitoring up --detach", SMOKE, '"--profile", "monitoring", "up", "--detach"'),
    Elsewhere(r"make (setup-spark|test-spark)", WORKFLOW, "make test-spark"),  # which needs the first
    Elsewhere(r"make soak", ".github/workflows/weekly.yml", "make soak"),
    Elsewhere(r"make lock-check", WORKFLOW, "make lock-check"),
    # No cluster is at hand; that what they name is there is tested.
    Elsewhere(r"(kubectl|helm) .*", "tests/unit/deploy/test_kubernetes.py::test_the_document_names_what_is_there"),
    # They take minutes to hours and make figures: run by hand. That they are there, with these options, is tested.
    Elsewhere(r"make bench-\w+( ARGS=.*)?", "tests/unit/docs/test_commands.py::test_a_benchmark_has_its_module"),
)


def elsewhere(command: str) -> Elsewhere | None:
    """What runs a command, where the story does not."""
    return next((one for one in ELSEWHERE if re.fullmatch(one.command, command.split("  #")[0].strip())), None)


def module_of(benchmark: str) -> Path:
    """The file that `make bench-NAME` runs."""
    return ROOT / "benchmarks" / f"{benchmark}.py"
