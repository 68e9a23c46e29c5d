"""The values for Dagster's Helm chart; the chart itself is not here."""

import re
from collections.abc import Iterator

import pytest
import yaml

from tests.unit.deploy.manifests import FOLDER, ROOT, Object, chart_values

# The keys of helm/dagster/values.yaml and of its schema, as far as this project is concerned with them: Dagster's
# repository at 835892b45aaa; later versions added some, and took none of these away.
CHART: Object = {
    "global": {"postgresqlSecretName": ..., "dagsterHome": ..., "serviceAccountName": ...},
    "generatePostgresqlPasswordSecret": ...,
    "postgresql": {
        "enabled": ...,
        "postgresqlHost": ...,
        "postgresqlUsername": ...,
        "postgresqlDatabase": ...,
        "postgresqlParams": ...,
        "service": ...,
    },
    "telemetry": {"enabled": ...},
    "dagster-user-deployments": {
        "enabled": ...,
        "deployments": [
            {
                "name": ...,
                "image": {"repository": ..., "tag": ..., "pullPolicy": ...},
                "dagsterApiGrpcArgs": ...,
                "codeServerArgs": ...,
                "port": ...,
                "includeConfigInLaunchedRuns": {"enabled": ...},
                "env": ...,
                "envConfigMaps": ...,
                "envSecrets": ...,
                "labels": ...,
                "podSecurityContext": ...,
                "securityContext": ...,
                "resources": ...,
                "volumes": ...,
                "volumeMounts": ...,
            }
        ],
    },
    "runLauncher": {
        "type": ...,
        "config": {
            "k8sRunLauncher": {
                "imagePullPolicy": ...,
                "jobNamespace": ...,
                "envVars": ...,
                "labels": ...,
                "resources": ...,
                "securityContext": ...,
                "runK8sConfig": {
                    "containerConfig": ...,
                    "podSpecConfig": ...,
                    "podTemplateSpecMetadata": ...,
                    "jobSpecConfig": ...,
                    "jobMetadata": ...,
                },
            }
        },
    },
    "dagsterDaemon": {
        "runCoordinator": {
            "config": {
                "queuedRunCoordinator": {
                    "maxConcurrentRuns": ...,
                    "tagConcurrencyLimits": ...,
                    "dequeueIntervalSeconds": ...,
                    "dequeueUseThreads": ...,
                    "dequeueNumWorkers": ...,
                }
            }
        },
        "sensors": {"useThreads": ..., "numWorkers": ..., "numSubmitWorkers": ...},
        "runMonitoring": {"enabled": ...},
        "runRetries": {"enabled": ...},
    },
    "retention": {"enabled": ..., "sensor": {"purgeAfterDays": ...}, "schedule": ...},
    "additionalInstanceConfig": ...,
}


def unknown(given: object, known: object, where: str = "") -> Iterator[str]:
    """The keys that the chart does not have; what it passes on as it is, is not looked into."""
    if isinstance(known, list) and isinstance(given, list):
        for one in given:
            yield from unknown(one, known[0], where)
    elif isinstance(known, dict) and isinstance(given, dict):
        for key, value in given.items():
            if key in known:
                yield from unknown(value, known[key], f"{where}.{key}")
            else:
                yield f"{where}.{key}"


@pytest.fixture
def instance() -> Object:
    """The dagster.yaml of the loop on one machine."""
    instance: Object = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    return instance


def test_the_chart_has_every_key() -> None:
    """Prevents a misspelt key, which Helm passes over."""
    assert list(unknown(chart_values(), CHART)) == []
    assert list(unknown({"dagsterDaemon": {"runRetry": {}}}, CHART)) == [".dagsterDaemon.runRetry"]


def test_the_chart_is_of_the_version_that_the_image_has() -> None:
    """Prevents a daemon that asks the code location in words that it does not know."""
    locked = re.search(r"^dagster==(\S+)", (ROOT / "deploy" / "graph.lock").read_text(), re.MULTILINE)
    assert locked is not None
    texts = [(FOLDER / "dagster-values.yaml").read_text(), (ROOT / "docs" / "scale.md").read_text()]
    assert [re.findall(r"--version (\S+)", text) for text in texts] == [[locked[1]], [locked[1]]]


def test_the_loop_behaves_as_on_one_machine(instance: Object) -> None:
    """Prevents two trainings side by side, retried refusals and runs that hang for ever, on a cluster alone."""
    values = chart_values()
    daemon = values["dagsterDaemon"]
    queue = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    here = instance["run_coordinator"]["config"]
    assert queue["tagConcurrencyLimits"] == here["tag_concurrency_limits"]
    assert queue["dequeueIntervalSeconds"] == here["dequeue_interval_seconds"]
    assert daemon["sensors"] == {
        "useThreads": instance["sensors"]["use_threads"],
        "numWorkers": instance["sensors"]["num_workers"],
    }
    assert values["retention"]["sensor"]["purgeAfterDays"] == instance["retention"]["sensor"]["purge_after_days"]
    # Written by the chart as well, they would stand in the file twice.
    assert daemon["runMonitoring"] == daemon["runRetries"] == {"enabled": False}
    assert values["additionalInstanceConfig"] == {
        key: instance[key] for key in ("nux", "run_monitoring", "run_retries")
    }
    assert values["telemetry"] == instance["telemetry"]
