"""One story over the real containers, told in order: `make compose-smoke`.

Prevents a docker-compose.yml that parses and does not run, and a loop that loses something when a container dies.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mlops_assets.datasets.flights import write_windows
from tests.compose.asking import asking, kill
from tests.compose.stack import HEAL_SECONDS, SERVERS, TRAIN_SECONDS, Compose, until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The whole stack, built and started; gone afterwards, its logs printed where something failed."""
    compose = Compose(tmp_path_factory.mktemp("compose"), "smoke")
    is_up = False
    try:
        compose.remove()  # what a run that was killed left
        compose.make_up()
        is_up = True
        list(write_windows(compose.inbox, ("2013-01", "2013-07", "2013-10")))
        yield compose
    finally:
        if request.session.testsfailed or not is_up:
            print(compose.last_words())  # noqa: T201
        compose.remove()
        compose.remove_images()


def test_every_container_is_confined(stack: Compose) -> None:
    """Prevents a port that other machines reach, and a fault in one program that opens the machine."""
    containers = stack.containers()
    assert set(containers) == set(SERVERS)
    secrets = {path.name: path.read_text().strip() for path in stack.secrets.iterdir()}
    assert secrets["service_key"]
    assert secrets["aws_secret_access_key"]
    for service, container in containers.items():
        host, config = container["HostConfig"], container["Config"]
        assert config["User"] not in ("", "0", "root"), service
        assert host["ReadonlyRootfs"], service
        assert host["Memory"] > 0, service
        assert host["CapDrop"] == ["ALL"], service
        assert host["RestartPolicy"]["Name"] == "unless-stopped", service
        bound = [each["HostIp"] for ports in host["PortBindings"].values() for each in ports]
        assert set(bound) <= {"127.0.0.1"}, service
        if service != "postgres":  # the stand-in of its image takes its password so
            said = json.dumps(container)
            assert not [name for name, secret in secrets.items() if secret and secret in said], service


def test_a_program_gets_no_secret_that_it_does_not_need(stack: Compose) -> None:
    """Prevents that a fault in a page, or in the service, gives away the passwords of the others."""
    found = {}
    for service, container in stack.containers().items():
        mounted = [Path(mount["Destination"]) for mount in container["Mounts"]]
        found[service] = [path.name for path in mounted if path.parent == Path("/run/secrets")]
    assert len(found.pop("code")) == 7
    password = ["postgres_password"]
    assert found == {
        "postgres": password,
        "webserver": password,
        "daemon": password,
        "mlflow": password,
        "reports": [],
        "service": [],
    }


def test_another_up_leaves_what_runs_alone(stack: Compose) -> None:
    """Prevents that whoever types it again restarts a loop at work, or is refused by the migration."""
    before = {service: container["State"]["StartedAt"] for service, container in stack.containers().items()}
    stack.run("up", "--detach", "--wait", "service")  # as in an upgrade
    stack.up()
    assert {service: container["State"]["StartedAt"] for service, container in stack.containers().items()} == before


def test_the_service_is_without_the_graph(stack: Compose) -> None:
    """Prevents that the image which faces clients grows by what only training needs."""
    script = (
        "import importlib.util as u; print([n for n in ('dagster', 'mlflow', 'sklearn', 'pandas') if u.find_spec(n)])"
    )
    assert stack.run("exec", "-T", "service", "python", "-c", script).strip() == "[]"


def test_the_first_window_is_trained_on_and_served_by_both_workers(stack: Compose) -> None:
    """Dropped, validated, trained, let through, released, served."""
    stack.mlops("window", "add", "/inbox/2013-01.parquet")
    until(lambda: stack.model()["model_version"] == 1, seconds=TRAIN_SECONDS, what="version 1 is served")
    until(
        lambda: [worker["epoch"] for worker in stack.model()["workers"]] == [1, 1], seconds=20, what="by both workers"
    )


def test_a_window_that_drifted_is_promoted_and_swapped_in_under_requests(stack: Compose) -> None:
    """No request fails meanwhile, and none is answered by half a swap."""
    with asking(stack) as load:
        stack.mlops("window", "add", "/inbox/2013-07.parquet")
        until(lambda: stack.model()["model_version"] == 2, seconds=TRAIN_SECONDS, what="version 2 is served")
        until(lambda: load.answers[-1].headers["x-model-version"] == "2", seconds=20, what="clients get version 2")
    assert load.failures == []
    assert load.statuses.keys() == {200}
    assert {answer.headers["x-model-version"] for answer in load.answers} == {"1", "2"}
    (window,) = [each for each in stack.status()["windows"] if each["window"] == "2013-07"]
    assert window["drift_share"] > 0.1
    assert window["verdict"] == "promoted"


def test_a_roll_back_brings_the_version_before(stack: Compose) -> None:
    """And puts promotions on hold, until someone lifts it."""
    stack.mlops("rollback", "--reason", "smoke")
    until(lambda: stack.model()["model_version"] == 1, seconds=HEAL_SECONDS, what="version 1 is served again")
    assert stack.status()["hold"]
    stack.mlops("hold", "off")


@pytest.mark.parametrize("service", SERVERS)
def test_a_container_that_is_killed_comes_back_and_nothing_is_lost(stack: Compose, service: str) -> None:
    """Each once: healthy again within a minute, production where it was, every answered row on record."""
    before = stack.status()["production"]
    killed = kill(stack, service, seconds=HEAL_SECONDS)
    # Its first answers after the start may be that it has no model yet; whatever else dies, clients notice nothing.
    assert killed.statuses.keys() <= ({200, 503} if service == "service" else {200})
    assert bool(killed.failures) == (service == "service")
    until(lambda: stack.status()["production"] == before, seconds=HEAL_SECONDS, what="production is where it was")
    assert killed.not_on_record == 0


def test_a_training_whose_container_is_killed_is_done_again(stack: Compose) -> None:
    """The code location's container has the runs in it: what it was at is begun anew by itself."""
    stack.mlops("window", "add", "/inbox/2013-10.parquet")
    until(
        lambda: any(each["running"] == "training_job" for each in stack.status()["windows"]),
        seconds=TRAIN_SECONDS,
        what="it is trained on",
    )
    since = stack.kill("code")
    until(lambda: stack.is_back("code", since), seconds=HEAL_SECONDS, what="the code location is back")
    until(
        lambda: verdict(stack, "2013-10") in ("promoted", "refused", "undecided"), seconds=TRAIN_SECONDS, what="verdict"
    )
    versions = [each["window"] for each in stack.status()["candidates"]]
    assert "2013-10" in versions
    (tries,) = [tries for tries in stack.tries("training_job").values() if len(tries) > 1]
    assert tries == ["FAILURE", "SUCCESS"]  # what was killed is not left as if it ran for ever


def test_a_client_gets_a_key_that_can_be_taken_back(stack: Compose) -> None:
    """By the commands that docs/compose.md has."""
    key = stack.run("run", "--rm", "-T", "keys", "create", "/keys/keys.json", "alice", "--scope", "read").strip()
    assert "alice  read" in stack.run("run", "--rm", "-T", "keys", "list", "/keys/keys.json")
    until(lambda: stack.status_of_model(key) == 200, seconds=20, what="alice is let in")
    stack.make_secrets()
    assert stack.status_of_model(stack.key()) == 200, "the loop's key stays as it is"
    stack.run("run", "--rm", "-T", "keys", "revoke", "/keys/keys.json", "alice")
    until(lambda: stack.status_of_model(key) == 401, seconds=20, what="alice is let in no more")


def test_pages_answer(stack: Compose) -> None:
    """What a person opens: lineage, registered models, drift reports."""
    assert httpx.get(f"http://127.0.0.1:{stack.ports['dagster']}/asset-groups", follow_redirects=True).is_success
    assert httpx.get(f"http://127.0.0.1:{stack.ports['mlflow']}/").is_success
    assert "drift-2013-07.html" in httpx.get(f"http://127.0.0.1:{stack.ports['reports']}/").text
    registered = f"http://127.0.0.1:{stack.ports['mlflow']}/api/2.0/mlflow/registered-models/search"
    assert httpx.get(registered).is_success
    foreign = httpx.get(registered, headers={"Host": "evil.example"})
    assert foreign.status_code == 403


def test_the_loops_metrics_can_be_scraped(stack: Compose) -> None:
    """By the name and port that prometheus.yml has."""
    stack.run("--profile", "monitoring", "up", "--detach", "--wait", "exporter", seconds=200)
    read = (
        "from urllib.request import urlopen; print(urlopen('http://exporter:9400/metrics', timeout=30).read().decode())"
    )
    said = stack.run("exec", "-T", "code", "python", "-c", read)
    assert "mlops_ledger_epoch" in said
    stack.run("--profile", "monitoring", "rm", "--stop", "--force", "exporter")


def test_a_backup_is_restored_into_empty_volumes(stack: Compose) -> None:
    """All state: ledger, registry, histories, windows, releases, the record of answers, keys."""
    before, model, recorded = stack.status(), stack.model(), stack.recorded()
    key = stack.run("run", "--rm", "-T", "keys", "create", "/keys/keys.json", "bob", "--scope", "read").strip()
    stack.run("run", "--rm", "-T", "backup", "mlops", "backup", "/backup/smoke.tar", seconds=300)
    file = stack.folder / "smoke.tar"
    with file.open("wb") as out:
        stack.run("run", "--rm", "-T", "backup", "cat", "/backup/smoke.tar", out=out)
    stack.remove()
    shutil.rmtree(stack.secrets)  # as on another machine
    stack.make_secrets("passwords")
    with file.open("rb") as given:
        stack.run("run", "--rm", "-T", "backup", "sh", "-c", "cat >/backup/smoke.tar", given=given)
    stack.run("run", "--rm", "-T", "backup", "mlops", "restore", "/backup/smoke.tar", seconds=300)
    stack.make_up()
    assert stack.status_of_model(key) == 200, "the keys of clients go on"
    until(lambda: stack.model()["model_version"] == model["model_version"], seconds=HEAL_SECONDS, what="it is served")
    after = stack.status()
    for part in ("windows", "production", "candidates"):
        assert after[part] == before[part], part
    assert recorded <= stack.recorded()


def test_nothing_is_left_behind(stack: Compose) -> None:
    """Neither containers nor volumes nor networks."""
    stack.remove()
    assert stack.left_behind() == ""


def verdict(stack: Compose, window: str) -> str | None:
    """What became of a window."""
    found = [each["verdict"] for each in stack.status()["windows"] if each["window"] == window]
    return found[0] if found else None
