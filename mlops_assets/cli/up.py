"""`mlops up`: the whole loop on loopback, until Ctrl-C."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from mlops_assets.adapters.landing.choose import landing_of
from mlops_assets.adapters.landing.landed_window import SourceDown
from mlops_assets.adapters.notifier import receivers
from mlops_assets.cli.recovery import prepare, recover
from mlops_assets.cli.stack import Stack, end_left_over, only_stack, wait_until_ready
from mlops_assets.config import Settings


@contextmanager
def running_stack(settings: Settings, console: Console) -> Iterator[Stack]:
    """The loop, ready; stopped at the end, whatever happens."""
    # A closed terminal and a `kill` stop the programs as Ctrl-C does; a background shell would have Ctrl-C ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    receivers(settings)  # one that is none is known before anything starts
    with only_stack(settings) as lock:
        stack, is_ready = Stack(settings, lock), False
        try:
            # Runs of a stack that was killed may still work on the files that are swept, and be no orphans at all.
            end_left_over(settings)
            with console.status("Making the databases ..."):
                for line in [*prepare(settings), *recover(settings)]:
                    # An exception's text may hold brackets, which are not markup.
                    console.print(f"  {line}", markup=False, soft_wrap=True)
            with console.status("Starting ...") as status:
                stack.start()
                for waiting in wait_until_ready(stack):
                    status.update("Starting: " + ", ".join(program.name for program in waiting) + " ...")
            is_ready = True
            yield stack
        finally:
            with console.status("Stopping ..."):
                stack.stop()
            if is_ready:  # else what is wrong is all that there is to say
                console.print(f"Stopped. The state is kept in {settings.state}.")


def print_addresses(settings: Settings, console: Console) -> None:
    """Where everything is to be seen."""
    console.print(f"  lineage   {settings.dagster_url}/asset-groups")
    console.print(f"  service   {settings.service_url}/model")
    console.print(f"  OpenAPI   {settings.service_url}/schema")
    console.print(f"  MLflow    {settings.mlflow_url}")
    console.print(f"  reports   {settings.reports_url}")
    if settings.source is None:
        console.print(f"  landing   {settings.landing}   (drop windows here)")
    else:
        console.print(f"  landing   {settings.shown_location}")


def up(settings: Settings, console: Console) -> None:
    """Runs the loop until Ctrl-C."""
    with running_stack(settings, console) as stack:
        console.print("The loop is running:")
        print_addresses(settings, console)
        if (fault := _source_fault(settings)) is not None:
            console.print(f"  but {fault}", markup=False, soft_wrap=True)
        console.print("Ctrl-C stops it.")
        wait_for_interrupt(stack)


def _source_fault(settings: Settings) -> str | None:
    """Why no window would be found just now; the loop goes on looking."""
    try:
        landing_of(settings).landed(now=time.time())
    except SourceDown as error:
        return str(error)
    return None


def wait_for_interrupt(stack: Stack) -> None:
    """Returns at Ctrl-C.

    Raises:
        UserError: the supervisor has ended.
    """
    try:
        while True:
            stack.demand_running()
            time.sleep(0.5)
    except KeyboardInterrupt:
        return
