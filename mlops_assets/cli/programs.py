"""The programs of the loop, and the supervisor's configuration that runs them.

Here belongs what runs with which arguments. Starting and stopping belongs to `stack`.
"""

import os
import sys
from collections.abc import Mapping
from configparser import RawConfigParser
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.config import LOOPBACK, Settings

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 10
"""What a program gets between SIGTERM and SIGKILL."""
CODE_STOP_SECONDS = 3
"""The same for the code location, which else waits for sensors that watch for 20 s, and the daemon waits for it."""


@dataclass(frozen=True)
class Program:
    """A supervised process, and how to tell that it is ready."""

    name: str
    command: tuple[str, ...]
    port: int
    port_setting: str
    ready_path: str | None
    """Answers 200 over HTTP when it is ready; None where it speaks no HTTP."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{LOOPBACK}:{self.port}"


def programs(settings: Settings) -> list[Program]:
    """Everything that `mlops up` runs, in the order of start; no MLflow where the user names a server."""
    python = sys.executable
    bin_folder = Path(python).parent
    behind = after_code(settings)
    workspace = str(ROOT / "workspace.yaml")
    wanted = [
        Program(
            "service", (python, "-m", "serving"), settings.service_port, "MLOPS_SERVICE_PORT", "/health/live"
        ),
        Program(
            "code",
            code_command(settings, host=LOOPBACK),
            settings.code_port,
            "MLOPS_CODE_PORT",
            None,
        ),
        Program(
            "webserver",
            (*behind, str(bin_folder / "dagster-webserver"), "--host", LOOPBACK, "--port",
             str(settings.dagster_port), "--workspace", workspace),
            settings.dagster_port,
            "MLOPS_DAGSTER_PORT",
            "/server_info",
        ),
        Program(
            "reports",
            (python, "-m", "http.server", str(settings.reports_port), "--bind", LOOPBACK,
             "--directory", str(settings.reports)),
            settings.reports_port,
            "MLOPS_REPORTS_PORT",
            "/",
        ),
    ]  # fmt: skip
    if not settings.mlflow_is_served_elsewhere:
        wanted.append(
            Program(
                "mlflow",
                (str(bin_folder / "mlflow"), "server", "--host", LOOPBACK, "--port", str(settings.mlflow_port),
                 "--workers", "1", "--backend-store-uri", settings.mlflow_uri),
                settings.mlflow_port,
                "MLOPS_MLFLOW_PORT",
                "/health",
            )
        )  # fmt: skip
    return wanted


def daemon_command(settings: Settings) -> tuple[str, ...]:
    """Dagster's daemon, which listens nowhere."""
    daemon = str(Path(sys.executable).parent / "dagster-daemon")
    return (*after_code(settings), daemon, "run", "--workspace", str(ROOT / "workspace.yaml"))


def code_command(settings: Settings, *, host: str) -> tuple[str, ...]:
    """The code location's gRPC server, listening on `host`."""
    named = ("--module-name", "mlops_assets.definitions", "--location-name", "mlops_assets")
    place = ("--host", host, "--port", str(settings.code_port))
    return (sys.executable, "-m", "mlops_assets.code_server", *named, *place)


def after_code(settings: Settings) -> tuple[str, ...]:
    """What stands before a command that is to wait until the code location listens."""
    return (sys.executable, "-m", "mlops_assets.cli.when_open", str(settings.code_port))


def contract_and_source(settings: Settings) -> dict[str, str]:
    """What commands know of the last start, and a program of its environment alone."""
    return {"MLOPS_DATASET": str(settings.dataset.absolute()), "MLOPS_SOURCE": settings.source or ""}


def environment(settings: Settings) -> dict[str, str]:
    """What the programs are told by their environment."""
    return {
        **os.environ,
        "MLOPS_HOME": str(settings.state),
        **contract_and_source(settings),
        "MLOPS_CODE_HOST": LOOPBACK,
        **{program.port_setting: str(program.port) for program in programs(settings)},
        "DAGSTER_HOME": str(settings.state / "dagster"),
        "SERVING_RELEASES": str(settings.releases),
        "SERVING_STATE": str(settings.state / "serving"),
        # The service only reads: it may come as another user.
        "SERVING_FEATURES": os.environ.get("SERVING_FEATURES") or settings.features_url or "",
        "SERVING_HOST": LOOPBACK,
        "SERVING_PORT": str(settings.service_port),
        # OpenMP's threads spin at barriers by default; where cores are shared a training then waits for them.
        "OMP_WAIT_POLICY": "PASSIVE",
        "DO_NOT_TRACK": "1",
        "GIT_PYTHON_REFRESH": "quiet",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
    }


def supervisor_config(settings: Settings, wanted: Mapping[str, tuple[str, ...]]) -> str:
    """The configuration file of supervisord for these commands."""
    logs = settings.state / "logs"
    config = RawConfigParser()
    config["supervisord"] = {
        "nodaemon": "true",
        "silent": "true",
        "logfile": str(logs / "supervisord.log"),
        "pidfile": str(settings.state / "supervisord.pid"),
        "childlogdir": str(logs),
    }
    for name, command in wanted.items():
        config[f"program:{name}"] = {
            "command": " ".join(_quoted(word) for word in command),
            "directory": str(settings.state),
            "autorestart": "true",
            "startsecs": "2",
            "startretries": "10",
            "stopasgroup": "true",
            "killasgroup": "true",
            "stopwaitsecs": str(CODE_STOP_SECONDS if name == "code" else STOP_SECONDS),
            "redirect_stderr": "true",
            "stdout_logfile": str(logs / f"{name}.log"),
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": "2",
        }
    # As one group they are told to stop at the same time; else each waits for the one before it to be gone.
    config["group:loop"] = {"programs": ",".join(wanted)}
    lines = []
    for section in config.sections():
        lines += [f"[{section}]", *(f"{key}={_escaped(key, value)}" for key, value in config[section].items()), ""]
    return "\n".join(lines)


def _quoted(word: str) -> str:
    escaped = word.replace('"', '\\"')
    return f'"{escaped}"'


def _escaped(key: str, value: str) -> str:
    # supervisord expands %(...)s in every value, and in a program's stdout_logfile a second time.
    return value.replace("%", "%%%%" if key == "stdout_logfile" else "%%")
