"""`mlops code`: the code location alone, where Dagster's other programs run elsewhere.

Its container holds the runs' workers too: when it starts, every run that is under way has lost its worker.
"""

import os
import subprocess
import sys

from rich.console import Console

from mlops_assets.cli.programs import after_code, code_command, contract_and_source
from mlops_assets.cli.recovery import orphaned_runs, prepare, reconcile
from mlops_assets.cli.stack import only_stack
from mlops_assets.config import Settings


def serve_code(settings: Settings, console: Console, *, host: str) -> None:
    """Finishes or fails what a crash left, then becomes Dagster's gRPC server, which keeps the state folder's lock.

    Raises:
        UserError: another one runs on the state folder.
    """
    with only_stack(settings) as lock:
        for line in [*prepare(settings), *reconcile(settings)]:
            console.print(line, markup=False, soft_wrap=True)
        # Named now, before new ones start; failed by a process beside the server, once that answers.
        if orphans := orphaned_runs(settings):
            subprocess.Popen([*after_code(settings), sys.executable, "-m", "mlops_assets.cli.orphans", *orphans])
        os.set_inheritable(lock.fileno(), True)
        command = code_command(settings, host=host)
        own = {**os.environ, **contract_and_source(settings)}
        os.execve(command[0], command, own)  # noqa: S606 -- our own command, no shell
