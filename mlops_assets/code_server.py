"""The code location's gRPC server, with warm run workers.

Dagster starts each run in a new interpreter, which spends seconds on importing Evidently, MLflow and scikit-learn. Here
the same server forks its runs from a process that has imported them already, each still a process of its own. See
docs/decisions/0002-warm-run-workers.md.
"""

import multiprocessing
import sys
from multiprocessing import forkserver

from dagster._cli import cli
from dagster._grpc import server

from mlops_assets.adapters.notifier import ReceiverInvalid, receivers
from mlops_assets.config import Settings

PRELOADED = ["mlops_assets.preloaded"]


class _WarmContext:
    """Stands in for `multiprocessing` in Dagster's gRPC server, which asks it for the context "spawn" alone."""

    @staticmethod
    def get_context(method: str) -> multiprocessing.context.ForkServerContext:
        if method != "spawn":
            raise RuntimeError(f"Dagster's server asked for the start method {method!r}; this was written for 'spawn'")
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        forkserver.ensure_running()
        return context


def main() -> None:
    """Runs `dagster api grpc` with the arguments given; refuses to, where a receiver of notifications is none."""
    try:
        receivers(Settings())
    except ReceiverInvalid as error:
        sys.exit(f"mlops: {error}")
    # A forked process is safe where nothing started threads before, which macOS's own libraries do.
    if sys.platform == "linux":
        setattr(server, "multiprocessing", _WarmContext)  # noqa: B010 -- an internal of Dagster
    sys.argv = ["dagster", "api", "grpc", *sys.argv[1:]]
    cli.main()


if __name__ == "__main__":
    main()
