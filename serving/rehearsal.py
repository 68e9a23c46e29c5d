"""An oversized release is loaded in a process of its own first, within limits, so that it cannot take the service down.

What a sound release is belongs to `serving.slot`; which releases are oversized is decided by `serving.watcher`.
"""

import resource
import subprocess
import sys
from pathlib import Path

import msgspec

from serving.release import MODEL, Pointer, ReleaseInvalid
from serving.slot import load

REFUSED = 3
"""The exit code of a process that found the release unsound, and says why on stdout."""
SECONDS = 20
"""Less than the 30 s for which a worker may do nothing else (`serving.server`, `SERVING_STUCK_SECONDS`): loading holds
the interpreter, so a model that takes longer would end every worker that tries."""


def rehearse(releases: Path, pointer: Pointer, *, memory_bytes: int) -> None:
    """Loads a release in a process that may use so much address space, and ends it.

    Raises:
        ReleaseInvalid: it is unsound, needs more memory, or does not load in `SECONDS`.
    """
    command = [sys.executable, "-m", "serving.rehearsal", str(releases.absolute()), str(memory_bytes)]
    needs = f"{MODEL}: cannot be loaded within {memory_bytes // 2**20} MiB and {SECONDS} s"
    try:
        done = subprocess.run(command, input=msgspec.json.encode(pointer), capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ReleaseInvalid(needs) from error
    if done.returncode == REFUSED:
        raise ReleaseInvalid(done.stdout.decode(errors="replace").strip())
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ReleaseInvalid(f"{needs}: {last[0] if last else f'it ended with {done.returncode}'}")


def main() -> None:
    """What the process does: the pointer comes on stdin."""
    releases, memory_bytes = Path(sys.argv[1]), int(sys.argv[2])
    pointer = msgspec.json.decode(sys.stdin.buffer.read(), type=Pointer)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        load(releases, pointer)
    except ReleaseInvalid as error:
        sys.stdout.write(str(error))
        sys.exit(REFUSED)


if __name__ == "__main__":
    main()
