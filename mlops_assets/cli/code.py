"""`mlops code`: the code location alone, where Dagster's other programs run elsewhere.

Its container holds the runs' workers too: when it starts, every run that is not queued has lost its worker.
"""

import os
import sys

from rich.console import Console

from mlops_assets.cli.recovery import prepare, recover
from mlops_assets.cli.stack import only_stack
from mlops_assets.config import Settings


def serve_code(settings: Settings, console: Console, *, host: str) -> None:
    """Finishes or fails what a crash left, then becomes Dagster's gRPC server, which keeps the state folder's lock.

    Raises:
        UserError: another one runs on the state folder.
    """
    with only_stack(settings) as lock:
        for line in [*prepare(settings), *recover(settings)]:
            console.print(line, markup=False, soft_wrap=True)
        os.set_inheritable(lock.fileno(), True)
        command = [sys.executable, "-m", "mlops_assets.code_server", "--module-name", "mlops_assets.definitions"]
        command += ["--host", host, "--port", str(settings.code_port), "--location-name", "mlops_assets"]
        os.execv(command[0], command)  # noqa: S606 -- our own command, no shell
