"""Checksum files beside landed ones, as `sha256sum` writes them: what they say, and that a file holds it."""

import re

from mlops_assets.domain.windows import WindowUnfit

MOST_BYTES = 4096
"""More of a checksum file is not read: a digest and a file's name."""
_DIGEST = re.compile(rb"\\?([0-9a-fA-F]{64})(?=\s|$)")  # sha256sum puts a backslash before it where it escaped the name


def demand_checksum(name: str, sha256: str, content: bytes, checksum_name: str) -> None:
    """Demands that a file has the digest that the checksum file beside it names.

    Args:
        name: The file's, for the error.
        sha256: The file's digest.
        content: What the checksum file holds.
        checksum_name: The checksum file's name, for the error.

    Raises:
        WindowUnfit: it has another, or the checksum file names none.
    """
    stated = _DIGEST.match(content)
    if stated is None:
        raise WindowUnfit(f"{checksum_name} does not begin with a SHA-256; write it with `sha256sum`, or remove it")
    if (expected := stated[1].decode().lower()) != sha256:
        raise WindowUnfit(
            f"{name} has the SHA-256 {sha256}, {checksum_name} says {expected}; land the file again, whole, "
            "or its checksum"
        )
