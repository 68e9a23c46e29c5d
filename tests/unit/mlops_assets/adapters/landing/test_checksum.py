import pytest

from mlops_assets.adapters.landing.checksum import demand_checksum
from mlops_assets.domain.windows import WindowUnfit

DIGEST = "ab" * 32


@pytest.mark.parametrize("content", [DIGEST, f"{DIGEST}  a.csv\n", f"{DIGEST.upper()} *a.csv\n", f"\\{DIGEST}  a\\nb"])
def test_the_right_digest_is_taken_as_sha256sum_writes_it(content: str) -> None:
    """In text and binary mode, alone, and of a name with a line break."""
    demand_checksum("a.csv", DIGEST, content.encode(), "a.csv.sha256")


def test_another_digest_is_told_with_both() -> None:
    """So that the user sees which of them is old."""
    with pytest.raises(WindowUnfit, match=f"a.csv has the SHA-256 {'cd' * 32}, a.csv.sha256 says {DIGEST}"):
        demand_checksum("a.csv", "cd" * 32, DIGEST.encode(), "a.csv.sha256")


@pytest.mark.parametrize("content", [b"", b"a.csv", DIGEST.encode()[:-1], DIGEST.encode() + b"0", b"\xff" * 64])
def test_a_checksum_file_without_a_digest_is_no_checksum(content: bytes) -> None:
    """Half of one, or that of another algorithm, proves nothing."""
    with pytest.raises(WindowUnfit, match=r"a\.csv\.sha256 does not begin with a SHA-256"):
        demand_checksum("a.csv", DIGEST, content, "a.csv.sha256")
