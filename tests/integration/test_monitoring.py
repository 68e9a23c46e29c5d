"""Alerts and dashboards ask for what is really exposed, and every alert says what to do."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
import yaml
from litestar.testing import TestClient
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from typer.core import TyperGroup

from mlops_assets.cli.main import app
from mlops_assets.cli.programs import ROOT
from mlops_assets.domain.notification import Kind
from mlops_assets.metrics.collector import LoopCollector
from serving.app import create_app
from serving.settings import Settings
from tests.integration.conftest import Loop

pytestmark = pytest.mark.integration

MONITORING = ROOT / "deploy" / "monitoring"
RUNBOOKS = (ROOT / "docs" / "runbooks.md").read_text()
ALERTS = [
    rule for group in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
DASHBOARDS = sorted((MONITORING / "grafana" / "dashboards").glob("*.json"))
NAME = re.compile(r"\b(?:mlops|serving)_[a-z0-9_]+")
PROMTOOL = shutil.which("promtool", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def exposed(loop: Loop, tmp_path: Path) -> set[str]:
    """The names that exporter and service give Prometheus, before anything has happened."""
    settings = Settings(releases=tmp_path / "releases", state=tmp_path / "serving", allowed_hosts=("*",))
    with TestClient(create_app(settings)) as client:
        service = list(text_string_to_metric_families(client.get("/metrics").text))
    return _names([*LoopCollector(loop.settings, loop.instance).collect(), *service])


def test_alerts_and_dashboards_ask_for_what_is_exposed(exposed: set[str]) -> None:
    """An alert on a name that was changed never comes, and nobody notices."""
    asked = [rule["expr"] for rule in ALERTS] + [
        target["expr"]
        for dashboard in DASHBOARDS
        for panel in _read(dashboard)["panels"]
        for target in panel["targets"]
    ]
    names = {name for expression in asked for name in NAME.findall(expression)}
    assert names - exposed == set()
    counters_of_python = {"serving_prediction_seconds_count", "serving_prediction_seconds_sum"}
    unseen = {name for name in exposed - names - counters_of_python if not name.endswith("_created")}
    assert unseen == {"mlops_drift_report_timestamp_seconds", "mlops_approval_expires_timestamp_seconds"} | {
        "mlops_service_expected_workers", "mlops_service_reachable", "mlops_service_refuses"
    }  # fmt: skip


def test_every_alert_has_a_severity_a_summary_and_a_runbook() -> None:
    anchors = {_anchor(heading) for heading in re.findall(r"^## (.*)$", RUNBOOKS, re.MULTILINE)}
    assert len(ALERTS) > 20
    configuration = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    assert configuration["global"]["external_labels"]["runbooks"] == "docs/runbooks.md"
    for rule in ALERTS:
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert (page, anchor in anchors) == ("{{ $externalLabels.runbooks }}", True), rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), rule["alert"]
        assert rule["annotations"]["summary"], rule["alert"]
    kinds = {kind.replace(" ", "-") for kind in get_args(Kind)}
    assert kinds - anchors == set()


def test_a_refused_candidate_alarms_nobody() -> None:
    """It is the gate doing its work."""
    assert [rule["alert"] for rule in ALERTS if "gate" in rule["expr"] or "refused" in rule["expr"]] == []


def test_the_runbooks_name_commands_that_exist() -> None:
    """With their arguments and options; who follows one is in a hurry."""
    named = {line.strip() for line in re.findall(r"\bmlops ([a-z][^`#\n]*)", RUNBOOKS) if "=" not in line}
    assert len(named) > 15
    for line in named:
        command, given = _command(shlex.split(line))
        options = {option: one for one in command.params for option in one.opts if option.startswith("--")}
        assert [one for one in given if one.startswith("--") and one not in options] == [], line
        taking = [place for place, one in enumerate(given) if one in options and not options[one].is_flag]
        places = [one for at, one in enumerate(given) if not one.startswith("--") and at - 1 not in taking]
        wanted = [one for one in command.params if one.required and not one.opts[0].startswith("-")]
        assert len(places) >= len(wanted), line


def test_the_dashboards_are_what_their_code_makes(tmp_path: Path) -> None:
    """One that was changed by hand would be changed back by whoever changes the code next."""
    subprocess.run([sys.executable, MONITORING / "dashboards.py", tmp_path], check=True)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_text() for path in DASHBOARDS}
    assert sorted(made) == ["loop.json", "service.json"]


def test_dashboards_ask_the_data_source_that_is_provisioned() -> None:
    provisioning = MONITORING / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "mlops.yml").read_text())["providers"]
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
    for path in DASHBOARDS:
        assert {panel["datasource"]["uid"] for panel in _read(path)["panels"]} == {source["uid"]}


@pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool; `make promtool` fetches it")
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "--syntax-only", "prometheus.yml"),
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
)
def test_prometheus_takes_them(arguments: tuple[str, ...]) -> None:
    assert PROMTOOL is not None
    result = subprocess.run([PROMTOOL, *arguments], cwd=MONITORING, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def _names(families: Iterable[Metric]) -> set[str]:
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
    return {family.name + ending for family in families for ending in endings.get(family.type, ("",))}


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def _anchor(heading: str) -> str:
    """As GitHub and MkDocs make it of plain words."""
    return heading.strip().lower().replace(" ", "-")


def _command(words: list[str]) -> tuple[Any, list[str]]:
    """The command that a line names, and what it is given."""
    command: Any = typer.main.get_command(app)
    while isinstance(command, TyperGroup):
        assert words and words[0] in command.commands, words  # noqa: PT018 -- one thing in two words
        command, words = command.commands[words[0]], words[1:]
    return command, words
