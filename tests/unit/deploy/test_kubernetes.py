"""The manifests: nobody ran them on a cluster, so what they promise is held here."""

import re
import tomllib
from pathlib import Path

import kubernetes_validate
import pytest
from litestar.testing import TestClient

from mlops_assets.config import Settings as LoopSettings
from serving.app import create_app
from serving.server import GRACE_SECONDS
from serving.settings import Settings
from tests.unit.deploy.manifests import ROOT, Object, code_location, manifests, named, pods

PODS = pytest.mark.parametrize("pod", [pytest.param(pod, id=name) for name, pod in pods().items()])
SERVICE = "prediction-service"


@pytest.fixture
def service() -> Object:
    """The service's Deployment."""
    return dict(named("Deployment", SERVICE)["spec"])


@pytest.fixture
def container(service: Object) -> Object:
    """Its one container."""
    (container,) = service["template"]["spec"]["containers"]
    return dict(container)


@PODS
def test_a_pod_is_one(pod: Object) -> None:
    """Prevents a misspelt key in what Dagster's chart passes on; `make manifests` looks at the manifests."""
    whole = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": pod}
    kubernetes_validate.validate(whole, kubernetes_validate.latest_version(), strict=True)


@PODS
def test_a_pod_may_do_nothing_but_its_work(pod: Object) -> None:
    """Prevents one that was broken into from having more than its own memory and volumes."""
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", [name for name in pods() if name != "code location"])
def test_a_pod_has_no_token_for_the_cluster(name: str) -> None:
    """Prevents a prediction from reading the cluster's secrets; for the code location the chart gives no choice."""
    assert pods()[name]["automountServiceAccountToken"] is False


def test_all_pods_are_the_user_that_the_images_have() -> None:
    """Prevents segments of the log that the graph cannot read: they are their owner's alone."""
    users = {(pod["securityContext"]["runAsUser"], pod["securityContext"]["fsGroup"]) for pod in pods().values()}
    images = [(ROOT / "deploy" / f"{image}.Dockerfile").read_text() for image in ("graph", "serving")]
    made = {int(user) for image in images for user in re.findall(r"useradd --uid (\d+)", image)}
    assert users == {(user, user) for user in made}
    assert len(users) == 1


@PODS
def test_an_image_is_that_of_this_version(pod: Object) -> None:
    """Prevents a pod that is restarted as another version than its neighbour."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = {container["image"] for container in pod["containers"]}
    assert images <= {f"closed-loop-mlops/{image}:{version}" for image in ("graph", "serving")}


def test_the_service_is_asked_whether_it_lives_and_is_ready(container: Object) -> None:
    """Prevents requests to a pod without a model, and the end of one that only waits for its first release."""
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert container["startupProbe"]["httpGet"]["path"] == "/health/live"
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"


def test_a_pod_that_ends_has_the_time_that_it_needs(service: Object, container: Object) -> None:
    """Prevents requests that are cut off, and a log that nobody sealed."""
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert service["template"]["spec"]["terminationGracePeriodSeconds"] >= pause + GRACE_SECONDS + 5


def test_one_replica_at_a_time_may_go(service: Object) -> None:
    """Prevents a drained node, or a new version, from taking the service down."""
    scaler = named("HorizontalPodAutoscaler", SERVICE)["spec"]
    budget = named("PodDisruptionBudget", SERVICE)["spec"]
    assert scaler["minReplicas"] >= 2
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": SERVICE}
    assert "replicas" not in service, "each apply would take back what the autoscaler has set"
    assert budget["maxUnavailable"] == 1
    assert service["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


@pytest.mark.parametrize("name", [SERVICE, "reports"])
def test_selectors_find_the_pods(name: str) -> None:
    """Prevents a Service without pods, and a budget or policy that protects nothing."""
    labels = named("Deployment", name)["spec"]["template"]["metadata"]["labels"]
    found = [one["spec"] for one in manifests() if one["metadata"]["name"] == name and "spec" in one]
    selectors = [spec.get("selector") or spec.get("podSelector") for spec in found if "scaleTargetRef" not in spec]
    assert len(selectors) >= 3
    assert all(selector.get("matchLabels", selector) == labels for selector in selectors)


def test_the_service_starts_as_it_is_set_and_answers_by_the_names_that_it_has_there(
    container: Object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prevents a Prometheus that is refused, since it calls a pod by its address, and a misspelt setting."""
    pod = {"POD_IP": "10.1.2.3", "NAMESPACE": "mlops"}
    values = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    assert {one["name"] for one in container["env"]} == set(values) | set(pod)
    assert {name.removeprefix("SERVING_").lower() for name in values} <= set(Settings.model_fields)
    for name, value in values.items():
        monkeypatch.setenv(name, re.sub(r"\$\((\w+)\)", lambda match: pod[match[1]], value))
    settings = Settings()
    assert settings.is_public, "else nothing but the pod itself could call it"
    assert settings.keys is not None
    (port,) = container["ports"]
    assert settings.port == port["containerPort"]

    here = settings.model_copy(
        update={"releases": tmp_path, "state": tmp_path / "state", "keys": tmp_path / "keys.json"}
    )
    with TestClient(create_app(here)) as client:
        for host in ("10.1.2.3:8000", "prediction-service:8000", "prediction-service.mlops.svc", "localhost:8000"):
            assert client.get("/metrics", headers={"host": host}).status_code == 401, host
        assert client.get("/metrics", headers={"host": "elsewhere.example"}).status_code == 400
        assert client.get("/health/live", headers={"host": "10.1.2.3:8000"}).status_code == 200, "asks for no key"


def test_the_service_writes_where_the_graph_reads_and_the_other_way_round(container: Object) -> None:
    """Prevents a log that is never gathered, and a service that waits for releases that are elsewhere."""
    loop = LoopSettings(home=Path("/home"))
    service = Settings(
        **{
            one["name"].removeprefix("SERVING_").lower(): one["value"]
            for one in container["env"]
            if one["name"] in ("SERVING_RELEASES", "SERVING_STATE")
        }
    )
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    releases, log = mounts[str(service.releases)], mounts[str(service.log)]
    assert loop.state / releases["subPath"] == loop.releases
    assert releases["readOnly"] is True
    assert loop.state / log["subPath"] == loop.prediction_log
    assert releases["name"] == log["name"]
    (reports,) = named("Deployment", "reports")["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert loop.state / reports["subPath"] == loop.reports
    (migrate,) = named("Job", "mlops-migrate")["spec"]["template"]["spec"]["containers"]
    made = set(re.findall(r"/state/(\S+)", migrate["command"][2]))
    assert made == {releases["subPath"], log["subPath"]}, "Kubernetes makes them as root where they are not there"


def test_the_loops_settings_are_settings() -> None:
    """Prevents a misspelt name, which would be ignored, and the loop would run on files instead."""
    given = named("ConfigMap", "mlops-settings")["data"]
    known = {f"MLOPS_{name.upper()}" for name in LoopSettings.model_fields} | {"MLFLOW_TRACKING_URI"}
    assert set(given) <= known
    assert {"MLOPS_LEDGER_URL", "MLOPS_DAGSTER_DATABASE_URL", "MLFLOW_TRACKING_URI"} <= set(given)


def test_no_secret_is_in_a_file() -> None:
    """Prevents a password in the repository: secrets are named, and made by whoever runs the loop."""
    assert [one for one in manifests() if one["kind"] == "Secret"] == []
    literal = [
        variable["name"]
        for pod in pods().values()
        for container in pod["containers"]
        for variable in container.get("env", [])
        if "value" in variable and re.search("PASSWORD|KEY$|TOKEN", variable["name"])
    ]
    assert literal == []


def test_who_may_call_the_service_is_who_has_the_label() -> None:
    """Prevents a graph that cannot reach the service, and a service that could be made to call out."""
    policy = named("NetworkPolicy", SERVICE)["spec"]
    label = {"prediction-service-client": "true"}
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"] == []
    (rule,) = policy["ingress"]
    assert {"podSelector": {"matchLabels": label}} in rule["from"]
    assert code_location()["labels"] == label


@pytest.mark.parametrize("name", ["dagster-webserver", "reports"])
def test_pages_that_ask_for_no_password_are_closed(name: str) -> None:
    """Prevents anyone in the cluster from starting runs: only a proxy that asks may be let in."""
    policy = named("NetworkPolicy", name)["spec"]
    assert (policy["policyTypes"], policy["ingress"]) == (["Ingress"], [])


def test_the_document_names_what_is_there() -> None:
    """Prevents steps that stop half way: the commands cannot be run here, but what they are about can be looked up."""
    script = "\n".join(
        re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs" / "scale.md").read_text(), re.DOTALL | re.MULTILINE)
    )
    files = re.findall(r"-f (deploy/kubernetes/\S+)", script)
    assert [Path(file).name for file in files] == [
        "loop.yaml",
        "network.yaml",
        "dagster-values.yaml",
        "service.yaml",
        "reports.yaml",
    ], "what others need comes first"
    assert {ROOT / file for file in files} == set((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
    assert {named("Job", job)["metadata"]["name"] for job in re.findall(r"job/(\S+)", script)} == {"mlops-migrate"}
    made = dict(re.findall(r"create secret generic (\S+) --from-file=(\S+)", script))
    asked = {
        variable["valueFrom"]["secretKeyRef"]["name"]: variable["valueFrom"]["secretKeyRef"]["key"]
        for pod in pods().values()
        for container in pod["containers"]
        for variable in container.get("env", [])
        if "secretKeyRef" in variable.get("valueFrom", {})
    }
    mounted = {
        volume["secret"]["secretName"]: "keys.json"
        for pod in pods().values()
        for volume in pod["volumes"]
        if "secret" in volume
    }
    assert made == asked | mounted
