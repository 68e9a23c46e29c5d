"""What is in deploy/kubernetes."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "kubernetes"

Object = dict[str, Any]


def manifests() -> list[Object]:
    """Every object of the manifests, the chart's values left out."""
    files = sorted(path for path in FOLDER.glob("*.yaml") if not path.name.endswith("-values.yaml"))
    return [manifest for path in files for manifest in yaml.safe_load_all(path.read_text())]


def named(kind: str, name: str) -> Object:
    """The one of that kind and name."""
    (found,) = [one for one in manifests() if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def chart_values() -> Object:
    """The values for Dagster's chart."""
    values: Object = yaml.safe_load((FOLDER / "dagster-values.yaml").read_text())
    return values


def code_location() -> Object:
    """The code location among them; its runs inherit from it."""
    (deployment,) = chart_values()["dagster-user-deployments"]["deployments"]
    return dict(deployment)


def pods() -> dict[str, Object]:
    """The specification of every pod, by what makes it: the code location's and the runs' as the chart puts them."""
    found = {
        f"{one['kind']} {one['metadata']['name']}": one["spec"]["template"]["spec"]
        for one in manifests()
        if "template" in one.get("spec", {})
    }
    code = code_location()
    container = {
        "name": "dagster",
        "image": f"{code['image']['repository']}:{code['image']['tag']}",
        "env": code["env"],
        "envFrom": [{"configMapRef": config_map} for config_map in code["envConfigMaps"]],
        "resources": code["resources"],
        "volumeMounts": code["volumeMounts"],
    }
    launcher = chart_values()["runLauncher"]["config"]["k8sRunLauncher"]
    return {
        **found,
        "code location": {
            "securityContext": code["podSecurityContext"],
            "containers": [container | {"securityContext": code["securityContext"]}],
            "volumes": code["volumes"],
        },
        "run": {
            **launcher["runK8sConfig"]["podSpecConfig"],
            "containers": [container | {"securityContext": launcher["securityContext"]}],
            "volumes": code["volumes"],
        },
    }
