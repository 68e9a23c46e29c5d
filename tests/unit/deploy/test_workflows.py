"""What GitHub runs: the commands of the Makefile, by actions that nobody can exchange, with no right but to read."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"[\w./-]+@[0-9a-f]{40}")
COMMAND = re.compile(r"make ([a-z-]+)( ARGS=\"[^\"$]*\")?")

Job = dict[str, Any]


def jobs() -> list[tuple[str, Job]]:
    """Every job of every workflow, with a name for messages."""
    return [
        (f"{path.name}: {name}", job)
        for path in WORKFLOWS
        for name, job in yaml.safe_load(path.read_text())["jobs"].items()
    ]


DEMANDED = {
    "check", "checks", "test-unit", "test-integration", "test-end-to-end", "test-spark", "compose-smoke", "docs",
    "lock-check", "licences", "sbom", "audit", "actionlint", "promtool", "demo",
}  # fmt: skip
"""What a change is held to before it is taken."""
JOBS = pytest.mark.parametrize("job", [pytest.param(job, id=name) for name, job in jobs()])


@pytest.fixture(scope="module")
def targets() -> set[str]:
    """What `make` knows."""
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_there_are_workflows_to_look_at() -> None:
    """Prevents the tests below from passing on nothing."""
    assert {"ci.yml", "weekly.yml"} <= {path.name for path in WORKFLOWS}
    assert len(jobs()) > 5


@JOBS
def test_a_job_runs_what_a_person_runs(job: Job, targets: set[str]) -> None:
    """Prevents a check that only GitHub can make, and one that calls a command which is gone."""
    commands = [step["run"].strip() for step in job["steps"] if "run" in step]
    found = [COMMAND.fullmatch(command) for command in commands]
    odd = [command for command, match in zip(commands, found, strict=True) if match is None]
    assert commands
    assert odd == []
    assert {match[1] for match in found if match} - targets == set()


def test_every_change_is_held_to_all_of_it() -> None:
    """Prevents a job that is lost with what it showed, while all that is left stays green."""
    ci = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert "pull_request" in ci[True]
    commands = [step["run"].strip() for job in ci["jobs"].values() for step in job["steps"] if "run" in step]
    assert {found[1] for command in commands if (found := COMMAND.fullmatch(command))} == DEMANDED


@JOBS
def test_every_action_is_pinned_by_its_commit(job: Job) -> None:
    """Prevents a tag that was moved from running another's program here."""
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert used
    assert [action for action in used if not PINNED.fullmatch(action)] == []


@JOBS
def test_a_job_has_no_rights_ends_by_itself_and_keeps_no_token(job: Job) -> None:
    """Prevents a job that a changed dependency could push with, and one that hangs for six hours."""
    assert "permissions" not in job, "no job needs more than its workflow has"
    assert job["timeout-minutes"] <= 90
    checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
    assert [step["with"]["persist-credentials"] for step in checkouts] == [False]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_read_and_no_more(path: Path) -> None:
    """Prevents the defaults of a repository, which may be to write."""
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    assert "concurrency" in workflow
    # YAML 1.1 reads the key `on` as true. This one runs the code of a fork with this repository's rights.
    assert "pull_request_target" not in workflow[True]


def test_each_pin_says_the_same_version_everywhere() -> None:
    """Prevents a commit that was exchanged without its comment, or in one place of several."""
    lines = re.findall(r"uses: (\S+)@(\S+) # (v[\d.]+)", "\n".join(path.read_text() for path in WORKFLOWS))
    used = sum(path.read_text().count("uses: ") for path in WORKFLOWS)
    assert len(lines) == used, "each has its version beside it"
    assert len(set(lines)) == len({action for action, _, _ in lines})
