"""Runs a command once a loopback port is open: `python -m mlops_assets.cli.when_open PORT COMMAND...`.

Dagster's daemon and webserver look for the code location when they start, and then not again for a minute.
"""

import os
import socket
import sys
import time

from mlops_assets.config import LOOPBACK


def main() -> None:
    """Waits, then becomes the command."""
    port, command = int(sys.argv[1]), sys.argv[2:]
    while True:
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, port)) == 0:
                break
        time.sleep(0.1)
    os.execv(command[0], command)  # noqa: S606 -- our own command, no shell


if __name__ == "__main__":
    main()
